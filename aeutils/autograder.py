"""One submission graded by nbgrader, its kernel contained; `aeutils.grading` starts a process for each.

nbgrader runs every submission twice. The first run has only the tests that students know; its outputs become the
feedback, so that no hidden test can be in it. The second run has all tests; only its points are kept.
"""

import ast
import json
import re
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbgrader import utils
from nbgrader.api import Gradebook
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ComputeChecksums, Execute, GetGrades
from nbformat.v4 import output_from_msg
from traitlets import Integer, default

from aeutils import classroom, datasets, sandbox

KINDS = ("visible", "hidden")
MEMORY_MB = 2000  # of this process; the kernel has limits of its own
THREADS = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# What no answer of these assignments needs and a test could be fooled with: worth a look by hand, never a reason for fewer points.
_TRICKS = re.compile(
    r"get_ipython|__builtins__|\bbuiltins\b|sys\.(?:modules|settrace|meta_path|_getframe)|_transformers|showtraceback"
    r"|\bimportlib\b|\binspect\b|\bgc\.get_|\bctypes\b|\bsubprocess\b|\bos\.(?:environ|system|fork|exec)|\bIn\[|\b_ih\b"
    r"|\bsocket\b|\burllib\b|\brequests\b|\bshutil\b|AEUTILS_STUDENT|(?:\bnp|numpy|keras|aeutils)(?:\.\w+)+ *=[^=]|AssertionError"
)


class SubmissionError(ValueError):
    """Why a submission cannot be graded, in words for teacher and student."""


# ---- nbgrader's execution, contained ----


class ContainedKernelManager(AsyncKernelManager):
    """Starts the kernel in `aeutils.sandbox`; the only way out of it are the sockets in a folder of its own."""

    student = ""

    def __init__(self, **options):
        self.folder = Path(tempfile.mkdtemp(prefix="aeutils-"))
        super().__init__(transport="ipc", connection_file=str(self.folder / "kernel.json"), **options)

    def format_kernel_cmd(self, extra_arguments=None):
        self.kernel_spec.interrupt_mode = "message"  # a signal would not reach it in there
        cache = datasets.cache_folder()
        environment = {**THREADS, "USER": "student", "MPLBACKEND": "agg", classroom.STUDENT_VARIABLE: self.student}
        environment["AEUTILS_CACHE_DIR"] = str(cache)
        return sandbox.contain(
            super().format_kernel_cmd(extra_arguments),
            readable=[cache] if cache.is_dir() else [],
            writable=[self.folder],
            environment=environment,
        )

    async def _async_cleanup_resources(self, restart=False):
        await super()._async_cleanup_resources(restart)
        if not restart:
            shutil.rmtree(self.folder, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources


class ContainedExecute(Execute):
    """nbgrader's `Execute` with a contained kernel, a limit on output, and tests that have to run to their end.

    A test counts as passed where nothing was raised *and* its last line, an unforeseeable value added here, was reached: code
    that hides errors from nbgrader, or a cell that is tagged to be skipped, earns nothing.
    """

    max_output_bytes = Integer(1_000_000, help="Of all cells together; what comes after is dropped.").tag(config=True)
    max_timeouts = Integer(3, help="After so many cells that ran into the time limit the kernel is given up.").tag(config=True)
    iopub_timeout = Integer(15, help="Seconds for outputs to arrive after a cell has ended or was interrupted.").tag(config=True)
    failures = []  # of this process: nbgrader itself only logs them

    @default("shutdown_kernel")
    def _shutdown_kernel_default(self):
        return "immediate"

    def preprocess(self, nb, resources, km=None):
        self._student, self._bytes, self._timeouts = resources["nbgrader"]["student"], 0, 0
        self._place, self._mark = "before its first cell", uuid.uuid4().hex
        try:
            return super().preprocess(nb, resources, km)
        except DeadKernelError:
            self.failures.append(f"its kernel died in {self._place}: a crash, an exit, or too much memory")
            raise
        except CellTimeoutError:
            self.failures.append(f"{self._place} ran for longer than {self.timeout} s and could not be interrupted")
            raise
        except SubmissionError as error:
            self.failures.append(str(error))
            raise

    def create_kernel_manager(self):
        self.km = ContainedKernelManager(kernel_name=self.kernel_name or "python3", config=self.config)
        self.km.student = self._student
        return self.km

    def preprocess_cell(self, cell, resources, index):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        self._place = f"cell {name!r}" if name else f"cell {index + 1}"
        if self._timeouts >= self.max_timeouts:
            raise SubmissionError(f"{self._timeouts} cells, the last before {self._place}, ran for longer than {self.timeout} s")
        if cell.cell_type != "code" or not utils.is_grade(cell) or utils.is_solution(cell):
            return super().preprocess_cell(cell, resources, index)
        source, self._mark = cell.source, uuid.uuid4().hex
        cell.source = f"{source}\n{self._mark!r}"
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        finally:
            cell.source = source
        reached = any(
            self._mark in str(out.get("data", {}).get("text/plain"))
            for out in cell.outputs
            if out.output_type == "execute_result"
        )
        # Warnings are no failure, and a value is no mark: what decides is whether the test ended without an error.
        cell.outputs = [out for out in cell.outputs if out.output_type != "execute_result" and out.get("name") != "stderr"]
        if not reached and not any(out.output_type == "error" for out in cell.outputs):
            cell.outputs.append(
                nbformat.v4.new_output(
                    "error",
                    ename="TestNotFinished",
                    evalue="this test did not run to its end",
                    traceback=["TestNotFinished: this test did not run to its end"],
                )
            )
        return cell, resources

    async def _async_handle_timeout(self, timeout, cell=None):
        self._timeouts += 1
        return await super()._async_handle_timeout(timeout, cell)

    def output(self, outs, msg, display_id, cell_index):
        room = self.max_output_bytes - self._bytes
        content = json.dumps(msg["content"], default=str)
        self._bytes += len(content)
        short = len(content) < 10_000  # what ends a cell is always let through
        if self._bytes <= self.max_output_bytes or short and (msg["msg_type"] == "error" or self._mark in content):
            return super().output(outs, msg, display_id, cell_index)
        if room > 0:  # the first that is too much
            note = {
                "msg_type": "stream",
                "content": {"name": "stdout", "text": "[more output than fits; the rest is left out]\n"},
            }
            outs.append(output_from_msg({**msg, **note}))


def autograde_steps():
    """nbgrader's own steps of autograding, with `ContainedExecute` in the place of `Execute`."""
    steps = Autograde.autograde_preprocessors.default_args[0]
    return [ContainedExecute if step is Execute else step for step in steps]


# ---- What a submission has to be ----


def read_submission(path):
    """The notebook that was handed in.

    Raises
    ------
    SubmissionError
        It is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SubmissionError("it is not a notebook: the file is not text") from None
    if not text.strip():
        raise SubmissionError("the file is empty")
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.reader.NotJSONError, json.JSONDecodeError):
        raise SubmissionError("it is not a notebook, or was cut off: the file is not JSON") from None
    except RecursionError:
        raise SubmissionError("it is not a notebook: the file is nested too deeply") from None
    except Exception as error:  # nbformat raises what it meets: ValidationError, KeyError, AttributeError, ...
        raise SubmissionError(f"it is not a valid notebook ({type(error).__name__})") from None
    return notebook


def restore_cells(notebook, release):
    """Put back, in place, what students must not change: tests, the marks of nbgrader's, deleted cells.

    Parameters
    ----------
    notebook, release : nbformat.NotebookNode
        What was handed in, and the student version that was handed out.

    Returns
    -------
    list of str
        What was put back, for the teacher.
    """
    handed_out = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    found, remarks = {}, []
    for index, cell in enumerate(notebook.cells):
        marks = cell.metadata.pop("nbgrader", None)
        name = marks.get("grade_id") if isinstance(marks, dict) else None
        if isinstance(name, str) and name in handed_out and handed_out[name].cell_type == cell.cell_type:
            if name in found:
                remarks.append(f"{name} is there twice; the last one counts")
                notebook.cells[found[name]].metadata.pop("nbgrader")
            found[name] = index
            cell.metadata = nbformat.from_dict(dict(handed_out[name].metadata))
            if handed_out[name].metadata.nbgrader.locked and cell.source != handed_out[name].source:
                remarks.append(f"{name} was changed and put back")
                cell.source = handed_out[name].source
        else:
            cell.metadata = nbformat.NotebookNode()
    # An answer goes to where it was, so that a renamed cell below still counts; what was given goes right before what it is for.
    names, before = list(handed_out), {}
    for place, name in enumerate(names):
        if name not in found:
            remarks.append(f"{name} was missing and put back")
            cell = nbformat.from_dict(json.loads(json.dumps(handed_out[name])))
            if cell.metadata.nbgrader.locked:
                index = min((found[other] for other in names[place:] if other in found), default=len(notebook.cells))
            else:
                index = 1 + max((found[other] for other in names[:place] if other in found), default=-1)
            before.setdefault(index, []).append(cell)
    cells = []
    for index, cell in enumerate([*notebook.cells, None]):
        cells += before.get(index, []) + ([cell] if cell is not None else [])
    notebook.cells, notebook.metadata = cells, nbformat.from_dict(json.loads(json.dumps(release.metadata)))
    seen = set()
    for cell in notebook.cells:  # nbformat wants each id once
        if cell.get("id") in seen:
            cell["id"] = uuid.uuid4().hex[:8]
        seen.add(cell.get("id"))
    return remarks


def check_student(notebook, student):
    """Compare the id inside with the one that the file is named after.

    Raises
    ------
    SubmissionError
        The id inside is another, is computed, or is nowhere.
    """
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.metadata.get("nbgrader", {}).get("locked"):
            continue
        try:
            lines = [line for line in ast.parse(cell.source).body if isinstance(line, ast.Assign)]
            found += [ast.literal_eval(line.value) for line in lines if getattr(line.targets[0], "id", "") == "student_id"]
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            if re.search(r"^student_id *=", cell.source, re.M):
                found.append(None)
    if not found or not all(isinstance(value, str) for value in found):
        raise SubmissionError('it has no line with the student id as it was handed out, such as student_id = "s2026-001"')
    for value in found:
        if value.strip() not in ("", student):
            raise SubmissionError(f"the student id inside is {value.strip()[:80]!r}, but the file is named {student!r}")


def find_tricks(notebook):
    """Remarks on answers that use what could fool a test."""
    remarks = []
    for index, cell in enumerate(notebook.cells):
        marks = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and not marks.get("locked"):
            if names := sorted({match.group().strip(" =") for match in _TRICKS.finditer(cell.source)}):
                remarks.append(f"look at {marks.get('grade_id') or f'cell {index + 1}'}: it uses {', '.join(names)}"[:200])
    return remarks


# ---- Grading ----


def make_templates(folder, assignment, sources=None):
    """Two course folders to grade in, once for a whole class: with all tests, and with those that students know.

    Returns
    -------
    path
        The student version.

    Raises
    ------
    aeutils.classroom.ClassroomError
    """
    steps = [step for step in GenerateAssignment.preprocessors.default_args[0] if step not in (ClearHiddenTests, ClearMarkScheme)]
    first = steps.index(ComputeChecksums)
    known_only = [*steps[:first], ClearHiddenTests, ClearMarkScheme, *steps[first:]]
    classroom.release(
        classroom.open_course(folder / "visible", sources, GenerateAssignment={"preprocessors": known_only}), assignment
    )
    return classroom.release(classroom.open_course(folder / "hidden", sources), assignment)


def grade(job):
    """Grade one submission.

    Parameters
    ----------
    job : dict
        ``student``, ``assignment``; paths ``submission``, ``templates`` (of `make_templates`), ``sources``, ``folder`` (to
        work in; keeps what `write_feedback` needs), ``cell_timeout`` in seconds.

    Returns
    -------
    dict
        ``scores``: points by task, null where a person has to give them; ``max_scores``; ``remarks``.

    Raises
    ------
    SubmissionError
    """
    assignment, student, folder = job["assignment"], job["student"], Path(job["folder"])
    release = nbformat.read(Path(job["templates"]) / "hidden" / "release" / assignment / f"{assignment}.ipynb", as_version=4)
    notebook = read_submission(job["submission"])
    remarks = restore_cells(notebook, release)
    check_student(notebook, student)
    remarks += find_tricks(notebook)
    expected = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if utils.is_grade(cell)}
    reached = {}
    for kind in KINDS:
        if kind == "hidden" and not any(reached["visible"].values()):  # who fails every known test fails those and more
            reached["hidden"] = reached["visible"]
            continue
        root = folder / kind
        submitted = root / "submitted" / student / assignment
        submitted.mkdir(parents=True)
        shutil.copy(Path(job["templates"]) / kind / "gradebook.db", root)
        nbformat.write(notebook, submitted / f"{assignment}.ipynb")
        api = classroom.open_course(
            root,
            job["sources"],
            Autograde={"autograde_preprocessors": autograde_steps()},
            ContainedExecute={"timeout": job["cell_timeout"]},
        )
        result = api.autograde(assignment, student)
        if not result["success"]:
            known = ContainedExecute.failures
            last = (result.get("error") or result.get("log") or "no reason given").strip().splitlines()[-1]
            raise SubmissionError(known[-1] if known else f"nbgrader gave up: {last[:200]}")
        with Gradebook(api.coursedir.db_url, classroom.COURSE_ID) as gradebook:
            grades = gradebook.find_submission_notebook(assignment, assignment, student).grades
            reached[kind] = {grade.name: grade.auto_score for grade in grades}
    scores = {}
    for name, cell in expected.items():
        score, points = reached["hidden"].get(name), float(cell.metadata.nbgrader.points)
        if score is None and not utils.is_solution(cell):
            raise SubmissionError(f"nbgrader found no result of test {name}")
        if score is not None and score not in (0, points):
            raise SubmissionError(f"test {name} gave {score} of {points:g} points; expected all or nothing")
        scores[name] = score
    shutil.rmtree(folder / "hidden", ignore_errors=True)
    return {
        "scores": scores,
        "max_scores": {name: float(cell.metadata.nbgrader.points) for name, cell in expected.items()},
        "missed": [name for name, score in scores.items() if score == 0 and (reached["visible"].get(name) or 0) > 0],
        "remarks": remarks,
    }


def write_feedback(job):
    """Let nbgrader write the page of one student from the run with the known tests, with the points of the other one.

    Parameters
    ----------
    job : dict
        As for `grade`, with its ``result``, and ``written``: points and comment by task, given by hand.

    Returns
    -------
    str
        HTML.
    """
    assignment, student, result = job["assignment"], job["student"], job["result"]
    api = classroom.open_course(
        Path(job["folder"]) / "visible",
        job["sources"],
        GenerateFeedback={"preprocessors": [SanitizeHTML, GetGrades, CSSHTMLHeaderPreprocessor]},
        SanitizeHTML={"enabled": True},  # students' text and outputs bring no scripts to whoever opens the page
    )
    path = Path(job["folder"]) / "visible" / "autograded" / student / assignment / f"{assignment}.ipynb"
    answer_of, answer = {}, None
    for cell in nbformat.read(path, as_version=4).cells:
        if utils.is_solution(cell):
            answer = cell.metadata.nbgrader.grade_id
        if utils.is_grade(cell):
            answer_of[cell.metadata.nbgrader.grade_id] = answer
    with Gradebook(api.coursedir.db_url, classroom.COURSE_ID) as gradebook:
        for name, score in result["scores"].items():
            points, comment = job.get("written", {}).get(name, (None, ""))
            grade = gradebook.find_grade(name, assignment, assignment, student)
            grade.auto_score, grade.manual_score, grade.needs_manual_grade = score, points, score is None and points is None
            if name in result["missed"]:
                comment = (
                    f"{result['max_scores'][name]:g} points of {name} are missing although the test that you see is content: "
                    "further tests call your code with other values. Does it use what it is given, or what this notebook happens to hold?"
                )
            elif score is None and points is None:
                comment = "This answer is read by your teacher; its points are not in the sum yet."
            if answer_of.get(name) and comment:
                gradebook.find_comment(answer_of[name], assignment, assignment, student).manual_comment = comment
        gradebook.db.commit()
    outcome = api.generate_feedback(assignment, student)
    page = Path(job["folder"]) / "visible" / "feedback" / student / assignment / f"{assignment}.html"
    if not outcome["success"] or not page.is_file():
        raise SubmissionError(f"nbgrader could not write the feedback: {(outcome.get('error') or '').strip().splitlines()[-1:]}")
    return page.read_text(encoding="utf-8")


def main(path):
    """Do one job; the outcome is ``result.json``, and the page ``feedback.html``, in its folder."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    try:
        if sys.platform == "linux":
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB * 1024**2,) * 2)
        if "result" not in job:
            job["result"] = grade(job)
        (folder / "feedback.html").write_text(write_feedback(job), encoding="utf-8")
        outcome = job["result"]
    except SubmissionError as error:
        outcome = {"refused": str(error)}
    except MemoryError:
        outcome = {"refused": "reading its outputs took too much memory"}
    (folder / "result.json").write_text(json.dumps(outcome), encoding="utf-8")
