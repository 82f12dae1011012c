"""Grade a folder of submissions: each in its own watched process, and only if something has changed."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from aeutils.classroom import sandbox
from aeutils.classroom.students import STUDENT_ID
from aeutils.classroom.watch import Watch, run_watched
from aeutils.errors import UserError
from aeutils.files import remove_tree, write_whole

VERSION = 3  # increase it when grading changes
MAX_BYTES = 20_000_000  # of a submission
# jsonschema checks notebooks. At import it compiles a grammar of web addresses, which notebooks do not need and which would take
# a fifth of the time of such a short process.
AUTOGRADER = "import sys; sys.modules['rfc3987_syntax'] = None; from aeutils.classroom.autograder import main; main(sys.argv[1])"
GRADES, REFUSED, WRITTEN, STATE = "grades.csv", "not_graded.csv", "written.csv", ".state"
RUNNING = "running"  # in STATE: the folder of the grading that is going on
SOLUTION = "solution"  # the id with which the teacher's own solution is graded


class GradingError(UserError, ValueError):
    """Nothing can be graded, or points written by hand do not fit."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one submission.

    Attributes
    ----------
    name : str
        Of the file.
    result : dict or None
        What `aeutils.classroom.autograder.grade` returns.
    refused : str
        Why there is no result.
    fresh : bool
        Whether it was graded now; otherwise it is kept from before.
    seconds : float
    """

    name: str
    result: dict | None
    refused: str = ""
    fresh: bool = True
    seconds: float = 0.0

    @property
    def points(self):
        """Points reached and points possible, without the answers that a person still has to read."""
        scores, most = self.result["scores"], self.result["max_scores"]
        return sum(score or 0 for score in scores.values()), sum(
            most[name] for name, score in scores.items() if score is not None
        )

    @property
    def starved(self):
        """Whether a cell reached the time limit and waited for a processor for much of that time."""
        return bool(self.result and self.result.get("starved"))


def grade_folder(folder, assignment, out, workers=2, watch=None, retry=False, check=True):
    """Grade every ``ID.ipynb`` of a folder; submissions that were graded before and have not changed are kept.

    `out` then holds ``grades.csv``, ``not_graded.csv``, ``feedback/ID.html`` and, for the questions that a person reads,
    ``written.csv``. All are written again after every submission, each as a whole or not at all.

    Parameters
    ----------
    folder : path
        Submissions, named by student id; nothing in it is changed.
    assignment : aeutils.classroom.course.Assignment
    out : path
    workers : int
        Submissions at a time.
    watch : aeutils.classroom.watch.Watch, optional
    retry : bool
        Whether to try again what could not be graded, or reached a time limit, even if it has not changed.
    check : bool
        Whether the teacher's own solution is graded first. It has to earn everything, or else nobody is graded: it is not the
        students' fault if the installation is broken.

    Yields
    ------
    Outcome
        First those that are kept, then the others as they end. Whatever reached a time limit beside others is graded again,
        alone, at the end.

    Raises
    ------
    GradingError
        No such folder, another process is grading into `out`, points in ``written.csv`` that do not fit, or a solution that
        does not earn its points here.
    aeutils.classroom.course.ClassroomError
        nbgrader cannot make the assignment.
    aeutils.classroom.sandbox.ContainmentError
        Students' code cannot be contained, because the package has to be installed again.
    """
    from aeutils.classroom import provisioner

    folder, out, watch = Path(folder), Path(out).resolve(), watch or Watch()
    if not folder.is_dir():
        raise GradingError(f"{folder} is not a folder; expected one with submissions such as s2026-001.ipynb")
    provisioner.check_registered()
    sandbox.check_user()
    (out / STATE).mkdir(parents=True, exist_ok=True)
    (out / "feedback").mkdir(exist_ok=True)
    with _lock(out):
        _clean_up(out)
        written = _read_written(out / WRITTEN)
        outcomes, todo = _find_work(folder, assignment, out, written, watch, retry)
        _forget(out, {Path(name).stem for name in outcomes} | {submission.student for submission in todo})
        for name, outcome in outcomes.items():
            if outcome.result is None and outcome.fresh:
                _write_refusal(out, name, outcome.refused)
        _write_tables(out, outcomes)
        yield from outcomes.values()
        if not todo:
            return
        with _scratch(out) as scratch:
            job = _prepare(scratch / "templates", assignment, watch)
            work = _Work(job, out, scratch, written, watch, threading.Event())
            if check and any(not submission.kept for submission in todo):
                _check_solution(assignment, work)
            for outcome in _grade_all(todo, work, workers):
                outcomes[outcome.name] = outcome
                _write_tables(out, outcomes)
                yield outcome


def _grade_all(todo, work, workers):
    """Yield outcomes as they come, last of all those that have to be graded again, alone."""
    executor, starved = ThreadPoolExecutor(workers), []
    try:
        futures = {executor.submit(_grade_one, submission, work): submission for submission in todo}
        for future in as_completed(futures):
            outcome = future.result()
            if outcome.starved:
                starved.append(futures[future])
            else:
                yield outcome
        for submission in starved:
            yield executor.submit(_grade_one, replace(submission, kept=None), work, alone=True).result()
    finally:
        work.stop.set()  # kills what still runs
        executor.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Submission:
    """A submission to be graded: its content, digests of all that its grade and its page depend on, and what is kept."""

    name: str
    content: bytes
    digest: str = ""
    page_digest: str = ""
    kept: dict | None = None

    @property
    def student(self):
        return Path(self.name).stem


@dataclass(frozen=True)
class _Work:
    """What the submissions of one grading share."""

    job: dict
    out: Path
    scratch: Path
    written: dict
    watch: Watch
    stop: threading.Event


def _find_work(folder, assignment, out, written, watch, retry):
    """Return the outcomes that are known by now, by file name, and the submissions to be graded."""
    source = [path.read_bytes() for path in sorted(assignment.folder.rglob("*")) if path.is_file()]
    basis = _digest(VERSION, watch.cell_seconds, *source)
    outcomes, todo = {}, []
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        name = show(path.name)
        try:
            content = _read_submission(path)
        except GradingError as error:
            outcomes[name] = Outcome(name, None, str(error))
            continue
        digest = _digest(basis, path.stem, content)
        page_digest = _digest(digest, written.get(path.stem))
        kept = _read_state(_state_of(out, path.stem).with_suffix(".json"), digest)
        if retry and kept and (kept["refused"] or kept["result"].get("slow")):
            kept = None
        if kept and kept["page"] == page_digest and (out / "feedback" / f"{path.stem}.html").exists():
            outcomes[name] = Outcome(name, kept["result"], kept["refused"], fresh=False)
        else:
            todo.append(_Submission(name, content, digest, page_digest, kept))
    return outcomes, todo


def show(text):
    """Make a text that students chose fit to be shown: in a terminal, a table or a message."""
    data = os.fsencode(text) if isinstance(text, str) and not text.isascii() else text
    if isinstance(data, bytes):  # names of files can be any bytes; zips made on Windows in Korea hold CP949
        for encoding in ("utf-8", "cp949"):
            with suppress(UnicodeDecodeError):
                text = data.decode(encoding)
                break
        else:
            text = data.decode("utf-8", errors="replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _state_of(out, student):
    """Where the state of a student is: a name that no other id has, whatever the system makes of capitals and dots."""
    return out / STATE / hashlib.sha256(student.encode()).hexdigest()[:32]


@contextmanager
def _scratch(out):
    """A folder to grade in, for as long as it is needed. Its name is noted, so that the next grading can remove it."""
    scratch = Path(tempfile.mkdtemp(prefix="aeutils-grading-")).resolve()
    write_whole(out / STATE / RUNNING, str(scratch))
    try:
        yield scratch
    finally:
        remove_tree(scratch)
        (out / STATE / RUNNING).unlink(missing_ok=True)


def _clean_up(out):
    """End and remove what is left of a grading that was killed."""
    import psutil

    try:
        scratch = Path((out / STATE / RUNNING).read_text(encoding="utf-8"))
    except OSError:
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(word.startswith(str(scratch)) for word in process.cmdline()):
                process.kill()
                process.wait(5)
    if scratch.name.startswith("aeutils-grading-"):
        remove_tree(scratch)
    (out / STATE / RUNNING).unlink(missing_ok=True)


def _prepare(templates, assignment, watch):
    """Make what all submissions need, and return the part of a job that is the same for all."""
    from aeutils import load_dataset
    from aeutils.classroom import autograder

    load_dataset("digits", limit=1)  # puts it into the cache, which kernels can read but not write
    autograder.make_templates(templates, assignment)
    return {
        "assignment": {"name": assignment.name, "sources": str(assignment.sources)},
        "templates": str(templates),
        "cell_timeout": watch.cell_seconds,
        "containment": sandbox.find_kind(),
    }


def _digest(*parts):
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part if isinstance(part, bytes) else json.dumps(part).encode()).digest())
    return whole.hexdigest()


@contextmanager
def _lock(out):
    from filelock import FileLock, Timeout

    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout:
        raise GradingError(f"another grading is writing into {out}; wait until it has ended, or choose another --out") from None


def _read_submission(path):
    """Read the bytes of a submission once; later changes of the file do not affect this grading."""
    if path.suffix != ".ipynb":
        raise GradingError("its name does not end in .ipynb")
    if not STUDENT_ID.fullmatch(path.stem):
        raise GradingError("its name is no student id: expected up to 64 letters, digits, dots, hyphens or underscores")
    if path.is_dir() and not path.is_symlink():
        raise GradingError("it is a folder, not a file")
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if path.is_symlink() or not stat.S_ISREG(status.st_mode):
                raise GradingError("it is not an ordinary file")
            if status.st_size > MAX_BYTES:
                raise GradingError(f"it has {status.st_size:,} bytes; expected at most {MAX_BYTES:,} (clear its outputs)")
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = "it is a link, not a file" if path.is_symlink() else f"it cannot be read ({error.strerror})"
        raise GradingError(reason) from None


def _read_state(path, digest):
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept if kept["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget(out, names):
    """Remove pages and states of submissions that are no longer there, so that no page is returned to the wrong person."""
    for state in (out / STATE).glob("*.json"):
        try:
            student = json.loads(state.read_text(encoding="utf-8"))["student"]
        except (OSError, ValueError, KeyError, TypeError):  # of an earlier version
            student = state.stem
        if student not in names or _state_of(out, student).name != state.stem:
            state.unlink()
            remove_tree(state.with_suffix(""))
            if student not in names and STUDENT_ID.fullmatch(student):
                (out / "feedback" / f"{student}.html").unlink(missing_ok=True)


# ---- One submission ----


def _check_solution(assignment, work):
    """Grade the teacher's own solution.

    Raises
    ------
    GradingError
        It does not earn everything.
    """
    from aeutils.classroom import autograder

    with _job_folder(work) as folder:
        submission = _Submission(f"{SOLUTION}.ipynb", autograder.solve(assignment, SOLUTION))
        result, refused = _run(submission, work, folder)
        if work.stop.is_set():
            return
        lost = (
            [name for name, most in result["max_scores"].items() if result["scores"][name] not in (None, most)] if result else []
        )
        if refused or lost:
            reasons = [f"{name} ({result.get('errors', {}).get(name, 'no reason given')})" for name in lost]
            raise GradingError(
                f"the solution of {assignment.name} itself does not earn its points here, so nobody was graded: "
                f"{refused or '; '.join(reasons)}. Look at the installation, and at the assignment if you changed it"
            )


@contextmanager
def _job_folder(work):
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=work.scratch))
    try:
        yield folder
    finally:
        remove_tree(folder)


def _run(submission, work, folder):
    """Grade a submission in a process of its own. Returns its result, or None and why there is none."""
    student = submission.student
    job = work.job | {
        "student": student,
        "folder": str(folder),
        "submission": str(folder / "submission.ipynb"),
        "written": work.written.get(student, {}),
        "parent": os.getpid(),
    }
    (folder / "submission.ipynb").write_bytes(submission.content)
    kept_runs = _state_of(work.out, student)
    if submission.kept and submission.kept["result"] and kept_runs.is_dir():  # only points or comments by hand are new
        job["result"] = submission.kept["result"]
        shutil.copytree(kept_runs, folder / "visible")
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    refused = run_watched([sys.executable, "-c", AUTOGRADER, str(folder / "job.json")], folder, work.watch, work.stop)
    return (None, refused) if refused else _read_result(folder)


def _grade_one(submission, work, alone=False):
    """Grade one submission and keep what comes out. Whatever it raises is the end of this submission alone."""
    student, out, name, started = submission.student, work.out, submission.name, time.monotonic()
    kept_runs = _state_of(out, student)
    try:
        with _job_folder(work) as folder:
            result, refused = _run(submission, work, folder)
            if work.stop.is_set():
                return Outcome(name, None, "stopped")
            if result and result.get("starved") and not alone:  # nothing is kept of it
                return Outcome(name, result, seconds=time.monotonic() - started)
            if result:
                write_whole(out / "feedback" / f"{student}.html", (folder / "feedback.html").read_text(encoding="utf-8"))
                remove_tree(kept_runs)
                shutil.copytree(folder / "visible", kept_runs)
            else:
                _write_refusal(out, name, refused)
        note = {"digest": submission.digest, "page": submission.page_digest, "result": result, "refused": refused}
        write_whole(kept_runs.with_suffix(".json"), json.dumps(note | {"student": student}))
    except OSError as error:  # for example a full disk; no state is written, so the next grading tries again
        return Outcome(name, None, f"writing its results: {show(str(error))}", seconds=time.monotonic() - started)
    except Exception as error:
        reason = f"grading it failed ({type(error).__name__}: {show(str(error))[:200]}); look at the file by hand"
        return Outcome(name, None, reason, seconds=time.monotonic() - started)
    return Outcome(name, result, refused, seconds=time.monotonic() - started)


def _read_result(folder):
    """Read and check what the autograder wrote."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        if refused := result.get("refused"):
            return None, show(str(refused))[:400]
        scores, most = result["scores"], result["max_scores"]
        fits = (
            scores
            and scores.keys() == most.keys()
            and all(score is None or 0 <= score <= most[name] for name, score in scores.items())
        )
        if not fits or not (folder / "feedback.html").is_file():
            raise ValueError
        return result | {"remarks": [show(remark) for remark in result.get("remarks", [])]}, ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        tail = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return None, f"the autograder failed{': ' + show(tail[0])[:200] if tail else ''}"


# ---- Tables and pages ----


def _write_tables(out, outcomes):
    try:
        written, readable = _read_written(out / WRITTEN), True  # read again: somebody may be filling it in
    except GradingError:
        written, readable = {}, False
    graded = {Path(name).stem: outcome for name, outcome in sorted(outcomes.items()) if outcome.result}
    tasks = list(next(iter(graded.values())).result["max_scores"]) if graded else []
    rows = [["student", "points", "possible", "still_to_read", *tasks, "remarks"]]
    by_hand = []
    for student, outcome in graded.items():
        result = outcome.result
        scores = dict(result["scores"])
        for task, score in result["scores"].items():
            if score is None:
                points, comment = written.get(student, {}).get(task, (None, ""))
                scores[task] = points
                by_hand.append([student, task, f"{result['max_scores'][task]:g}", _number(points), comment])
        open_tasks = [task for task, score in scores.items() if score is None]
        total = sum(score for score in scores.values() if score is not None)
        rows.append(
            [
                student,
                _number(total),
                _number(sum(result["max_scores"].values())),
                len(open_tasks),
                *map(_number, scores.values()),
                "; ".join(result["remarks"]),
            ]
        )
    _write_csv(out / GRADES, rows)
    refused = [[name, outcome.refused] for name, outcome in sorted(outcomes.items()) if not outcome.result]
    _write_csv(out / REFUSED, [["file", "reason"], *refused])
    if readable and (by_hand or written):
        there = {(row[0], row[1]) for row in by_hand}
        gone = [  # points given by hand are always kept
            [student, task, "", _number(points), comment]
            for student, tasks in written.items()
            for task, (points, comment) in tasks.items()
            if (student, task) not in there
        ]
        _write_csv(out / WRITTEN, [["student", "task", "possible", "points", "comment"], *by_hand, *gone])


def _number(value):
    return "" if value is None else f"{value:g}"


def _write_csv(path, rows):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([[_safe(field) for field in row] for row in rows])
    write_whole(path, stream.getvalue())


def _safe(field):
    """Put an apostrophe before a text that a spreadsheet would run as a formula; names and ids come from students."""
    if not isinstance(field, str):
        return field
    field = "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in field)
    return f"'{field}" if re.match(r"\s*[=+@-]", field) and not re.fullmatch(r"-?\d+(\.\d+)?", field) else field


def _read_written(path):
    """Read points and comments given by hand: {student: {task: (points or None, comment)}}."""
    if not path.exists():
        return {}
    written = {}
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        for number, row in enumerate(rows, start=2):
            try:
                text, comment = (
                    (row["points"] or "").strip().replace(",", "."),
                    re.sub(r"^'(?=\s*[=+@-])", "", row["comment"] or "").strip(),
                )
                points, most = float(text) if text else None, float(row["possible"] or "inf")
                student, task = row["student"], row["task"]
            except (KeyError, ValueError, AttributeError):
                raise GradingError(
                    f"{path}, line {number}: expected the columns student, task, possible, points, comment, "
                    f"with numbers for points, got {row}"
                ) from None
            if points is not None and not 0 <= points <= most:
                raise GradingError(f"{path}, line {number}: {points:g} points for {task} of {student}; expected 0 to {most:g}")
            if points is not None or comment:
                written.setdefault(student, {})[task] = (points, comment)
    return written


def _write_refusal(out, name, reason):
    """Write a page for a student whose submission could not be graded, if the file's name is an id."""
    from aeutils.running.reports import render_page

    student = Path(name).stem
    if not (name.endswith(".ipynb") and STUDENT_ID.fullmatch(student)):
        return
    text = f"{name} could not be graded; the reason is below. Please ask your teacher whether you may hand in again."
    page = render_page(f"{student}: not graded yet", [text], failure=f"{reason}.")
    write_whole(out / "feedback" / f"{student}.html", page)
