"""Assignments for a class: own parameters for every student, student versions made with nbgrader, and a zip to hand out."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "notebooks" / "assignments"
STUDENT_VARIABLE = "AEUTILS_STUDENT"  # set by the grader: the id that counts
STUDENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
COURSE_ID = "autoencoders"
ZIP_TIME = (2000, 1, 1, 0, 0, 0)  # the same zip from the same source


class ClassroomError(ValueError):
    """An assignment that is not there or cannot be made."""


# ---- In the assignments ----


def draw_parameters(student_id, **choices):
    """Parameters of one student's own: the same for the same id everywhere, others for other ids.

    Where the environment variable ``AEUTILS_STUDENT`` is set, as it is while grading, its value counts and `student_id`
    does not.

    Parameters
    ----------
    student_id : str
    **choices : sequence
        What each parameter is drawn from, such as ``digit=range(10)``.

    Returns
    -------
    dict
        One value for each name in `choices`, independent of the other names.

    Raises
    ------
    ValueError
        No id, or nothing to choose from.

    Examples
    --------
    >>> draw_parameters("s2026-001", digit=range(10), latent_dim=[8, 12, 16])
    {'digit': 0, 'latent_dim': 8}
    """
    student = os.environ.get(STUDENT_VARIABLE) or student_id
    if not isinstance(student, str) or not student.strip():
        raise ValueError(f'student_id is {student_id!r}; write your own into the first cell, such as student_id = "s2026-001"')
    drawn = {}
    for name, values in choices.items():
        if len(values) == 0:
            raise ValueError(f"parameter {name}: there is nothing to choose from")
        digest = hashlib.sha256(f"{student.strip()}/{name}".encode()).digest()
        drawn[name] = values[int.from_bytes(digest[:8], "big") % len(values)]
    return drawn


# ---- Making them ----


def find_assignments(names=(), sources=None):
    """Folders of source assignments by number, name or all where none is named.

    Parameters
    ----------
    names : sequence of str
    sources : path, optional
        Where they lie; default: the repository's ``notebooks/assignments``.

    Raises
    ------
    ClassroomError
        There is none of that name; the message lists those there are.
    """
    known = sorted(path.parent for path in Path(sources or SOURCES).glob("[0-9][0-9]_*/*.ipynb") if path.stem == path.parent.name)
    if not names:
        return known
    found = []
    for name in map(str, names):
        fitting = [folder for folder in known if name in (folder.name, folder.name[:2])]
        if not fitting:
            raise ClassroomError(f"no assignment {name!r}; there are: {', '.join(folder.name for folder in known)}")
        found += fitting
    return found


def write_course(root, sources=None):
    """Make a course folder of nbgrader's, ready for its own commands too, and return nbgrader's interface to it.

    Parameters
    ----------
    root : path
        Gets ``nbgrader_config.py``; nbgrader adds ``gradebook.db``, ``release``, ``submitted``, ``autograded``.
    sources : path, optional
        The folder of source assignments; default: the repository's.

    Returns
    -------
    nbgrader.apps.NbGraderAPI
    """
    from aeutils import runs  # here, because every notebook imports this module

    root, api = Path(root).resolve(), open_course(root, sources)
    runs.write_whole(
        root / "nbgrader_config.py",
        _CONFIG.format(course=COURSE_ID, root=str(root), sources=str(Path(sources or SOURCES).resolve())),
    )
    return api


_CONFIG = """# Written by `python -m aeutils assignments`. Run nbgrader's commands in this folder, for example
#     nbgrader generate_assignment 01_basic_autoencoder --force
#     nbgrader autograde 01_basic_autoencoder         (submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb)
c = get_config()
c.CourseDirectory.course_id = {course!r}
c.CourseDirectory.root = {root!r}
c.CourseDirectory.source_directory = {sources!r}
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError(\\"your code here\\")"}}
c.ClearSolutions.text_stub = "*(your answer here)*"

from aeutils.autograder import autograde_steps  # students' code runs contained here too

c.Autograde.autograde_preprocessors = autograde_steps()
"""


def open_course(root, sources=None, **sections):
    """nbgrader's interface to a course folder.

    Parameters
    ----------
    root : path
    sources : path, optional
    **sections : dict
        Further settings of nbgrader's, such as ``GenerateAssignment={"preprocessors": [...]}``.
    """
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    scripts = str(Path(sys.executable).parent)  # nbgrader calls `alembic` by name, also where the environment is not activated
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    Path(root).mkdir(parents=True, exist_ok=True)
    config = Config(sections)
    config.CourseDirectory.root = str(Path(root).resolve())
    config.CourseDirectory.course_id = COURSE_ID
    config.CourseDirectory.source_directory = str(Path(sources or SOURCES).resolve())
    config.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("your code here")'}
    config.ClearSolutions.text_stub = "*(your answer here)*"
    return NbGraderAPI(config=config)


def release(api, assignment):
    """Let nbgrader generate a student version.

    Returns
    -------
    path
        The notebook without solutions and hidden tests.

    Raises
    ------
    ClassroomError
        What nbgrader complained of.
    """
    result = api.generate_assignment(assignment)
    made = Path(api.coursedir.format_path(api.coursedir.release_directory, ".", assignment)) / f"{assignment}.ipynb"
    if not result["success"] or not made.is_file():
        raise ClassroomError(f"nbgrader could not generate {assignment}:\n{result.get('log') or result.get('error')}")
    return made


def make_assignments(names, out, sources=None):
    """Student versions and zips of assignments.

    Parameters
    ----------
    names : sequence of str
        Numbers or names; none means all.
    out : path
        A course folder of nbgrader's; the zips lie in it, one for each assignment.

    Returns
    -------
    list of path
        The zips.

    Raises
    ------
    ClassroomError
    """
    folders = find_assignments(names, sources)
    out = Path(out).resolve()
    api = write_course(out, sources)
    zips = []
    for folder in folders:
        made = release(api, folder.name)
        target = out / f"{folder.name}.zip"
        with tempfile.TemporaryDirectory(dir=out) as scratch:
            part = Path(scratch) / target.name
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in {
                    f"{folder.name}.ipynb": made.read_text(encoding="utf-8"),
                    "README.md": _README.format(name=folder.name),
                }.items():
                    archive.writestr(zipfile.ZipInfo(f"{folder.name}/{name}", ZIP_TIME), text, zipfile.ZIP_DEFLATED)
            shutil.move(part, target)
        zips.append(target)
    return zips


_README = """# {name}: what to do

**Install**, once: Python 3.10 to 3.13 and git; then, in a terminal,

1. get the course: `git clone` with the address that your teacher gave you, and `cd` into its folder;
2. `make .venv/installed`, or without make `python -m venv .venv` and `.venv/bin/python -m pip install -c constraints.txt -e .`
   (on Windows `.venv\\Scripts\\python`). It takes some minutes and 2 GB. No GPU and, after this, no network is needed.

**Work**: put `{name}.ipynb` anywhere, for example beside this file, and open it with
`.venv/bin/python -m jupyter lab`, started in the course's folder.

- First write your student id into the cell that asks for it. Some numbers of your assignment are drawn from it; your
  neighbour's differ.
- Replace every `raise NotImplementedError("your code here")` with your code, and every *(your answer here)* with your answer.
- Leave the test cells as they are: they are put back before grading. Do not delete or copy the cells with answers. You may add
  cells of your own.

**Check**: run the test cell below each task. It is silent when it is content and says what is wrong otherwise. Before handing in:
*Kernel, Restart Kernel and Run All Cells*; it takes under a minute. While grading, further tests call your functions with
other values, so an answer that is typed in rather than computed does not pass.

**Hand in** the one notebook, saved and named after your student id, for example `s2026-001.ipynb`, where your teacher told you to.
It is run from top to bottom, without a network and with 1.5 GB of memory; a cell may take a minute. You get back a page with your points and,
where something did not pass, a word on why.
"""
