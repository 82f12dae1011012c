"""Run a command contained with bubblewrap: no network, few files, limited memory and time.

Use ``subprocess.run(contain(command, ...))``. `find_kind` says whether bubblewrap works on this machine.
"""

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from aeutils.errors import UserError

KINDS = ("bwrap", "plain")
KIND_VARIABLE = "AEUTILS_CONTAINMENT"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
          "/etc/alternatives", "/etc/fonts", "/etc/localtime")  # fmt: skip

# Runs inside and then becomes the command.
_SET_LIMITS = """
import os, resource, sys
for item in sys.argv[1].split(","):
    name, value = item.split("=")
    try:
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(number, (value, value))
    except (AttributeError, ValueError, OSError):
        pass
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ContainmentError(UserError, ValueError):
    """Students' code cannot be contained as it should be."""


@dataclass(frozen=True)
class Limits:
    """What a contained command may use.

    Attributes
    ----------
    memory_mb : int
        Private writable memory of one process, in MB (``RLIMIT_DATA``; TensorFlow takes 0.5 GB of it).
    cpu_seconds : int
        Processor time of one process.
    file_mb : int
        Size of one file, in MB.
    scratch_mb : int
        Each of its own ``/tmp`` and ``/dev/shm``, which are in memory, in MB (only with ``bwrap``).
    processes : int
        Processes and threads of the command (only with ``bwrap``, and not for root).
    """

    memory_mb: int = 1500
    cpu_seconds: int = 150
    file_mb: int = 64
    scratch_mb: int = 256
    processes: int = 256


@functools.cache
def try_bubblewrap():
    """Try bubblewrap once.

    Returns
    -------
    str
        Why it cannot be used; empty if it works.
    """
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    try:
        command = contain([sys.executable, "-c", ""], kind="bwrap")
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap is installed but does not start ({error})"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"bubblewrap is installed but does not work here ({lines[-1].rstrip('.')})"


def find_kind():
    """Find out what contains students' code on this machine.

    Returns
    -------
    {"bwrap", "plain"}
        ``bwrap`` if bubblewrap works. ``plain`` means that only limits apply. The environment variable
        ``AEUTILS_CONTAINMENT`` names one of them, which is then used without a try.

    Raises
    ------
    ContainmentError
        The variable names something else.
    """
    if forced := os.environ.get(KIND_VARIABLE):
        if forced not in KINDS:
            raise ContainmentError(f"{KIND_VARIABLE} is {forced!r}; expected one of {', '.join(KINDS)}")
        return forced
    return "plain" if try_bubblewrap() else "bwrap"


def explain_plain():
    """Say why `find_kind` returns ``plain``, in one clause."""
    return f"{KIND_VARIABLE} is set to plain" if os.environ.get(KIND_VARIABLE) else try_bubblewrap()


def contain(command, readable=(), writable=(), environment=None, limits=Limits(), kind=None):
    """Make the command line that runs a command contained.

    With ``bwrap`` the command sees its own file system: the programs of the system and this Python, both read-only,
    `readable`, `writable`, and an empty ``/tmp``, which is also its home. It has no network, not even the ports of this
    machine, and it sees no other processes. With ``plain`` only the limits and the environment are set.

    Parameters
    ----------
    command : list of str
    readable, writable : sequence of path
        More files and folders that it sees, under the same paths.
    environment : dict of str to str, optional
        The environment variables that it sees, beside ``PATH``, ``HOME`` and ``LANG``.
    limits : Limits
    kind : {"bwrap", "plain"}, optional
        Default: what `find_kind` finds.

    Returns
    -------
    list of str
        For `subprocess`. When the process that it starts is killed, all processes inside end too. With ``plain`` a process
        may escape that.

    Raises
    ------
    ContainmentError
        An unknown kind.
    """
    kind = kind or find_kind()
    if kind not in KINDS:
        raise ContainmentError(f"containment {kind!r}; expected one of {', '.join(KINDS)}")
    home = "/tmp" if kind == "bwrap" else (str(writable[0]) if writable else os.devnull)
    variables = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LANG": "C.UTF-8", **(environment or {})}
    # The first process is bubblewrap, and it is visible inside. So its environment has to be the small one too.
    line = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    if kind == "bwrap":
        readable = _without_nested([*map(Path, SYSTEM), *_python_folders(), *map(Path, readable)])
        line += _bwrap(readable, writable, limits)
    return [*line, sys.executable, "-I", "-c", _SET_LIMITS, _limit_list(limits, kind), *map(str, command)]


def _limit_list(limits, kind):
    megabyte = 1024**2
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.file_mb * megabyte,
        "RLIMIT_DATA": limits.memory_mb * megabyte,
        "RLIMIT_NOFILE": 1024,
    }
    if kind != "plain":  # without a user namespace the other programs of the user count too
        values["RLIMIT_NPROC"] = limits.processes
    return ",".join(f"{name}={value}" for name, value in values.items())


def _python_folders():
    """Where this interpreter, its libraries and this package are."""
    package = Path(__file__).resolve().parents[1]
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent, package]
    return [path for path in found if path != Path("/")]


def _without_nested(paths):
    paths = sorted({path for path in paths if os.path.lexists(path)})
    return [
        path
        for path in paths
        if path.is_symlink() or not any(other in path.parents and not other.is_symlink() for other in paths)
    ]


def _bwrap(readable, writable, limits):
    size = str(limits.scratch_mb * 1024**2)
    line = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/tmp", "--size", size, "--tmpfs", "/dev/shm"]
    for path in readable:
        line += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else ["--ro-bind", str(path), str(path)]
    for path in writable:
        line += ["--bind", str(path), str(path)]
    return [*line, "--remount-ro", "/", "--chdir", "/tmp", "--"]
