"""Grade one submission with nbgrader, in a contained kernel; `aeutils.classroom.grading` starts a process for each.

nbgrader runs the notebook with the tests that students know; the outputs of this run become the feedback, so no hidden test can
appear in it. Then, in the same kernel but from an empty namespace, the answers run again, and the whole of each test runs in
another process (`aeutils.classroom.judge`), which asks the kernel for results. Nothing but its points is kept.
"""

import ast
import json
import os
import re
import shutil
import symtable
import sys
import tempfile
import time
import uuid
from pathlib import Path

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat.v4 import output_from_msg
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ComputeChecksums, Execute, GetGrades
from traitlets import Integer, Unicode, default

from aeutils.classroom import course, feedback, provisioner, sandbox
from aeutils.classroom.course import Assignment
from aeutils.classroom.judge import Judge
from aeutils.classroom.watch import find_tree
from aeutils.errors import UserError

STARVED = 0.25  # a cell that waited so much of its time for a processor may be as quick as others
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
    startup_timeout = Integer(180, help="Seconds for the kernel to start; many start at once on a busy machine.").tag(config=True)
    iopub_timeout = Integer(15, help="Seconds for outputs to arrive after a cell has ended or was interrupted.").tag(config=True)
    failures = []  # in this process, in words for teacher and student; nbgrader only logs them
    plan = None  # what the judge does, of `make_plan`; without it, only nbgrader's own run takes place
    verdicts = {}  # of the judge, by test
    slow = {}  # cells that reached the time limit, and the share of that time in which they waited for a processor
    judge = None

    @default("shutdown_kernel")
    def _kill_kernel(self):
        return "immediate"

    @default("containment")
    def _require_bubblewrap(self):  # `aeutils.classroom.grading` says if only limits are wanted
        return os.environ.get(sandbox.KIND_VARIABLE) or "bwrap"

    def preprocess(self, nb, resources, km=None):
        self._student, self._bytes, self._timeouts = resources["nbgrader"]["student"], 0, 0
        self._place, self._mark, self._answered = "its start", uuid.uuid4().hex, False
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
        finally:
            if self.judge is not None:
                self.judge.close()

    def create_kernel_manager(self):
        provisioner.check_registered()
        if self.containment == "bwrap" and (reason := sandbox.try_bubblewrap()):
            raise sandbox.ContainmentError(f"students' code cannot be contained: {reason}")
        folder = Path(tempfile.mkdtemp(prefix="aeutils-")).resolve()
        if self.plan is not None:
            environment, readable = provisioner.environment_of(self._student), provisioner.readable_folders()
            self.judge = Judge(folder, environment, readable, self.containment)
            given = [step["source"] for step in self.plan if step["kind"] == "given"]
            self.judge.begin(do="given", sources=given, student=self._student)
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
        marks = cell.metadata.get("nbgrader", {})
        name = marks.get("grade_id")
        self._place = f"cell {name!r}" if name else f"cell {index + 1}"
        if self._timeouts >= self.max_timeouts:
            raise SubmissionError(f"{self._timeouts} cells, the last before {self._place}, ran for longer than {self.timeout} s")
        cell, resources = self._execute_cell(cell, resources, index)
        self._answered = self._answered or bool(marks.get("solution") or marks.get("grade"))
        errors = [out for out in cell.get("outputs", []) if out.output_type == "error"]
        if errors and marks.get("locked") and not self._answered and self.plan is not None:
            raise SubmissionError(
                f"{self._place}, which is given, failed before any answer: {errors[0].ename}: {errors[0].evalue[:200]}. Either the "
                "installation is broken, or a cell above it that the student wrote or changed"
            )
        if index == len(self.nb.cells) - 1 and self.judge is not None:
            self._judge(resources)
        return cell, resources

    def _execute_cell(self, cell, resources, index):
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
        started, waited = time.monotonic(), self._read_waiting_time()
        result = super().preprocess_cell(cell, resources, index)
        if self.timeout and time.monotonic() - started >= self.timeout:
            self._timeouts += 1
            self.slow[self._place] = (self._read_waiting_time() - waited) / self.timeout
        return result

    def _read_waiting_time(self):
        """Seconds that the kernel could have run and had no processor; where the system does not say, all the time there is."""
        waited = 0.0
        for process in find_tree(getattr(self.km.provisioner, "pid", None)):
            try:
                waited += int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
            except (OSError, ValueError, IndexError):
                return time.monotonic() if not Path("/proc/self/schedstat").exists() else waited
        return waited

    def _judge(self, resources):
        """Run the answers again, and let the judge run the tests. What cells print here is thrown away."""
        tests = [
            cell for cell in self.nb.cells if cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)
        ]
        if all(any(out.output_type == "error" for out in cell.outputs) for cell in tests):
            return  # no known test passed, so no whole test can
        self._timeouts, self._bytes = 0, 0
        self.judge.end()
        self._run("__import__('aeutils.classroom.answers').classroom.answers.prepare()", resources)
        for step in self.plan:
            self._place = f"cell {step['name']!r}"
            if self._timeouts >= self.max_timeouts:
                raise SubmissionError(
                    f"{self._timeouts} cells, the last before {self._place}, ran for longer than {self.timeout} s"
                )
            if step["kind"] != "test":
                self._run(step["source"], resources)
                continue
            seconds = self.timeout + 5 if self.timeout else 600
            self.judge.begin(do="test", source=step["source"], answers=step["answers"], seconds=seconds)
            self._run(f"__import__('aeutils.classroom.answers').classroom.answers.serve({self.judge.path!r})", resources)
            self.verdicts[step["name"]] = self.judge.end()

    def _run(self, source, resources):
        kept = self.nb.cells[-1]
        try:
            self._execute_timed(nbformat.v4.new_code_cell(source), resources, len(self.nb.cells) - 1)
        finally:
            self.nb.cells[-1] = kept  # nbclient puts what it executed there

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
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                    target = line.targets[0] if isinstance(line, ast.Assign) else line.target
                    if getattr(target, "id", "") == "student_id":
                        found.append(ast.literal_eval(line.value))
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            if re.search(r"^student_id *(:[^=\n]*)?=", cell.source, re.M):
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


def restore_attachments(notebook):
    """Take out, in place, references to pictures that were lost on the way; no page could be made with them."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for name in set(re.findall(r"attachment:([^\s)\"'>\]]+)", cell.source)) - set(cell.get("attachments", {})):
                cell.source = cell.source.replace(f"attachment:{name}", f"#lost-{name}")


# ---- Grading ----


def solve(assignment, student):
    """Make the submission of a student who answers as the teacher does.

    Returns
    -------
    bytes
        A notebook.
    """
    notebook = nbformat.read(assignment.notebook, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", cell.source).rstrip()
        elif cell.source == 'student_id = ""':
            cell.source = f"student_id = {student!r}"
    return nbformat.writes(notebook).encode()


def make_plan(source, notebook):
    """Say what runs where when the answers are judged.

    Parameters
    ----------
    source, notebook : nbformat.NotebookNode
        The source assignment, with the whole tests; the submission, with its restored cells.

    Returns
    -------
    list of dict
        Up to the last test: ``kind`` (``given``: in both processes, ``answer``: in the kernel, ``test``: in the judge), ``name``,
        ``source``, and for tests the names of the ``answers`` above: ``all``, and ``last``, those since the test before.
    """
    tests, names, all_names, last = {}, {}, [], []
    for cell in source.cells:
        marks = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not marks:
            continue
        if marks.grade and not marks.solution:
            tests[marks.grade_id] = cell.source
            names[marks.grade_id] = {"all": list(all_names), "last": last}
            last = []
        elif marks.solution:
            symbols = symtable.symtable(cell.source, marks.grade_id, "exec").get_symbols()
            last = last + [symbol.get_name() for symbol in symbols if symbol.is_assigned()]
            all_names = list(dict.fromkeys(all_names + last))
    plan = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        marks = cell.metadata.get("nbgrader", {})
        name = marks.get("grade_id") or f"number {index + 1}"
        if name in tests and marks:
            plan.append({"kind": "test", "name": name, "source": tests[name], "answers": names[name]})
        else:
            kind = "given" if marks.get("locked") else "answer"
            plan.append({"kind": kind, "name": name, "source": cell.source})
    while plan and plan[-1]["kind"] != "test":
        plan.pop()
    return plan


def make_templates(folder, assignment):
    """Make a course folder to grade in, once for a class: with the tests that students know.

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
    api = course.open_course(folder, assignment.sources, GenerateAssignment={"preprocessors": known_only})
    return course.release(api, assignment)


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
        hidden part failed; ``remarks``; ``errors``: why tests failed, for the teacher; ``slow`` and ``starved``: whether a cell
        reached the time limit, and whether it waited for a processor for much of that time.

    Raises
    ------
    SubmissionError
    """
    assignment, student, folder = job["assignment"], job["student"], Path(job["folder"])
    name, templates = assignment.name, Path(job["templates"])
    release = nbformat.read(templates / "release" / name / f"{name}.ipynb", as_version=4)
    notebook = read_submission(job["submission"])
    remarks = restore_cells(notebook, release)
    check_student(notebook, student)
    restore_attachments(notebook)
    remarks += find_tricks(notebook)
    expected = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if utils.is_grade(cell)}
    root = folder / "visible"
    submitted = root / "submitted" / student / name
    submitted.mkdir(parents=True)
    shutil.copy(templates / "gradebook.db", root)
    nbformat.write(notebook, submitted / f"{name}.ipynb")
    api = course.open_course(
        root,
        assignment.sources,
        Autograde={"autograde_preprocessors": autograde_steps()},
        ContainedExecute={"timeout": job["cell_timeout"], "containment": job["containment"]},
    )
    ContainedExecute.plan = make_plan(nbformat.read(assignment.notebook, as_version=4), notebook)
    result = api.autograde(name, student)
    if not result["success"]:
        known = ContainedExecute.failures
        raise SubmissionError(known[-1] if known else f"nbgrader gave up: {_find_reason(result)}")
    with Gradebook(api.coursedir.db_url, course.COURSE_ID) as gradebook:
        grades = gradebook.find_submission_notebook(name, name, student).grades
        known = {grade.name: grade.auto_score for grade in grades}
    verdicts, scores = ContainedExecute.verdicts, {}
    for task, cell in expected.items():
        if utils.is_solution(cell):
            scores[task] = known.get(task)
        else:
            scores[task] = float(cell.metadata.nbgrader.points) if verdicts.get(task, {}).get("passed") else 0.0
    vacuous = [task for task, verdict in verdicts.items() if verdict.get("vacuous")]
    remarks += [f"{task} passes with a wrong answer, too" for task in vacuous]
    remarks += [f"{place} reached the time limit of {job['cell_timeout']} s" for place in ContainedExecute.slow]
    return {
        "scores": scores,
        "max_scores": {task: float(cell.metadata.nbgrader.points) for task, cell in expected.items()},
        "missed": [task for task, score in scores.items() if score == 0 and (known.get(task) or 0) > 0],
        "remarks": remarks,
        "errors": {task: verdict.get("error") or verdict.get("failed") or "" for task, verdict in verdicts.items()},
        "slow": list(ContainedExecute.slow),
        "starved": any(share > STARVED for share in ContainedExecute.slow.values()),
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
        GenerateFeedback={"preprocessors": [GetGrades, CSSHTMLHeaderPreprocessor]},
    )
    path = root / "autograded" / student / name / f"{name}.ipynb"
    executed = nbformat.read(path, as_version=4)
    feedback.clean_outputs(executed)
    path.chmod(0o600)  # nbgrader leaves it as nobody's to change
    nbformat.write(executed, path)
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
        raise SubmissionError(f"nbgrader could not write the feedback: {_find_reason(outcome)}")
    return feedback.clean_page(page.read_text(encoding="utf-8"), f"{name}: {student}")


def _find_reason(outcome):
    """Find the line of nbgrader's log that says most."""
    lines = [line.strip() for line in f"{outcome.get('log') or ''}\n{outcome.get('error') or ''}".splitlines() if line.strip()]
    errors = [
        line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line) and "NbGraderException" not in line
    ]
    return (errors or lines or ["no reason given"])[-1][:300]


def _end_with_parent(parent):
    """Let this process end when the grader ends, even if that is killed; the kernel then ends with this one."""
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if parent is not None and os.getppid() != parent:
        sys.exit(1)


def main(path):
    """Do the job in a file: write ``result.json`` and the page ``feedback.html`` into its folder."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    job["assignment"] = Assignment(job["assignment"]["name"], Path(job["assignment"]["sources"]))
    folder = Path(job["folder"])
    try:
        if sys.platform == "linux":
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB * 1024**2,) * 2)
            _end_with_parent(job.get("parent"))
        if "result" not in job:
            job["result"] = grade(job)
        (folder / "feedback.html").write_text(write_feedback(job), encoding="utf-8")
        outcome = job["result"]
    except UserError as error:
        outcome = {"refused": str(error)}
    except MemoryError:
        outcome = {"refused": "reading its outputs took too much memory"}
    except RecursionError:
        outcome = {"refused": "something in it is nested too deeply"}
    (folder / "result.json").write_text(json.dumps(outcome), encoding="utf-8")
