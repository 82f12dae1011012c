"""A command run contained: what an ordinary Linux machine offers, from bubblewrap or namespaces down to resource limits."""

import functools
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

KINDS = ("bwrap", "unshare", "plain")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
          "/etc/alternatives", "/etc/fonts", "/etc/localtime")  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

# Runs inside, right before the command; needs nothing but Python.
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


@dataclass(frozen=True)
class Limits:
    """What a contained command may use.

    Attributes
    ----------
    memory_mb : int
        Private writable memory of one process, in MB (``RLIMIT_DATA``: TensorFlow reserves 3 GB of addresses and uses
        0.5 GB of this).
    cpu_seconds : int
        Processor time of one process.
    file_mb : int
        Size of one file, in MB.
    scratch_mb : int
        Private folder for temporary files, which lies in memory, in MB (with ``bwrap`` and ``unshare``).
    processes : int
        Processes and threads of the user. The system enforces it inside a user namespace and not for root.
    """

    memory_mb: int = 1500
    cpu_seconds: int = 150
    file_mb: int = 64
    scratch_mb: int = 256
    processes: int = 256


@functools.cache
def find_kind():
    """The strongest containment that works on this machine: ``bwrap``, ``unshare`` or ``plain``; each is tried once.

    The environment variable ``AEUTILS_CONTAINMENT`` names one to be used without trying.
    """
    if forced := os.environ.get("AEUTILS_CONTAINMENT"):
        return forced
    for kind in KINDS[:-1]:
        if shutil.which(kind):
            command = contain([sys.executable, "-c", ""], kind=kind)
            try:
                if subprocess.run(command, capture_output=True, timeout=30, stdin=subprocess.DEVNULL).returncode == 0:
                    return kind
            except (OSError, subprocess.TimeoutExpired):
                pass
    return "plain"


def contain(command, readable=(), writable=(), environment=None, limits=Limits(), kind=None):
    """The command line that runs a command contained.

    With ``bwrap`` and ``unshare`` the command sees a file system made for it: the system's programs and this Python, both
    read-only, `readable`, and an empty ``/tmp`` of its own, which is also its home. There is no network at all, not even
    the machine's own ports, and no process of others. With ``plain`` only the limits and the environment are set.

    Parameters
    ----------
    command : list of str
    readable, writable : sequence of path
        Further files and folders that it sees under their own paths.
    environment : dict of str to str, optional
        All that it sees of the environment beside ``PATH``, ``HOME`` and ``LANG``.
    limits : Limits
    kind : {"bwrap", "unshare", "plain"}, optional
        Default: what `find_kind` finds.

    Returns
    -------
    list of str
        For `subprocess`. When the process that it starts is killed, so is everything in it (except with ``plain``, where
        a process may run away).

    Raises
    ------
    ValueError
        An unknown kind.
    """
    kind = kind or find_kind()
    if kind not in KINDS:
        raise ValueError(f"containment {kind!r}; expected one of {', '.join(KINDS)}")
    home = "/tmp" if kind != "plain" else (str(writable[0]) if writable else os.devnull)
    variables = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LANG": "C.UTF-8", **(environment or {})}
    inner = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    inner += [sys.executable, "-I", "-c", _SET_LIMITS, _limit_list(limits, kind), *map(str, command)]
    if kind == "plain":
        return inner
    readable = _without_nested([*map(Path, SYSTEM), *_python_folders(), *map(Path, readable)])
    build = _bwrap if kind == "bwrap" else _unshare
    return build(inner, readable, [Path(path) for path in writable], limits)


def _limit_list(limits, kind):
    megabyte = 1024**2
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.file_mb * megabyte,
        "RLIMIT_DATA": limits.memory_mb * megabyte,
        "RLIMIT_NOFILE": 1024,
    }
    if kind != "plain":  # elsewhere the user's other programs count too
        values["RLIMIT_NPROC"] = limits.processes
    return ",".join(f"{name}={value}" for name, value in values.items())


def _python_folders():
    """Where this interpreter, its libraries and this package lie."""
    package = Path(__file__).resolve().parent
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent, package]
    return [path for path in found if path != Path("/")]


def _without_nested(paths):
    paths = sorted({path for path in paths if os.path.lexists(path)})
    return [
        path
        for path in paths
        if path.is_symlink() or not any(other in path.parents and not other.is_symlink() for other in paths)
    ]


def _bwrap(inner, readable, writable, limits):
    size = str(limits.scratch_mb * 1024**2)
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/tmp", "--size", size, "--tmpfs", "/dev/shm"]
    for path in readable:
        command += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else ["--ro-bind", str(path), str(path)]
    for path in writable:
        command += ["--bind", str(path), str(path)]
    return [*command, "--remount-ro", "/", "--chdir", "/tmp", "--", *inner]


def _unshare(inner, readable, writable, limits):
    """The same by hand: a new root in memory, filled with binds; then the right to change any of it is given away."""
    quote, root = shlex.quote, "/sys"  # a folder that is there on every Linux and that nothing inside needs
    size = f"size={limits.scratch_mb}m,mode=1777,nosuid,nodev"
    lines = ["set -e", f"mount -t tmpfs -o size=4m,mode=755 tmpfs {root}", f"cd {root}", "mkdir tmp proc dev"]
    lines.append(f"mount -t tmpfs -o {size} tmpfs tmp")
    for path in readable:
        if path.is_symlink():
            lines.append(f"mkdir -p {quote('.' + str(path.parent))}; ln -s {quote(os.readlink(path))} {quote('.' + str(path))}")
        else:
            lines.append(_bind(path))
    lines.append(  # whatever was bound since, with all that is mounted below it; spaces stand there as printf reads them
        f"""awk -v root={root} '$5 == root {{n = 0}} index($5, root "/") == 1 && $5 != root "/tmp" {{points[n++] = $5}}"""
        """ END {for (i = 0; i < n; i++) print points[i]}' /proc/self/mountinfo | while read -r point; do"""
        """ mount -o remount,bind,ro,nosuid,nodev "$(printf %b "$point")"; done"""
    )
    lines += [_bind(Path(device)) for device in DEVICES if os.path.exists(device)]
    lines += ["mkdir dev/shm", f"mount -t tmpfs -o {size} tmpfs dev/shm", "mount -t proc proc proc"]
    lines += [_bind(path) for path in writable]
    lines += ["mkdir .host; pivot_root . .host; umount -l .host; rmdir .host", "mount -o remount,ro /", "cd /tmp"]
    lines.append('setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$@" || exit $?')
    spaces = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
    return ["unshare", *spaces, "sh", "-c", "\n".join(lines), "contained", *inner]


def _bind(path):
    target = shlex.quote("." + str(path))
    make = f"mkdir -p {target}" if path.is_dir() else f"mkdir -p {shlex.quote('.' + str(path.parent))}; touch {target}"
    return f"{make}; mount --rbind {shlex.quote(str(path))} {target}"
