import subprocess
import sys

import pytest

from aeutils import sandbox


def works(kind):
    try:
        command = sandbox.contain([sys.executable, "-c", ""], kind=kind)
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


@pytest.fixture(params=["bwrap", "unshare"], scope="module")
def kind(request):
    if not works(request.param):
        pytest.skip(f"{request.param} does not work on this machine")
    return request.param


def run(source, kind, **options):
    command = sandbox.contain([sys.executable, "-c", source], kind=kind, **options)
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_files_outside_are_neither_seen_nor_changed(kind, tmp_path):
    for name in ("secret", "shown", "given"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note").write_text("as it was")
    source = f"""
import os, pathlib, sys
root = pathlib.Path({str(tmp_path)!r})
print(os.path.exists(root / "secret"), (root / "shown/note").read_text(), os.path.exists("/etc/shadow"), os.listdir("/tmp") != [])
(root / "given/note").write_text("changed")
for place in [root / "shown", pathlib.Path(sys.prefix), pathlib.Path("/usr"), pathlib.Path("/"), pathlib.Path({str(sandbox.__file__)!r}).parent]:
    try:
        (place / "new").write_text("x")
        print("written", place)
    except OSError:
        pass
pathlib.Path("/tmp/scratch").write_text("x")
os.system("mount -o remount,rw /usr 2>/dev/null && echo remounted")
"""
    done = run(source, kind, readable=[tmp_path / "shown"], writable=[tmp_path / "given"])
    seen = str(tmp_path).startswith("/tmp")  # then the folder above `shown` is there too
    assert done.stdout == f"False as it was False {seen}\n", done
    assert (tmp_path / "given/note").read_text() == "changed" and (tmp_path / "shown/note").read_text() == "as it was"


def test_no_network_no_other_processes_no_environment(kind, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_THE_TEACHER", "x")
    source = """
import os, socket
print([pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) > 200], os.environ.get("TOKEN_OF_THE_TEACHER"), os.environ["MINE"])
for address in [("127.0.0.1", 22), ("192.0.2.1", 80)]:
    try:
        socket.create_connection(address, timeout=2)
    except OSError as error:
        print(type(error).__name__, error.errno)
"""
    done = run(source, kind, environment={"MINE": "here"})
    lines = done.stdout.splitlines()
    assert lines[0] == "[] None here" and len(lines) == 3, done
    assert lines[2] == "OSError 101", "the network is unreachable"


def test_limits_of_memory_files_and_time(kind):
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
    done = run(source, kind, limits=limits)
    assert done.stdout.split() == ["memory", "file", "27", "full", "28"] and done.returncode != 0


def test_nothing_survives_its_end(kind, tmp_path):
    import time

    source = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5); open({str(tmp_path / "late")!r}, 'w')"], start_new_session=True)
open({str(tmp_path / "started")!r}, "w")
time.sleep(60)
"""
    process = subprocess.Popen(sandbox.contain([sys.executable, "-c", source], kind=kind, writable=[tmp_path]))
    for _ in range(100):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    time.sleep(2)
    assert (tmp_path / "started").exists() and not (tmp_path / "late").exists()


def test_plain_still_limits():
    done = run("import os; bytearray(2_000_000_000)", "plain", limits=sandbox.Limits(memory_mb=300))
    assert "MemoryError" in done.stderr


def test_unknown_kind():
    with pytest.raises(ValueError, match="containment 'box'; expected one of bwrap, unshare, plain"):
        sandbox.contain(["true"], kind="box")
