"""Run a command contained with bubblewrap: no network, few files, limited memory and time.

Use ``subprocess.run(contain(command, ...))``. `find_kind` says whether bubblewrap works on this machine.
"""

import functools
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from aeutils.errors import UserError

KINDS = ("bwrap", "plain")
NOT_AS_ROOT = "students' code would run as root, with nothing but limits; grade as an ordinary user, or where bubblewrap works"
KIND_VARIABLE = "AEUTILS_CONTAINMENT"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
          "/etc/alternatives", "/etc/fonts", "/etc/localtime")  # fmt: skip

# Runs inside and then becomes the command: limits, system calls that are refused, and another user if it was started by root.
_ENTER = """
import ctypes, os, platform, resource, struct, sys
limits, user, filtered, *command = sys.argv[1:]
for item in limits.split(","):
    name, value = item.split("=")
    try:
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(number, (value, value))
    except (AttributeError, ValueError, OSError):
        pass
if user != "0":
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
tables = {"x86_64": (0xC000003E, 56, X86), "aarch64": (0xC00000B7, 220, ARM)}
if filtered == "1" and platform.machine() in tables:
    machine, clone, refused = tables[platform.machine()]
    refuse = 0x00050000 | 38  # as if this Linux did not know the call, so that libraries take another way
    steps = [(0x20, 0, 0, 4), (0x15, 1, 0, machine), (0x06, 0, 0, refuse), (0x20, 0, 0, 0)]
    steps += [(0x35, 0, 1, 0x40000000), (0x06, 0, 0, refuse)]  # calls in the other numbering of x86
    for number in refused:
        steps += [(0x15, 0, 1, number), (0x06, 0, 0, refuse)]
    steps += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, 0x10000000), (0x06, 0, 0, refuse)]  # clone(CLONE_NEWUSER)
    steps += [(0x06, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    text = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(text)))
    prctl = ctypes.CDLL(None).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, head, 0, 0):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        sys.exit("system calls cannot be filtered here")
os.execvp(command[0], command)
"""
# Memory that no limit counts (memfd_create, memfd_secret, shmget, msgget, semget, mq_open); more of the kernel than an answer
# needs (unshare, setns, mounts, ptrace, process_vm_*, keys, bpf, perf, userfaultfd, io_uring, modules, kexec); clone3, whose
# arguments a filter cannot see.
_ENTER = _ENTER.replace(
    "X86",
    "(319, 447, 29, 68, 64, 240, 272, 308, 165, 166, 155, 161, 101, 310, 311, 250, 248, 249, 321, 298, 323, 425, 304, 246, "
    "175, 313, 176, 435, 430, 429, 428, 442)",
).replace(
    "ARM",
    "(279, 447, 194, 186, 190, 180, 97, 268, 40, 39, 41, 51, 117, 270, 271, 219, 217, 218, 280, 241, 282, 425, 265, 104, "
    "105, 273, 106, 435, 430, 429, 428, 442)",
)


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
        Processes and threads of the command (only with ``bwrap``).
    open_files : int
        Open files of one process.
    """

    memory_mb: int = 1500
    cpu_seconds: int = 150
    file_mb: int = 64
    scratch_mb: int = 256
    processes: int = 256
    open_files: int = 512


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
    machine, and it sees no other processes. System calls that make memory which no limit counts are refused. If root starts
    it, it runs as a user that nobody else is, and `writable` is given to that user. With ``plain`` only the limits and the
    environment are set.

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
        An unknown kind, or ``plain`` for root.
    """
    kind = kind or find_kind()
    if kind not in KINDS:
        raise ContainmentError(f"containment {kind!r}; expected one of {', '.join(KINDS)}")
    check_user(kind)
    home = "/tmp" if kind == "bwrap" else (str(writable[0]) if writable else os.devnull)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    variables = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", **(environment or {})}
    # The first process is bubblewrap, and it is visible inside. So its environment has to be the small one too.
    line = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    user = 0
    if kind == "bwrap":
        readable = _without_nested([*map(Path, SYSTEM), *_python_folders(), *map(Path, readable)])
        user = secrets.randbelow(2**30) + 2**30 if _is_root() else 0
        line += _bwrap(readable, writable, limits)
        for folder in writable if user else ():
            _give(folder, user)
    filtered = "1" if kind == "bwrap" else "0"
    entry = [sys.executable, "-I", "-c", _ENTER, _limit_list(limits, kind), str(user), filtered]
    return [*line, *entry, *map(str, command)]


def check_user(kind=None):
    """Make sure that students' code does not run as root.

    Raises
    ------
    ContainmentError
        Only limits apply, and this is root.
    """
    if _is_root() and (kind or find_kind()) == "plain":
        raise ContainmentError(NOT_AS_ROOT)


def _is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _give(folder, user):
    for path in [Path(folder), *Path(folder).rglob("*")]:
        os.chown(path, user, user, follow_symlinks=False)


def _limit_list(limits, kind):
    megabyte = 1024**2
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.file_mb * megabyte,
        "RLIMIT_DATA": limits.memory_mb * megabyte,
        "RLIMIT_NOFILE": limits.open_files,
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
    line = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if _is_root():  # a user namespace of root's is root's: what root may write in /proc/sys, it could write. So another user.
        line += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]  # lost when `_ENTER` becomes that user
    else:
        line += ["--unshare-all"]
    line += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    line += ["--size", size, "--tmpfs", "/tmp", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    line += ["--chmod", "1777", "/tmp", "--chmod", "1777", "/dev/shm"]
    places = [*readable, *map(Path, writable)]
    for parent in sorted({parent for path in places for parent in path.parents[:-1]} - {Path("/tmp"), Path("/dev"), *readable}):
        if not any(other in parent.parents for other in readable):  # bubblewrap would make it for root alone
            line += ["--perms", "0755", "--dir", str(parent)]
    for path in readable:
        line += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else ["--ro-bind", str(path), str(path)]
    for path in writable:
        line += ["--bind", str(path), str(path)]
    return [*line, "--remount-ro", "/", "--chdir", "/tmp", "--"]
