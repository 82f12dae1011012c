"""Make assignments: student versions with nbgrader, and a zip of each to hand out."""

import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from aeutils.errors import UserError
from aeutils.files import replacing, write_whole

SOURCES = Path(__file__).resolve().parents[2] / "notebooks" / "assignments"
COURSE_ID = "autoencoders"
ZIP_TIME = (2000, 1, 1, 0, 0, 0)  # the same source gives the same zip


class ClassroomError(UserError, ValueError):
    """An assignment that does not exist or cannot be made."""


@dataclass(frozen=True)
class Assignment:
    """A source assignment. `find_assignments` makes them.

    Attributes
    ----------
    name : str
        Such as ``01_basic_autoencoder``.
    sources : Path
        The folder of all source assignments, absolute.
    """

    name: str
    sources: Path

    @property
    def folder(self):
        """The folder of this assignment."""
        return self.sources / self.name

    @property
    def notebook(self):
        """The source notebook, with solutions and hidden tests."""
        return self.folder / f"{self.name}.ipynb"


def find_assignments(names=(), sources=None):
    """Find source assignments by number or name.

    Parameters
    ----------
    names : sequence of str
        Such as ``01`` or ``01_basic_autoencoder``; none means all.
    sources : path, optional
        The folder of source assignments; default: ``notebooks/assignments`` of the repository.

    Returns
    -------
    list of Assignment
        In the order of `names`.

    Raises
    ------
    ClassroomError
        A name does not exist, or there are no assignments at all.
    """
    sources = Path(sources or SOURCES).resolve()
    known = [
        Assignment(path.stem, sources) for path in sorted(sources.glob("[0-9][0-9]_*/*.ipynb")) if path.stem == path.parent.name
    ]
    if not known:
        raise ClassroomError(f"no assignments in {sources}; expected notebooks such as 01_name/01_name.ipynb")
    if not names:
        return known
    found = []
    for name in map(str, names):
        fitting = [assignment for assignment in known if name in (assignment.name, assignment.name[:2])]
        if not fitting:
            raise ClassroomError(f"no assignment {name!r}; there are: {', '.join(assignment.name for assignment in known)}")
        found += fitting
    return found


def write_course(root, sources):
    """Make a course folder in which the commands of nbgrader work too.

    Parameters
    ----------
    root : path
        Gets ``nbgrader_config.py``. nbgrader adds ``gradebook.db``, ``release``, ``submitted`` and ``autograded``.
    sources : path
        The folder of source assignments.

    Returns
    -------
    nbgrader.apps.NbGraderAPI
        See `open_course`.
    """
    root = Path(root).resolve()
    api = open_course(root, sources)
    write_whole(root / "nbgrader_config.py", _CONFIG.format(course=COURSE_ID, root=str(root), sources=str(sources)))
    return api


_CONFIG = """# Written by `python -m aeutils assignments`. Run the commands of nbgrader in this folder, for example
#     nbgrader generate_assignment 01_basic_autoencoder --force
#     nbgrader autograde 01_basic_autoencoder         (submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb)
c = get_config()
c.CourseDirectory.course_id = {course!r}
c.CourseDirectory.root = {root!r}
c.CourseDirectory.source_directory = {sources!r}
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError(\\"your code here\\")"}}
c.ClearSolutions.text_stub = "*(your answer here)*"

from aeutils.classroom.autograder import autograde_steps  # `nbgrader autograde` runs students' code contained too

c.Autograde.autograde_preprocessors = autograde_steps()
"""


def open_course(root, sources, **sections):
    """Open a course folder with nbgrader; the folder is made if it does not exist.

    Parameters
    ----------
    root : path
    sources : path
        The folder of source assignments.
    **sections : dict
        More settings of nbgrader, such as ``GenerateAssignment={"preprocessors": [...]}``.

    Returns
    -------
    nbgrader.apps.NbGraderAPI
    """
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    scripts = str(Path(sys.executable).parent)  # nbgrader runs `alembic`; it must be found without an activated environment
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    Path(root).mkdir(parents=True, exist_ok=True)
    config = Config(sections)
    config.CourseDirectory.root = str(Path(root).resolve())
    config.CourseDirectory.course_id = COURSE_ID
    config.CourseDirectory.source_directory = str(sources)
    config.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("your code here")'}
    config.ClearSolutions.text_stub = "*(your answer here)*"
    return NbGraderAPI(config=config)


def release(api, assignment):
    """Make the student version of an assignment with nbgrader.

    Parameters
    ----------
    api : nbgrader.apps.NbGraderAPI
        Of `open_course` or `write_course`.
    assignment : Assignment

    Returns
    -------
    Path
        The notebook without solutions and hidden tests.

    Raises
    ------
    ClassroomError
        nbgrader failed; the message has its log.
    """
    name = assignment.name
    result = api.generate_assignment(name)
    made = Path(api.coursedir.format_path(api.coursedir.release_directory, ".", name)) / f"{name}.ipynb"
    if not result["success"] or not made.is_file():
        raise ClassroomError(f"nbgrader could not generate {name}:\n{result.get('log') or result.get('error')}")
    return made


def make_assignments(assignments, out):
    """Make student versions and zips of assignments.

    Parameters
    ----------
    assignments : sequence of Assignment
        All from the same folder of sources.
    out : path
        Becomes a course folder (see `write_course`) and gets one zip for each assignment.

    Returns
    -------
    list of Path
        The zips.

    Raises
    ------
    ClassroomError
        nbgrader failed.
    """
    out = Path(out).resolve()
    api = write_course(out, assignments[0].sources)
    return [_write_zip(out / f"{assignment.name}.zip", release(api, assignment)) for assignment in assignments]


def _write_zip(target, made):
    contents = {made.name: made.read_text(encoding="utf-8"), "README.md": _README.format(name=made.stem)}
    with replacing(target) as part, zipfile.ZipFile(part, "w") as archive:
        for name, text in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{made.stem}/{name}", ZIP_TIME), text, zipfile.ZIP_DEFLATED)
    return target


_README = """# {name}: what to do

**Install**, once: Python 3.10 to 3.13 and git. Then, in a terminal,

1. get the course: `git clone` with the address that your teacher gave you, and `cd` into its folder;
2. `make .venv/installed`, or without make `python -m venv .venv` and `.venv/bin/python -m pip install -c constraints.txt -e .`
   (on Windows `.venv\\Scripts\\python`). It takes some minutes and 2 GB. You need no GPU and, after this, no network.

**Work**: put `{name}.ipynb` anywhere, for example beside this file, and open it with
`.venv/bin/python -m jupyter lab`, started in the folder of the course.

- First write your student id into the cell that asks for it. Some numbers of your assignment are drawn from it, so other
  students have other numbers.
- Replace every `raise NotImplementedError("your code here")` with your code, and every *(your answer here)* with your answer.
- Do not change the test cells: they are put back before grading. Do not delete or copy the cells with answers. You may add
  cells of your own.

**Check**: run the test cell below each task. It prints nothing if your answer passes; otherwise it says what is wrong. Before
you hand in: *Kernel, Restart Kernel and Run All Cells*; it takes less than a minute. While grading, more tests call your
functions with other values, so an answer that is typed in and not computed does not pass.

**Hand in** the one notebook, saved and named after your student id, for example `s2026-001.ipynb`, where your teacher told you
to. It is run from top to bottom, then your answers once more, without a network and with 1.5 GB of memory; a cell may take a
minute. You get back a page with your points. It says why a task did not pass.
"""
