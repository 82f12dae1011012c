"""One control group of Linux for a submission: memory of every kind and processes are counted together, as the system offers it.

The kernel counts there what cannot be seen from outside: shared memory, files in memory, and its own memory for them. Where no
control group can be made, `aeutils.classroom.usage` looks at the processes instead.
"""

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "aeutils-"
MANY_THREADS = 20  # TensorFlow starts threads, which are counted as processes are
_ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done; shift; exec "$@"'


@functools.cache
def find_way():
    """Find out how control groups can be made here.

    Returns
    -------
    str
        ``tree`` (folders below /sys/fs/cgroup, for root), ``systemd`` (``systemd-run --user --scope``), or empty.
    """
    if not sys.platform.startswith("linux"):
        return ""
    with suppress(OSError):
        for folder in _make(PREFIX + uuid.uuid4().hex, 2**30, 100):
            folder.rmdir()
        return "tree"
    try:
        done = subprocess.run([*_systemd(2**30, 100), "true"], capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
        return "systemd" if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


@contextmanager
def limited(memory_mb, processes):
    """Yield the first words of a command line whose processes, with all that they start, may use only so much.

    Parameters
    ----------
    memory_mb : int
        For all of them together, in MB: private and shared memory, and files in memory.
    processes : int

    Yields
    ------
    list of str
        Empty where no control group can be made. At the end of the block all processes in the group are killed.
    """
    way = find_way()
    if way == "systemd":
        yield _systemd(memory_mb * 1024**2, processes * MANY_THREADS)
        return
    try:
        made = _make(PREFIX + uuid.uuid4().hex, memory_mb * 1024**2, processes * MANY_THREADS) if way else []
    except OSError:
        made = []
    try:
        yield ["sh", "-c", _ENTER, "sh", *map(str, made), "--"] if made else []
    finally:
        for folder in made:
            _remove(folder)


def _systemd(memory, tasks):
    if not shutil.which("systemd-run"):
        raise OSError("no systemd-run")
    limits = [f"--property={name}={value}" for name, value in
              {"MemoryMax": memory, "MemorySwapMax": 0, "TasksMax": tasks}.items()]  # fmt: skip
    return ["systemd-run", "--user", "--scope", "--quiet", "--collect", *limits, "--"]


def _make(name, memory, tasks):
    """Make the group in the second version of control groups, or one group for each controller in the first."""
    limits = {"memory.max": memory, "memory.swap.max": 0, "pids.max": tasks}
    if (ROOT / "cgroup.controllers").exists():
        own = Path("/proc/self/cgroup").read_text().partition("::")[2].strip()
        folders = [ROOT / own.strip("/") / name]
    else:
        limits = {"memory.limit_in_bytes": memory, "pids.max": tasks}
        own = {
            controller: place
            for _, controllers, place in (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
            for controller in controllers.split(",")
        }
        folders = []
        for controller in ("memory", "pids"):
            parent = ROOT / controller / own[controller].strip("/") if controller in own else ROOT / controller
            folders.append((parent if parent.is_dir() else ROOT / controller) / name)
    made = []
    try:
        for folder in folders:
            folder.mkdir()
            made.append(folder)
            for file, value in limits.items():
                if (folder / file).exists():
                    (folder / file).write_text(str(value))
        if not any((folder / file).exists() for folder in made for file in list(limits)[:1]):
            raise OSError("memory is not counted in a group of its own here")
    except OSError:
        for folder in made:
            _remove(folder)
        raise
    return made


def _remove(folder):
    """Kill what is in a group, and remove it."""
    for _ in range(50):
        with suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text().split():
                with suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:  # still busy
            time.sleep(0.05)
