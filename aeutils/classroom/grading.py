"""Grade a folder of submissions: each in its own watched process, and only if something has changed."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aeutils.classroom import sandbox
from aeutils.classroom.students import STUDENT_ID
from aeutils.errors import UserError
from aeutils.files import write_whole

VERSION = 2  # increase it when grading changes
MAX_BYTES = 20_000_000  # of a submission
# jsonschema checks notebooks. At import it compiles a grammar of web addresses, which notebooks do not need and which would take
# a fifth of the time of such a short process.
AUTOGRADER = "import sys; sys.modules['rfc3987_syntax'] = None; from aeutils.classroom.autograder import main; main(sys.argv[1])"
POLL = 0.3  # seconds between two checks of a running submission
GRADES, REFUSED, WRITTEN, STATE = "grades.csv", "not_graded.csv", "written.csv", ".state"


class GradingError(UserError, ValueError):
    """Nothing can be graded, or points written by hand do not fit."""


@dataclass(frozen=True)
class Watch:
    """Limits after which a running submission is ended.

    Attributes
    ----------
    seconds : float
        Wall-clock time for the whole submission.
    cell_seconds : int
        Wall-clock time for one cell; the cell is interrupted, and the next cells run.
    memory_mb : int
        Resident memory of all its processes, in MB.
    processes : int
    disk_mb : int
        Files that it writes outside its private memory (notebooks with outputs, sockets), in MB.
    """

    seconds: float = 600
    cell_seconds: int = 60
    memory_mb: int = 3500
    processes: int = 100
    disk_mb: int = 200


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


def grade_folder(folder, assignment, out, workers=2, watch=Watch(), retry=False):
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
    watch : Watch
    retry : bool
        Whether to try again what could not be graded, even if it has not changed.

    Yields
    ------
    Outcome
        First those that are kept, then the others as they end.

    Raises
    ------
    GradingError
        No such folder, another process is grading into `out`, or points in ``written.csv`` that do not fit.
    aeutils.classroom.course.ClassroomError
        nbgrader cannot make the assignment.
    aeutils.classroom.sandbox.ContainmentError
        Students' code cannot be contained, because the package has to be installed again.
    """
    from aeutils.classroom import provisioner

    folder, out = Path(folder), Path(out).resolve()
    if not folder.is_dir():
        raise GradingError(f"{folder} is not a folder; expected one with submissions such as s2026-001.ipynb")
    provisioner.check_registered()
    (out / STATE).mkdir(parents=True, exist_ok=True)
    (out / "feedback").mkdir(exist_ok=True)
    with _lock(out):
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
        with tempfile.TemporaryDirectory(prefix="aeutils-grading-") as scratch:
            job = _prepare(Path(scratch) / "templates", assignment, watch)
            work = _Work(job, out, Path(scratch), written, watch, threading.Event())
            executor = ThreadPoolExecutor(workers)
            try:
                futures = {executor.submit(_grade_one, submission, work): submission.path.name for submission in todo}
                for future in as_completed(futures):
                    outcomes[futures[future]] = outcome = future.result()
                    _write_tables(out, outcomes)
                    yield outcome
            finally:
                work.stop.set()  # kills what still runs
                executor.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Submission:
    """A submission to be graded: its content, digests of all that its grade and its page depend on, and what is kept."""

    path: Path
    content: bytes
    digest: str
    page_digest: str
    kept: dict | None

    @property
    def student(self):
        return self.path.stem


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
        try:
            content = _read_submission(path)
        except GradingError as error:
            outcomes[path.name] = Outcome(path.name, None, str(error))
            continue
        digest = _digest(basis, path.stem, content)
        page_digest = _digest(digest, written.get(path.stem))
        kept = _read_state(out / STATE / f"{path.stem}.json", digest)
        if retry and kept and kept["refused"]:
            kept = None
        if kept and kept["page"] == page_digest and (out / "feedback" / f"{path.stem}.html").exists():
            outcomes[path.name] = Outcome(path.name, kept["result"], kept["refused"], fresh=False)
        else:
            todo.append(_Submission(path, content, digest, page_digest, kept))
    return outcomes, todo


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
        if state.stem not in names:
            state.unlink()
            shutil.rmtree(out / STATE / state.stem, ignore_errors=True)
            (out / "feedback" / f"{state.stem}.html").unlink(missing_ok=True)


# ---- One submission ----


def _grade_one(submission, work):
    student, out, started = submission.student, work.out, time.monotonic()
    name, kept_runs = submission.path.name, out / STATE / student
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=work.scratch))
    try:
        job = work.job | {
            "student": student,
            "folder": str(folder),
            "submission": str(folder / "submission.ipynb"),
            "written": work.written.get(student, {}),
        }
        (folder / "submission.ipynb").write_bytes(submission.content)
        if submission.kept and submission.kept["result"] and kept_runs.is_dir():  # only points or comments by hand are new
            job["result"] = submission.kept["result"]
            shutil.copytree(kept_runs, folder / "visible")
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        refused = run_watched([sys.executable, "-c", AUTOGRADER, str(folder / "job.json")], folder, work.watch, work.stop)
        if work.stop.is_set():
            return Outcome(name, None, "stopped")
        result = None
        if not refused:
            result, refused = _read_result(folder)
        if result:
            write_whole(out / "feedback" / f"{student}.html", (folder / "feedback.html").read_text(encoding="utf-8"))
            shutil.rmtree(kept_runs, ignore_errors=True)
            shutil.copytree(folder / "visible", kept_runs)
        else:
            _write_refusal(out, name, refused)
    except OSError as error:  # for example a full disk; no state is written, so the next grading tries again
        return Outcome(name, None, f"writing its results: {error}", seconds=time.monotonic() - started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    note = {"digest": submission.digest, "page": submission.page_digest, "result": result, "refused": refused}
    write_whole(out / STATE / f"{student}.json", json.dumps(note))
    return Outcome(name, result, refused, seconds=time.monotonic() - started)


def _read_result(folder):
    """Read and check what the autograder wrote."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        if refused := result.get("refused"):
            return None, str(refused)[:300]
        scores, most = result["scores"], result["max_scores"]
        fits = (
            scores
            and scores.keys() == most.keys()
            and all(score is None or 0 <= score <= most[name] for name, score in scores.items())
        )
        if not fits or not (folder / "feedback.html").is_file():
            raise ValueError
        return result, ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        tail = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return None, f"the autograder failed{': ' + tail[0][:200] if tail else ''}"


def run_watched(command, folder, watch, stop=None):
    """Run a command in its own process group; kill it and everything that it started when it exceeds a limit.

    Parameters
    ----------
    command : list of str
    folder : path
        Gets its log.
    watch : Watch
    stop : threading.Event, optional
        Kills it when set.

    Returns
    -------
    str
        Why it was killed; empty if it ended by itself.
    """
    import psutil

    environment = {
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        "TMPDIR": str(folder),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    end = time.monotonic() + watch.seconds
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        seen = {}
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
                    return ""
                if stop is not None and stop.is_set():
                    return "stopped"
                tree = _find_tree(process.pid)
                seen.update({child.pid: child for child in tree})
                if reason := _find_excess(tree, folder, watch, end):
                    return reason
        finally:
            for child in [*_find_tree(process.pid), *seen.values()]:
                with suppress(psutil.Error):
                    if child.is_running():  # still the same process; its number may belong to another one by now
                        child.kill()
            process.wait()


def _find_tree(pid):
    import psutil

    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _find_excess(tree, folder, watch, end):
    import psutil

    if time.monotonic() > end:
        return f"it took longer than {watch.seconds:g} s"
    if len(tree) > watch.processes:
        return f"it started more than {watch.processes} processes"
    memory = 0
    for process in tree:
        with suppress(psutil.Error):
            memory += process.memory_info().rss
    if memory > watch.memory_mb * 1024**2:
        return f"it took more than {watch.memory_mb:,} MB of memory"
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size
    return f"it wrote more than {watch.disk_mb} MB" if size > watch.disk_mb * 1024**2 else ""


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
    return f"'{field}" if isinstance(field, str) and re.match(r"[=+@\t\r]|-(?!\d)", field) else field


def _read_written(path):
    """Read points and comments given by hand: {student: {task: (points or None, comment)}}."""
    if not path.exists():
        return {}
    written = {}
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        for number, row in enumerate(rows, start=2):
            try:
                text, comment = (row["points"] or "").strip().replace(",", "."), (row["comment"] or "").strip()
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
