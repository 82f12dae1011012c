import os
import subprocess
import sys
import time

import pytest

from aeutils.classroom import sandbox

ROOT = os.geteuid() == 0
needs_bubblewrap = pytest.mark.skipif(sandbox.try_bubblewrap() != "", reason=f"NOT RUN: {sandbox.try_bubblewrap()}")


def run(source, kind="bwrap", **options):
    command = sandbox.contain([sys.executable, "-c", source], kind=kind, **options)
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs_bubblewrap
def test_files_outside_are_neither_seen_nor_changed(tmp_path):
    for name in ("secret", "shown", "given"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note").write_text("as it was")
    source = f"""
import os, pathlib, sys
root = pathlib.Path({str(tmp_path)!r})
print(os.path.exists(root / "secret"), (root / "shown/note").read_text())
print(os.path.exists("/etc/shadow"), os.listdir("/tmp") != [])
(root / "given/note").write_text("changed")
package = pathlib.Path({str(sandbox.__file__)!r}).parents[1]
for place in [root / "shown", pathlib.Path(sys.prefix), pathlib.Path("/usr"), pathlib.Path("/"), package]:
    try:
        (place / "new").write_text("x")
        print("written", place)
    except OSError:
        pass
pathlib.Path("/tmp/scratch").write_text("x")
os.system("mount -o remount,rw /usr 2>/dev/null && echo remounted")
"""
    done = run(source, readable=[tmp_path / "shown"], writable=[tmp_path / "given"])
    seen = str(tmp_path).startswith("/tmp")  # then the folder above `shown` is there too
    assert done.stdout == f"False as it was\nFalse {seen}\n", done
    assert (tmp_path / "given/note").read_text() == "changed" and (tmp_path / "shown/note").read_text() == "as it was"


@needs_bubblewrap
def test_no_network_no_other_processes_no_environment(monkeypatch):
    monkeypatch.setenv("TOKEN_OF_THE_TEACHER", "x")
    source = """
import os, pathlib, socket
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
def read(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_text()
    except PermissionError:  # where the test runs as root, the first process is another user's
        return ""
environments = [read(pid) for pid in pids]
print(max(pids) > 200, "TOKEN_OF_THE_TEACHER" in "".join(environments), os.environ["MINE"])
for address in [("127.0.0.1", 22), ("192.0.2.1", 80)]:
    try:
        socket.create_connection(address, timeout=2)
    except OSError as error:
        print(type(error).__name__, error.errno)
"""
    done = run(source, environment={"MINE": "here"})
    lines = done.stdout.splitlines()
    assert lines[0] == "False False here" and len(lines) == 3, done
    assert lines[2] == "OSError 101", "the network is unreachable"


@needs_bubblewrap
def test_limits_of_memory_files_and_time():
    limits = sandbox.Limits(memory_mb=300, file_mb=1, scratch_mb=3, cpu_seconds=1)
    source = """
try:
    bytearray(2_000_000_000)
except MemoryError:
    print("memory", flush=True)
try:
    open("/tmp/large", "wb").write(bytes(2_000_000))
except OSError as error:
    print("file", error.errno, flush=True)
try:
    for number in range(9):
        open(f"/tmp/{number}", "wb").write(bytes(900_000))
except OSError as error:
    print("full", error.errno, flush=True)
while True:
    pass
"""
    done = run(source, limits=limits)
    assert done.stdout.split() == ["memory", "file", "27", "full", "28"] and done.returncode != 0


@needs_bubblewrap
def test_nothing_of_the_system_can_be_written():
    source = """
import os, pathlib
for name in ["/dev/x", "/dev/shm/x", "/tmp/x", "/proc/sys/vm/swappiness", "/proc/1/environ", "/x", "/proc/x"]:
    try:
        open(name, "ab").close()
        print(name)
    except OSError:
        pass
print(os.getuid() != 0)
"""
    assert run(source).stdout.split() == ["/dev/shm/x", "/tmp/x", "True" if ROOT else str(os.getuid() != 0)]


@needs_bubblewrap
def test_memory_that_no_limit_counts_cannot_be_had():
    source = """
import ctypes, os
try:
    os.memfd_create("x")
except OSError as error:
    print(error.errno)
libc = ctypes.CDLL(None, use_errno=True)
for call in [lambda: libc.shmget(0, 1 << 20, 0o1600), lambda: libc.unshare(0x10000000), lambda: libc.semget(0, 9, 0o1600)]:
    print(call(), ctypes.get_errno())
import subprocess, sys, threading
thread = threading.Thread(target=lambda: print("thread"))
thread.start(); thread.join()
print(subprocess.run([sys.executable, "-c", "print('process')"], capture_output=True, text=True).stdout)
"""
    assert run(source).stdout.split() == ["38", *["-1", "38"] * 3, "thread", "process"], "38 is: no such call"


@needs_bubblewrap
@pytest.mark.skipif(not ROOT, reason="only root becomes another user")
def test_root_becomes_a_user_that_nobody_is(tmp_path):
    (tmp_path / "note").write_text("x")
    source = (
        f"import os; print(os.getuid(), os.stat({str(tmp_path / 'note')!r}).st_uid, open({str(tmp_path / 'note')!r}, 'a').name)"
    )
    first, second = (run(source, writable=[tmp_path]).stdout.split() for _ in range(2))
    assert first[0] == first[1] != second[0] == second[1] and int(first[0]) > 2**30


@needs_bubblewrap
def test_nothing_survives_its_end(tmp_path):
    source = f"""
import subprocess, sys, time
late = "import time; time.sleep(1.5); open({str(tmp_path / "late")!r}, 'w')"
subprocess.Popen([sys.executable, "-c", late], start_new_session=True)
open({str(tmp_path / "started")!r}, "w")
time.sleep(60)
"""
    process = subprocess.Popen(sandbox.contain([sys.executable, "-c", source], kind="bwrap", writable=[tmp_path]))
    for _ in range(100):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    time.sleep(2)
    assert (tmp_path / "started").exists() and not (tmp_path / "late").exists()


@pytest.mark.skipif(ROOT, reason="not for root: see below")
def test_plain_still_limits():
    done = run("import os; bytearray(2_000_000_000)", "plain", limits=sandbox.Limits(memory_mb=300))
    assert "MemoryError" in done.stderr


@pytest.mark.skipif(not ROOT, reason="only for root")
def test_plain_is_not_for_root():
    with pytest.raises(sandbox.ContainmentError, match="would run as root, with nothing but limits; grade as an ordinary user"):
        sandbox.contain(["true"], kind="plain")


def test_unknown_kind(monkeypatch):
    with pytest.raises(ValueError, match="containment 'box'; expected one of bwrap, plain"):
        sandbox.contain(["true"], kind="box")
    monkeypatch.setenv("AEUTILS_CONTAINMENT", "unshare")
    with pytest.raises(sandbox.ContainmentError, match="AEUTILS_CONTAINMENT is 'unshare'; expected one of bwrap, plain"):
        sandbox.find_kind()


@pytest.fixture
def untried(monkeypatch):
    """As in a new process, without the choice of whoever runs the tests."""
    monkeypatch.delenv("AEUTILS_CONTAINMENT", raising=False)
    sandbox.try_bubblewrap.cache_clear()
    yield
    sandbox.try_bubblewrap.cache_clear()


def test_missing_bubblewrap_is_named(untried, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox.find_kind() == "plain" and sandbox.explain_plain() == "bubblewrap is not installed"


def test_bubblewrap_that_fails_is_named_with_its_last_words(untried, monkeypatch, tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho first >&2\necho bwrap: No permissions >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    reason = "bubblewrap is installed but does not work here (bwrap: No permissions)"
    assert sandbox.find_kind() == "plain" and sandbox.explain_plain() == reason
    monkeypatch.setenv("AEUTILS_CONTAINMENT", "bwrap")
    assert sandbox.find_kind() == "bwrap", "as the variable says, without a try"
