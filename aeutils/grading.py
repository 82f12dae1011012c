"""A folder of submissions graded: each in a process of its own, watched, and only where something changed."""

import csv
import hashlib
import html
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

from aeutils import classroom, runs

VERSION = 1  # rises when the same submission would be graded otherwise
MAX_BYTES = 20_000_000  # of a submission
# Notebooks are checked by jsonschema, which at its import compiles a grammar of web addresses that no notebook needs; for a
# process that lives for some seconds that is a fifth of its time.
AUTOGRADER = "import sys; sys.modules['rfc3987_syntax'] = None; from aeutils.autograder import main; main(sys.argv[1])"
POLL = 0.3  # seconds between two looks at a running submission
GRADES, REFUSED, WRITTEN = "grades.csv", "not_graded.csv", "written.csv"


class GradingError(ValueError):
    """Nothing can be graded at all, or what a teacher wrote by hand does not fit."""


@dataclass(frozen=True)
class Watch:
    """When a running submission is given up.

    Attributes
    ----------
    seconds : float
        For everything together, wall-clock time.
    cell_seconds : int
        For one cell; it is interrupted, and the next ones go on.
    memory_mb : int
        Resident memory of all its processes, in MB.
    processes : int
    disk_mb : int
        What it may write outside its private memory, in MB: notebooks with outputs, sockets.
    """

    seconds: float = 600
    cell_seconds: int = 60
    memory_mb: int = 3500
    processes: int = 100
    disk_mb: int = 200


@dataclass(frozen=True)
class Outcome:
    """One submission: either `result` (of `aeutils.autograder.grade`) or why there is none."""

    name: str
    result: dict | None
    refused: str = ""
    fresh: bool = True
    seconds: float = 0.0

    @property
    def points(self):
        """Points so far and points to be had, without what a person still has to read."""
        scores, most = self.result["scores"], self.result["max_scores"]
        return sum(score or 0 for score in scores.values()), sum(
            most[name] for name, score in scores.items() if score is not None
        )


def grade_folder(folder, assignment, out, workers=2, watch=Watch(), sources=None, retry=False):
    """Grade every ``ID.ipynb`` of a folder; what was graded before and has not changed is kept.

    `out` then holds ``grades.csv``, ``not_graded.csv``, ``feedback/ID.html`` and, for the questions that a person reads,
    ``written.csv``; all are written anew, each whole or not at all, after every submission.

    Parameters
    ----------
    folder : path
        Submissions, named by student id; nothing in it is changed.
    assignment : str
        Number or name of the source assignment.
    out : path
    workers : int
        Submissions at a time.
    watch : Watch
    sources : path, optional
        Folder of source assignments; default: the repository's.
    retry : bool
        Whether what could not be graded is tried again although it has not changed.

    Yields
    ------
    Outcome
        As they come; first those that are kept.

    Raises
    ------
    GradingError
        No such folder, another grading at work in `out`, or points in ``written.csv`` that do not fit.
    aeutils.classroom.ClassroomError
        No such assignment, or it cannot be made.
    """
    folder, out = Path(folder), Path(out).resolve()
    if not folder.is_dir():
        raise GradingError(f"{folder} is not a folder; expected one with submissions such as s2026-001.ipynb")
    sources = Path(sources or classroom.SOURCES).resolve()
    (source,) = classroom.find_assignments([assignment], sources)
    state = out / ".state"
    state.mkdir(parents=True, exist_ok=True)
    (out / "feedback").mkdir(exist_ok=True)
    with _lock(out):
        written = _read_written(out / WRITTEN)
        basis = _digest(VERSION, watch.cell_seconds, *(path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()))
        outcomes, todo = {}, []
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            try:
                content = _read_submission(path)
            except GradingError as error:
                outcomes[path.name] = Outcome(path.name, None, str(error))
                continue
            digest = _digest(basis, path.stem, content)
            kept = _read_state(state / f"{path.stem}.json", digest)
            page_digest = _digest(digest, written.get(path.stem))
            if retry and kept and kept["refused"]:
                kept = None
            if kept and kept["page"] == page_digest and (out / "feedback" / f"{path.stem}.html").exists():
                outcomes[path.name] = Outcome(path.name, kept["result"], kept["refused"], fresh=False)
            else:
                todo.append((path, content, digest, page_digest, kept))
        _forget(out, {Path(name).stem for name in outcomes} | {item[0].stem for item in todo})
        for name, outcome in outcomes.items():
            if outcome.result is None and outcome.fresh:
                _write_refusal(out, name, outcome.refused)
        _write_tables(out, outcomes)
        yield from outcomes.values()
        if not todo:
            return
        with tempfile.TemporaryDirectory(prefix="aeutils-grading-") as scratch:
            from aeutils import autograder, load_dataset

            scratch = Path(scratch)
            load_dataset("digits", limit=1)  # now in the cache, which kernels may read, instead of built anew in each

            autograder.make_templates(scratch / "templates", source.name, sources)
            common = {
                "assignment": source.name,
                "templates": str(scratch / "templates"),
                "sources": str(sources),
                "cell_timeout": watch.cell_seconds,
            }
            executor, stop = ThreadPoolExecutor(workers), threading.Event()
            try:
                futures = {
                    executor.submit(_grade_one, item, common, written, scratch, state, out, watch, stop): item[0] for item in todo
                }
                for future in as_completed(futures):
                    outcomes[futures[future].name] = outcome = future.result()
                    _write_tables(out, outcomes)
                    yield outcome
            finally:  # nothing is left to stop where all of them came
                stop.set()
                executor.shutdown(cancel_futures=True)


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
    """Bytes of a submission, read once; whatever happens to the file later, this is what is graded."""
    if path.suffix != ".ipynb":
        raise GradingError("its name does not end in .ipynb")
    if not classroom.STUDENT_ID.fullmatch(path.stem):
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
    """Remove pages and notes of submissions that have gone, so that no page is returned to whom it does not belong."""
    for state in (out / ".state").glob("*.json"):
        if state.stem not in names:
            state.unlink()
            shutil.rmtree(out / ".state" / state.stem, ignore_errors=True)
            (out / "feedback" / f"{state.stem}.html").unlink(missing_ok=True)


# ---- One submission ----


def _grade_one(item, common, written, scratch, state, out, watch, stop):
    path, content, digest, page_digest, kept = item
    student, started = path.stem, time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=scratch))
    by_hand = {task: list(given) for task, given in written.get(student, {}).items()}
    job = {
        **common,
        "student": student,
        "folder": str(folder),
        "submission": str(folder / "submission.ipynb"),
        "written": by_hand,
    }
    (folder / "submission.ipynb").write_bytes(content)
    if kept and kept["result"] and (state / student).is_dir():  # only points or comments given by hand are new
        job["result"] = kept["result"]
        shutil.copytree(state / student, folder / "visible")
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    try:
        refused = run_watched([sys.executable, "-c", AUTOGRADER, str(folder / "job.json")], folder, watch, stop)
        if stop.is_set():
            return Outcome(path.name, None, "stopped")
        result = None
        if not refused:
            result, refused = _read_result(folder)
        if result:
            runs.write_whole(out / "feedback" / f"{student}.html", (folder / "feedback.html").read_text(encoding="utf-8"))
            shutil.rmtree(state / student, ignore_errors=True)
            shutil.copytree(folder / "visible", state / student)
        else:
            _write_refusal(out, path.name, refused)
    except OSError as error:  # a full disk: tried again next time
        return Outcome(path.name, None, f"writing its results: {error}", seconds=time.monotonic() - started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    note = {"digest": digest, "page": page_digest, "result": result, "refused": refused}
    runs.write_whole(state / f"{student}.json", json.dumps(note))
    return Outcome(path.name, result, refused, seconds=time.monotonic() - started)


def _read_result(folder):
    """What the autograder wrote, looked at before it is believed."""
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
    """Run a command in a process group of its own and end it, with all that it started, when it takes too much.

    Parameters
    ----------
    command : list of str
    folder : path
        Its log goes there.
    watch : Watch
    stop : threading.Event, optional
        Ends it when set.

    Returns
    -------
    str
        Why it was ended, or nothing.
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
                    if child.is_running():  # the same process, not another one that has got its number since
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
        written, readable = _read_written(out / WRITTEN), True  # as it is by now: somebody may be filling it in
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
        gone = [  # points given by hand are never dropped
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
    runs.write_whole(path, stream.getvalue())


def _safe(field):
    """A text that a spreadsheet would take for a formula gets an apostrophe; names and ids come from students."""
    return f"'{field}" if isinstance(field, str) and re.match(r"[=+@\t\r]|-(?!\d)", field) else field


def _read_written(path):
    """Points and comments that a person gave: {student: {task: (points or None, comment)}}."""
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
                    f"{path}, line {number}: expected the columns student, task, possible, points, comment, with numbers for points, got {row}"
                ) from None
            if points is not None and not 0 <= points <= most:
                raise GradingError(f"{path}, line {number}: {points:g} points for {task} of {student}; expected 0 to {most:g}")
            if points is not None or comment:
                written.setdefault(student, {})[task] = (points, comment)
    return written


def _write_refusal(out, name, reason):
    """A page for a student whose submission could not be graded, where the file's name is an id."""
    student = Path(name).stem
    if not (name.endswith(".ipynb") and classroom.STUDENT_ID.fullmatch(student)):
        return
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(student)}: not graded</title>'
        f"<style>{runs.STYLE}</style></head><body><h1>Not graded yet</h1>"
        f'<p>What was handed in as {html.escape(name)} could not be graded:</p><p class="failed">{html.escape(reason)}.</p>'
        "<p>Please ask your teacher whether you may hand in again.</p></body></html>\n"
    )
    runs.write_whole(out / "feedback" / f"{student}.html", page)
