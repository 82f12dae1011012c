"""Grade one submission with nbgrader, in a contained kernel; `aeutils.classroom.grading` starts a process for each.

nbgrader runs every submission twice. The first run has only the tests that students know; its outputs become the
feedback, so no hidden test can appear in it. The second run has all tests; only its points are kept.
"""

import ast
import json
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat.v4 import output_from_msg
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ComputeChecksums, Execute, GetGrades
from traitlets import Integer, Unicode, default

from aeutils.classroom import course, provisioner, sandbox
from aeutils.classroom.course import Assignment
from aeutils.errors import UserError

KINDS = ("visible", "hidden")
MEMORY_MB = 2000  # of this process; the kernel has its own limits

# No answer needs these, and they could fool a test. A teacher should look at them; they never cost points.
_TRICKS = re.compile(
    r"get_ipython|__builtins__|\bbuiltins\b|sys\.(?:modules|settrace|meta_path|_getframe)|_transformers|showtraceback"
    r"|\bimportlib\b|\binspect\b|\bgc\.get_|\bctypes\b|\bsubprocess\b|\bos\.(?:environ|system|fork|exec)|\bIn\[|\b_ih\b"
    r"|\bsocket\b|\burllib\b|\brequests\b|\bshutil\b|AEUTILS_STUDENT|(?:\bnp|numpy|keras|aeutils)(?:\.\w+)+ *=[^=]|AssertionError"
)


class SubmissionError(UserError, ValueError):
    """Why a submission cannot be graded, in words for teacher and student."""


# ---- Execution by nbgrader, contained ----


class ContainedExecute(Execute):
    """``Execute`` of nbgrader with a contained kernel, a limit on output, and tests that have to run to their end.

    A test is passed if nothing was raised *and* its last line, a random value added here, was reached. Code that hides
    errors from nbgrader, or a cell that is tagged to be skipped, therefore earns nothing.
    """

    max_output_bytes = Integer(1_000_000, help="Of all cells together; later output is dropped.").tag(config=True)
    max_timeouts = Integer(3, help="After so many cells that reached the time limit, grading stops.").tag(config=True)
    containment = Unicode(help="bwrap or plain; default: AEUTILS_CONTAINMENT, or bwrap.").tag(config=True)
    iopub_timeout = Integer(15, help="Seconds for outputs to arrive after a cell has ended or was interrupted.").tag(config=True)
    failures = []  # in this process, in words for teacher and student; nbgrader only logs them

    @default("shutdown_kernel")
    def _kill_kernel(self):
        return "immediate"

    @default("containment")
    def _require_bubblewrap(self):  # `aeutils.classroom.grading` says if only limits are wanted
        return os.environ.get(sandbox.KIND_VARIABLE) or "bwrap"

    def preprocess(self, nb, resources, km=None):
        self._student, self._bytes, self._timeouts = resources["nbgrader"]["student"], 0, 0
        self._place, self._mark = "its start", uuid.uuid4().hex
        try:
            return super().preprocess(nb, resources, km)
        except DeadKernelError:
            self.failures.append(f"its kernel died in {self._place}: a crash, an exit, or too much memory")
            raise
        except CellTimeoutError:
            self.failures.append(f"{self._place} ran for longer than {self.timeout} s and could not be interrupted")
            raise
        except UserError as error:
            self.failures.append(str(error))
            raise

    def create_kernel_manager(self):
        provisioner.check_registered()
        if self.containment == "bwrap" and (reason := sandbox.try_bubblewrap()):
            raise sandbox.ContainmentError(f"students' code cannot be contained: {reason}")
        folder = Path(tempfile.mkdtemp(prefix="aeutils-")).resolve()
        self.km = self.kernel_manager_class(
            kernel_name=self.kernel_name or "python3",
            transport="ipc",
            connection_file=str(folder / "kernel.json"),
            config=self.config,
        )
        self.km.kernel_spec.interrupt_mode = "message"  # a signal does not reach the kernel inside
        self.km.kernel_spec.metadata["kernel_provisioner"] = {
            "provisioner_name": provisioner.NAME,
            "config": {"student": self._student, "folder": str(folder), "containment": self.containment},
        }
        return self.km

    def preprocess_cell(self, cell, resources, index):
        if not isinstance(self.km.provisioner, provisioner.ContainedProvisioner):  # if another version ignores the metadata
            raise sandbox.ContainmentError("the kernel was not started contained; no cell was run")
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        self._place = f"cell {name!r}" if name else f"cell {index + 1}"
        if self._timeouts >= self.max_timeouts:
            raise SubmissionError(f"{self._timeouts} cells, the last before {self._place}, ran for longer than {self.timeout} s")
        if cell.cell_type != "code" or not utils.is_grade(cell) or utils.is_solution(cell):
            return self._execute_timed(cell, resources, index)
        source, self._mark = cell.source, uuid.uuid4().hex
        cell.source = f"{source}\n{self._mark!r}"
        try:
            cell, resources = self._execute_timed(cell, resources, index)
        finally:
            cell.source = source
        reached = any(
            self._mark in str(out.get("data", {}).get("text/plain"))
            for out in cell.outputs
            if out.output_type == "execute_result"
        )
        # nbgrader would read a value as points and text on stderr as a failure; here only errors count.
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

    def _execute_timed(self, cell, resources, index):
        started = time.monotonic()
        result = super().preprocess_cell(cell, resources, index)
        if self.timeout and time.monotonic() - started >= self.timeout:
            self._timeouts += 1
        return result

    def output(self, outs, msg, display_id, cell_index):
        room = self.max_output_bytes - self._bytes
        content = json.dumps(msg["content"], default=str)
        self._bytes += len(content)
        short = len(content) < 10_000  # a short error, or the mark at the end of a test, is always let through
        if self._bytes <= self.max_output_bytes or short and (msg["msg_type"] == "error" or self._mark in content):
            return super().output(outs, msg, display_id, cell_index)
        if room > 0:  # this is the first output that is too much
            note = {
                "msg_type": "stream",
                "content": {"name": "stdout", "text": "[more output than fits; the rest is left out]\n"},
            }
            outs.append(output_from_msg({**msg, **note}))


def autograde_steps():
    """Return the steps of autograding of nbgrader, with `ContainedExecute` in place of `Execute`."""
    steps = Autograde.class_traits()["autograde_preprocessors"].default()
    return [ContainedExecute if step is Execute else step for step in steps]


# ---- What a submission has to be ----


def read_submission(path):
    """Read the notebook that was handed in.

    Raises
    ------
    SubmissionError
        The file is not a notebook.
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
    """Restore, in place, what students must not change: tests, nbgrader's metadata, deleted cells.

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
    # A missing answer is put after the cell before it, so that a renamed cell below still counts; a given cell is put before
    # the next cell that is there.
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
    """Compare the student id inside with the one in the file name.

    Raises
    ------
    SubmissionError
        The id inside is different, computed, or missing.
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
    """Make remarks on answers that use something that could fool a test."""
    remarks = []
    for index, cell in enumerate(notebook.cells):
        marks = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and not marks.get("locked"):
            if names := sorted({match.group().strip(" =") for match in _TRICKS.finditer(cell.source)}):
                remarks.append(f"look at {marks.get('grade_id') or f'cell {index + 1}'}: it uses {', '.join(names)}"[:200])
    return remarks


# ---- Grading ----


def make_templates(folder, assignment):
    """Make two course folders to grade in, once for a class: with all tests, and with the tests that students know.

    Parameters
    ----------
    folder : pathlib.Path
    assignment : aeutils.classroom.course.Assignment

    Returns
    -------
    pathlib.Path
        The student version.

    Raises
    ------
    aeutils.classroom.course.ClassroomError
    """
    steps = GenerateAssignment.class_traits()["preprocessors"].default()
    steps = [step for step in steps if step not in (ClearHiddenTests, ClearMarkScheme)]
    first = steps.index(ComputeChecksums)
    known_only = [*steps[:first], ClearHiddenTests, ClearMarkScheme, *steps[first:]]
    visible = course.open_course(folder / "visible", assignment.sources, GenerateAssignment={"preprocessors": known_only})
    course.release(visible, assignment)
    return course.release(course.open_course(folder / "hidden", assignment.sources), assignment)


def grade(job):
    """Grade one submission.

    Parameters
    ----------
    job : dict
        ``student``; ``assignment`` (an Assignment); paths ``submission``, ``templates`` (of `make_templates`) and ``folder``
        (to work in; keeps what `write_feedback` needs); ``cell_timeout`` in seconds; ``containment``, a kind of
        `aeutils.classroom.sandbox.contain`.

    Returns
    -------
    dict
        ``scores``: points by task, null if a person has to give them; ``max_scores``; ``missed``: tests of which only the
        hidden part failed; ``remarks``.

    Raises
    ------
    SubmissionError
    """
    assignment, student, folder = job["assignment"], job["student"], Path(job["folder"])
    name, templates = assignment.name, Path(job["templates"])
    release = nbformat.read(templates / "hidden" / "release" / name / f"{name}.ipynb", as_version=4)
    notebook = read_submission(job["submission"])
    remarks = restore_cells(notebook, release)
    check_student(notebook, student)
    remarks += find_tricks(notebook)
    expected = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if utils.is_grade(cell)}
    reached = {}
    for kind in KINDS:
        if kind == "hidden" and not any(reached["visible"].values()):  # all known tests failed: the hidden ones cannot pass
            reached["hidden"] = reached["visible"]
            continue
        root = folder / kind
        submitted = root / "submitted" / student / name
        submitted.mkdir(parents=True)
        shutil.copy(templates / kind / "gradebook.db", root)
        nbformat.write(notebook, submitted / f"{name}.ipynb")
        api = course.open_course(
            root,
            assignment.sources,
            Autograde={"autograde_preprocessors": autograde_steps()},
            ContainedExecute={"timeout": job["cell_timeout"], "containment": job["containment"]},
        )
        result = api.autograde(name, student)
        if not result["success"]:
            known = ContainedExecute.failures
            last = (result.get("error") or result.get("log") or "no reason given").strip().splitlines()[-1]
            raise SubmissionError(known[-1] if known else f"nbgrader gave up: {last[:200]}")
        with Gradebook(api.coursedir.db_url, course.COURSE_ID) as gradebook:
            grades = gradebook.find_submission_notebook(name, name, student).grades
            reached[kind] = {grade.name: grade.auto_score for grade in grades}
    scores = {}
    for task, cell in expected.items():
        score, points = reached["hidden"].get(task), float(cell.metadata.nbgrader.points)
        if score is None and not utils.is_solution(cell):
            raise SubmissionError(f"nbgrader found no result of test {task}")
        if score is not None and score not in (0, points):
            raise SubmissionError(f"test {task} gave {score} of {points:g} points; expected all or nothing")
        scores[task] = score
    shutil.rmtree(folder / "hidden", ignore_errors=True)
    return {
        "scores": scores,
        "max_scores": {task: float(cell.metadata.nbgrader.points) for task, cell in expected.items()},
        "missed": [task for task, score in scores.items() if score == 0 and (reached["visible"].get(task) or 0) > 0],
        "remarks": remarks,
    }


def write_feedback(job):
    """Let nbgrader write the page of one student: outputs from the run with the known tests, points from the other run.

    Parameters
    ----------
    job : dict
        As for `grade`, with its ``result``, and ``written``: points and comment by task, given by hand.

    Returns
    -------
    str
        HTML.
    """
    name, student, result = job["assignment"].name, job["student"], job["result"]
    root = Path(job["folder"]) / "visible"
    api = course.open_course(
        root,
        job["assignment"].sources,
        GenerateFeedback={"preprocessors": [SanitizeHTML, GetGrades, CSSHTMLHeaderPreprocessor]},
        SanitizeHTML={"enabled": True},  # removes scripts from students' text and outputs
    )
    executed = nbformat.read(root / "autograded" / student / name / f"{name}.ipynb", as_version=4)
    answer_of, answer = {}, None
    for cell in executed.cells:
        if utils.is_solution(cell):
            answer = cell.metadata.nbgrader.grade_id
        if utils.is_grade(cell):
            answer_of[cell.metadata.nbgrader.grade_id] = answer
    with Gradebook(api.coursedir.db_url, course.COURSE_ID) as gradebook:
        for task, score in result["scores"].items():
            points, comment = job.get("written", {}).get(task, (None, ""))
            grade = gradebook.find_grade(task, name, name, student)
            grade.auto_score, grade.manual_score, grade.needs_manual_grade = score, points, score is None and points is None
            if task in result["missed"]:
                comment = (
                    f"{result['max_scores'][task]:g} points of {task} are missing although the test that you see passes: "
                    "further tests call your code with other values. Does it use its arguments, or values of this notebook?"
                )
            elif score is None and points is None:
                comment = "This answer is read by your teacher; its points are not in the sum yet."
            if answer_of.get(task) and comment:
                gradebook.find_comment(answer_of[task], name, name, student).manual_comment = comment
        gradebook.db.commit()
    outcome = api.generate_feedback(name, student)
    page = root / "feedback" / student / name / f"{name}.html"
    if not outcome["success"] or not page.is_file():
        reason = (outcome.get("error") or outcome.get("log") or "no reason given").strip().splitlines()[-1]
        raise SubmissionError(f"nbgrader could not write the feedback: {reason[:200]}")
    return page.read_text(encoding="utf-8")


def main(path):
    """Do the job in a file: write ``result.json`` and the page ``feedback.html`` into its folder."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    job["assignment"] = Assignment(job["assignment"]["name"], Path(job["assignment"]["sources"]))
    folder = Path(job["folder"])
    try:
        if sys.platform == "linux":
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB * 1024**2,) * 2)
        if "result" not in job:
            job["result"] = grade(job)
        (folder / "feedback.html").write_text(write_feedback(job), encoding="utf-8")
        outcome = job["result"]
    except UserError as error:
        outcome = {"refused": str(error)}
    except MemoryError:
        outcome = {"refused": "reading its outputs took too much memory"}
    (folder / "result.json").write_text(json.dumps(outcome), encoding="utf-8")
