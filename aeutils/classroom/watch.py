"""Run a command and everything that it starts under limits, and end all of it when it exceeds one."""

import os
import re
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

from aeutils.classroom import cgroups

POLL = 0.3  # seconds between two looks


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
        Memory of all its processes, in MB, with what they share and keep in files in memory.
    processes : int
    disk_mb : int
        Files that it writes outside its private memory (notebooks with outputs, sockets), also deleted ones that are still
        open, in MB.
    files : int
        Files and folders that it makes, inside and outside its private memory.
    """

    seconds: float = 600
    cell_seconds: int = 60
    memory_mb: int = 3500
    processes: int = 100
    disk_mb: int = 200
    files: int = 10_000


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
    with open(folder / "log", "wb") as log, cgroups.limited(watch.memory_mb, watch.processes) as enter:
        process = subprocess.Popen(
            [*enter, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        seen = {}
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    killed = process.wait(POLL) == -9
                    return f"it took more than {watch.memory_mb:,} MB of memory" if killed and enter else ""
                if stop is not None and stop.is_set():
                    return "stopped"
                tree = find_tree(process.pid)
                seen.update({child.pid: child for child in tree})
                if reason := _find_excess(tree, folder, watch, end):
                    return reason
        finally:
            for child in [*find_tree(process.pid), *seen.values()]:
                with suppress(psutil.Error):
                    if child.is_running():  # still the same process; its number may belong to another one by now
                        child.kill()
            process.wait()


def find_tree(pid):
    """Find a process and all that it started, as far as they are still known as its children."""
    import psutil

    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _find_excess(tree, folder, watch, end):
    import psutil

    megabyte = 1024**2
    if time.monotonic() > end:
        return f"it took longer than {watch.seconds:g} s"
    if len(tree) > watch.processes:
        return f"it started more than {watch.processes} processes"
    memory, hidden = 0, {}
    for process in tree:
        with suppress(psutil.Error):
            memory += process.memory_info().rss
        hidden |= _find_deleted(process.pid)
        if _count_private_files(process.pid) > watch.files:
            return f"it made more than {watch.files:,} files and folders"
    if memory > watch.memory_mb * megabyte:
        return f"it took more than {watch.memory_mb:,} MB of memory"
    size, number = _measure(folder, watch.files)
    if number > watch.files:
        return f"it made more than {watch.files:,} files and folders"
    return f"it wrote more than {watch.disk_mb} MB" if size + sum(hidden.values()) > watch.disk_mb * megabyte else ""


def _measure(folder, most):
    """Return the bytes of all files in a folder and how many files and folders there are; no more than `most` are looked at."""
    size, number, todo = 0, 0, [str(folder)]
    while todo and number <= most:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                number += 1
                if number > most:
                    break
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        todo.append(entry.path)
                    else:
                        size += status.st_size
    return size, number


def _find_deleted(pid):
    """Find files of a process that are deleted but still open or mapped: {(device, number): bytes} (only Linux)."""
    found = {}
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                status = os.stat(f"/proc/{pid}/fd/{name}")
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
    with suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.endswith("(deleted)\n") and "/dev/zero" not in line:
                first, last, device, number = re.match(r"(\w+)-(\w+) \S+ \S+ (\S+) (\d+)", line).groups()
                found.setdefault((device, number), int(last, 16) - int(first, 16))
    return found


def _count_private_files(pid):
    """Count files and folders in the private ``/tmp`` and ``/dev/shm`` of a contained process (only Linux)."""
    number = 0
    with suppress(OSError):
        if os.stat(f"/proc/{pid}/root").st_dev != os.stat("/").st_dev:  # it has a file system of its own
            for place in ("tmp", "dev/shm"):
                status = os.statvfs(f"/proc/{pid}/root/{place}")
                number = max(number, status.f_files - status.f_ffree)
    return number
