import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import joblib
import nbformat
import pandas as pd
import psutil
import pytest

from aeutils.__main__ import main
from aeutils.running import reports, sweeps
from aeutils.running.parameters import Parameter, ParameterError
from aeutils.running.sources import read_source
from aeutils.running.sweeps import SweepError, name_run, parse_values, plan_runs

from conftest import REPOSITORY

PARAMETERS = """folder: str = ""  # where kernels leave notes
width: int = 4  # units
rate: float = 0.5
seed: int = 0
sizes: list = [1, 2]
dataset: str = "none"
first_attempt: str = ""  # what a run does when it is run for the first time: fail, sleep or nothing"""
BODY = """import os, pathlib, time
from aeutils.results import record
note = pathlib.Path(folder, f"{width}-{seed}.pid")
attempts = len(note.read_text().split()) if note.exists() else 0
note.write_text((note.read_text() if attempts else "") + f"{os.getpid()} ")
if attempts == 0 and first_attempt == f"fail {seed}":
    raise RuntimeError("broken on purpose")
if attempts == 0 and first_attempt == f"sleep {seed}":
    time.sleep(300)
record(dataset="made", area=width**2 + seed / 100, threads=int(os.environ["OMP_NUM_THREADS"]), width=2 * width)"""


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def lesson(tmp_path, notes):
    return write_lesson(tmp_path / "lesson.ipynb", notes)


def write_lesson(path, notes, body=BODY):
    cells = [
        nbformat.v4.new_code_cell(PARAMETERS.replace('folder: str = ""', f"folder: str = {str(notes)!r}")),
        nbformat.v4.new_code_cell(body),
    ]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def sweep(lesson, out, *options):
    return main(["sweep", str(lesson), "--out", str(out), *options])


def start_sweep(lesson, out, *options):
    command = [sys.executable, "-m", "aeutils", "sweep", str(lesson), "--out", str(out), *options]

    def hear_interrupts():  # which a shell turns off for what it starts in the background, these tests perhaps
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hear_interrupts
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


def attempts(notes):
    """Process ids of the kernels by run, in the order of attempts."""
    return {path.stem: [int(pid) for pid in path.read_text().split()] for path in notes.glob("*.pid")}


def names(out):
    return sorted(path.stem for path in out.glob("*.ipynb"))


def figures(out):
    table = pd.read_csv(out / "summary.csv").sort_values("run")
    return table[["run", "area", "recorded_width", "status"]].to_dict("records")


# ---- Planning ----


@pytest.mark.parametrize(
    "kind, text, values",
    [
        ("int", "2,8,32", [2, 8, 32]),
        ("int", "0..4", [0, 1, 2, 3, 4]),
        ("int", "-1..1,7", [-1, 0, 1, 7]),
        ("float", "1e-3,2", [0.001, 2.0]),
        ("bool", "true,False", [True, False]),
        ("str", "mnist,my images.npz", ["mnist", "my images.npz"]),
        ("list", "[2, 8],[3]", [[2, 8], [3]]),
    ],
)
def test_values_of_a_grid(kind, text, values):
    parsed = parse_values(Parameter("p", kind, None, ""), text)
    assert parsed == values and [type(value) for value in parsed] == [type(value) for value in values]


@pytest.mark.parametrize(
    "kind, text, message",
    [
        ("int", "", "expected values between commas, got ''"),
        ("int", "2,,8", "expected values such as 2,8,32 or 0..4, got '2,,8'"),
        ("int", "4..0", "the range 4..0 has to rise"),
        ("int", "0..999999999999", "over at most 5,000 values"),
        ("int", "2,x", "expected int .* got 'x'"),
        ("float", "0.1..0.5", "expected values such as"),
        ("str", "mnist,", "between commas"),
        ("int", "1]+[2", "expected values such as"),
    ],
)
def test_values_that_are_refused(kind, text, message):
    with pytest.raises(ParameterError, match=message):
        parse_values(Parameter("p", kind, 5, ""), text)


def test_grid_is_a_product_whose_last_parameter_changes_fastest(lesson):
    planned = plan_runs(read_source(lesson), [("width", "2,8"), ("seed", "0..1")], fixed=[("rate", "1")])
    assert [run.parameters for run in planned] == [
        {"rate": 1.0, "width": width, "seed": seed} for width in (2, 8) for seed in (0, 1)
    ]
    assert planned[0].name == "lesson__rate=1.0__width=2__seed=0"


def test_rows_with_a_grid(lesson, tmp_path):
    (tmp_path / "groups.yaml").write_text(
        "- {name: Group A, width: 3, rate: 1e-3}\n- {name: b, width: 5, dataset: '7'}\n", encoding="utf-8"
    )
    planned = plan_runs(read_source(lesson), [("seed", "0..1")], tmp_path / "groups.yaml")
    assert [(run.label, run.parameters["seed"]) for run in planned] == [("Group A", 0), ("Group A", 1), ("b", 0), ("b", 1)]
    assert planned[0].parameters["rate"] == 0.001 and planned[2].parameters["dataset"] == "7"
    assert planned[2].name == "lesson__b__width=5__dataset=7__seed=0"


@pytest.mark.parametrize(
    "grids, fixed, message",
    [
        ([("breadth", "1")], [], r"unknown parameter 'breadth'(.|\n)*width: int = 4  \(units\)"),
        ([("width", "1"), ("width", "2")], [], "--grid width is given twice"),
        ([("width", "1")], [("width", "2")], "width is given in two places"),
        ([("width", "1,2,1")], [], "2 runs are the same: lesson__width=1"),
        ([("width", "0..99"), ("seed", "0..99")], [], "make 10,000 runs; expected at most 5,000"),
        ([], [("width", "2")], "nothing to sweep"),
    ],
)
def test_sweep_is_refused_as_a_whole(lesson, grids, fixed, message):
    with pytest.raises(ParameterError, match=message):
        plan_runs(read_source(lesson), grids, fixed=fixed)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected a list with one row"),
        ("width: 3", "expected a list with one row"),
        ("[{}]", "expected a list with one row"),
        ("- {width: 3", "is not YAML"),
        ("- {width: 3}\n- {breadth: 3}", "row 2: unknown parameter 'breadth'"),
        ("- {width: 3.5}", "row 1: parameter width: expected int"),
        ("- {width: 2026-01-01}", "row 1: parameter width: expected int"),
        ("- {dataset: 7}", "parameter dataset: expected text, got 7; put it in quotes"),
        ("- {width: 3}\n- {width: 3}", "2 runs are the same"),
    ],
)
def test_list_of_runs_that_is_refused(lesson, tmp_path, text, message):
    (tmp_path / "rows.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match=message):
        plan_runs(read_source(lesson), rows_file=tmp_path / "rows.yaml")


def test_missing_list_of_runs(lesson, tmp_path):
    with pytest.raises(ParameterError, match="the list of runs cannot be read"):
        plan_runs(read_source(lesson), rows_file=tmp_path / "none.yaml")


def test_names_tell_runs_apart_and_fit_into_a_file_system():
    assert name_run("a", "", {"b": 1}) == "a__b=1"
    slashes, dashes = name_run("a", "", {"b": "x/y"}), name_run("a", "", {"b": "x-y"})
    assert dashes == "a__b=x-y" and slashes.startswith("a__b=x-y__") and "/" not in slashes
    long, longer = (name_run("a", "", {"b": "x" * n}) for n in (300, 301))
    assert long != longer and max(len(long), len(longer)) < 140


def test_dry_run_shows_all_and_writes_nothing(lesson, tmp_path, capsys):
    assert sweep(lesson, tmp_path / "out", "--grid", "width=2,8", "--grid", "seed=0..2", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "6 planned, 0 finished before, 6 to run" in shown and "width: 2, 8" in shown
    assert shown.count("missing") == 6 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--grid", "breadth=1"], "unknown parameter 'breadth'"),
        (["--grid", "width"], "--grid width: expected NAME=VALUES"),
        (["--grid", "width=1", "--workers", "0"], "--workers: expected 1 or more"),
        (["--grid", "width=1", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], "not together with --scheduler"),
        (["--grid", "width=1", "--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_refused_before_anything_runs(lesson, tmp_path, notes, capsys, options, message):
    assert sweep(lesson, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not attempts(notes) and not list(tmp_path.glob("out/*.ipynb"))


# ---- Running, failing, going on ----


def test_sweep_then_nothing_left_then_new_source(lesson, tmp_path, notes, capsys):
    out, options = tmp_path / "out", ("--grid", "width=2,8", "--grid", "seed=0..1", "--workers", "2")
    assert sweep(lesson, out, *options) == 0
    assert names(out) == [f"lesson__width={width}__seed={seed}" for width in (2, 8) for seed in (0, 1)]
    assert all(path.with_suffix(".html").exists() for path in out.glob("*.ipynb"))
    assert [row["area"] for row in figures(out)] == [4.0, 4.01, 64.0, 64.01]
    table = pd.read_csv(out / "summary.csv")
    assert list(table["threads"]) == [max(1, joblib.cpu_count() // 2)] * 4, "a fair share of the cores"
    assert list(table["rate"]) == [0.5] * 4, "defaults are listed too"
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "4 finished, 0 failed" in page and "data:image/png" in page and 'href="lesson__width%3D2__seed%3D0.html"' in page
    assert "refresh" not in page

    kernels = attempts(notes)
    assert sweep(lesson, out, *options) == 0 and attempts(notes) == kernels, "nothing was left to do"
    assert "4 planned, 4 finished before, 0 to run" in capsys.readouterr().out

    summary = (out / "summary.csv").read_bytes()
    for path in out.glob("summary.*"):
        path.unlink()
    assert main(["report", str(out), "--metric", "threads"]) == 0
    assert (out / "summary.csv").read_bytes() == summary, "from the notebooks alone"

    (out / "lesson__width=2__seed=0.ipynb").write_text("{truncated", encoding="utf-8")
    assert sweep(lesson, out, *options) == 0
    assert {run: len(pids) for run, pids in attempts(notes).items()} == {"2-0": 2, "2-1": 1, "8-0": 1, "8-1": 1}

    write_lesson(lesson, notes, BODY + "\n# a new version")
    assert sweep(lesson, out, "--grid", "width=2", "--grid", "seed=1") == 0
    assert len(attempts(notes)["2-1"]) == 2
    assert "2 versions of the notebook" in (out / "summary.html").read_text(encoding="utf-8")


def test_failing_run_does_not_stop_the_others_and_is_run_again(lesson, tmp_path, notes, capsys):
    out, options = tmp_path / "out", ("--grid", "seed=0..2", "-p", "first_attempt", "fail 1")
    assert sweep(lesson, out, *options) == 1
    assert "first_attempt=fail-1__seed=1__" in (err := capsys.readouterr().err) and "RuntimeError: broken on purpose" in err
    table = pd.read_csv(out / "summary.csv").set_index("seed")
    assert (
        list(table.loc[[0, 1, 2], "status"]) == ["finished", "failed", "finished"]
        and "broken on purpose" in table.loc[1, "error"]
    )
    assert len(names(out)) == 3
    assert sweep(lesson, out, *options, "--rerun", "failed") == 0
    assert {run: len(pids) for run, pids in attempts(notes).items()} == {"4-0": 1, "4-1": 2, "4-2": 1}
    assert sweep(lesson, out, *options, "--rerun", "all") == 0
    assert {run: len(pids) for run, pids in attempts(notes).items()} == {"4-0": 2, "4-1": 3, "4-2": 2}


@pytest.mark.slow
def test_killed_worker_costs_no_run(lesson, tmp_path, notes):
    out = tmp_path / "out"
    process = start_sweep(lesson, out, "--grid", "seed=0..2", "-p", "first_attempt", "sleep 1", "--workers", "2")
    (pid,) = wait_for(lambda: attempts(notes).get("4-1"))
    wait_for(lambda: len(names(out)) == 2)
    os.kill(pid, signal.SIGKILL)
    assert process.wait(60) == 0, process.stdout.read()
    assert [row["status"] for row in figures(out)] == ["finished"] * 3
    assert len(attempts(notes)["4-1"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("by, code", [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_killed_or_stopped_sweep_goes_on_where_it_was(lesson, tmp_path, notes, by, code):
    out, options = tmp_path / "out", ("--grid", "seed=0..2", "-p", "first_attempt", "sleep 1", "--workers", "2")
    process = start_sweep(lesson, out, *options)
    (pid,) = wait_for(lambda: attempts(notes).get("4-1"))
    wait_for(lambda: len(names(out)) == 2)
    os.kill(process.pid, by)
    assert process.wait(30) == code
    wait_for(lambda: not psutil.pid_exists(pid), 15)
    before = attempts(notes)
    assert len(names(out)) == 2, "finished runs stay, the unfinished one left nothing"
    assert sweep(lesson, out, *options) == 0
    assert {run: len(pids) for run, pids in attempts(notes).items()} == {"4-0": 1, "4-1": 2, "4-2": 1}
    assert before["4-0"] == attempts(notes)["4-0"] and len(figures(out)) == 3


def test_second_sweep_into_one_folder_is_refused(lesson, tmp_path, notes, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with sweeps.lock_folder(out):
        assert sweep(lesson, out, "--grid", "seed=0") == 2
    assert "another sweep is writing into" in capsys.readouterr().err and not attempts(notes)
    assert sweep(lesson, out, "--grid", "seed=0") == 0, "the folder is free again"


def test_full_disk_keeps_what_is_there(lesson, tmp_path, capsys, monkeypatch):
    out, whole = tmp_path / "out", sweeps.write_whole

    def full(path, text):
        if "seed=1" in path.name:
            raise OSError(28, "No space left on device")
        whole(path, text)

    monkeypatch.setattr(sweeps, "write_whole", full)
    assert sweep(lesson, out, "--grid", "seed=0..2") == 1
    assert "lesson__seed=1.ipynb cannot be written" in capsys.readouterr().err
    assert names(out) == ["lesson__seed=0"] and len(figures(out)) == 1
    monkeypatch.undo()
    assert sweep(lesson, out, "--grid", "seed=0..2") == 0 and len(figures(out)) == 3


def test_unknown_metric_is_said_once_and_costs_nothing(lesson, tmp_path, capsys):
    assert sweep(lesson, tmp_path / "out", "--grid", "seed=0..1", "--metric", "volume") == 0
    assert capsys.readouterr().err.count("no finished run recorded a number called 'volume'; recorded: area") == 1


# ---- Dask ----


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers on 127.0.0.1, processes of their own."""
    pytest.importorskip("distributed")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"}
    options = {"env": environment, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask, file = [sys.executable, "-m", "dask"], tmp_path / "scheduler.json"
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    worker = [
        *dask,
        "worker",
        "--scheduler-file",
        str(file),
        "--nthreads",
        "1",
        "--host",
        "127.0.0.1",
        "--no-dashboard",
        "--no-nanny",
    ]
    processes = [subprocess.Popen(scheduler, **options)]
    try:
        wait_for(file.exists)
        address = json.loads(file.read_text())["address"]
        processes += [subprocess.Popen([*worker, "--local-directory", str(tmp_path / f"dask{k}")], **options) for k in range(2)]
        from distributed import Client

        with Client(address) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_sweep_on_a_dask_cluster_survives_a_killed_worker(lesson, tmp_path, notes, cluster):
    address, workers = cluster
    grid = ("--grid", "width=2,8", "--grid", "seed=0..1")
    assert sweep(lesson, tmp_path / "dask", *grid, "--scheduler", address) == 0
    assert not {worker.pid for worker in workers} & set(sum(attempts(notes).values(), []))
    assert list(pd.read_csv(tmp_path / "dask" / "summary.csv")["threads"]) == [max(1, joblib.cpu_count() // 2)] * 4
    assert sweep(lesson, tmp_path / "local", *grid) == 0
    assert figures(tmp_path / "dask") == figures(tmp_path / "local"), "two executors, equal metrics"

    out, options = tmp_path / "killed", ("--grid", "seed=0..3", "-p", "width", "5", "-p", "first_attempt", "sleep 1")
    process = start_sweep(lesson, out, *options, "--scheduler", address)
    (pid,) = wait_for(lambda: attempts(notes).get("5-1"))
    parent = psutil.Process(pid).ppid()
    assert parent in {worker.pid for worker in workers}
    os.kill(parent, signal.SIGKILL)
    assert process.wait(90) == 0, process.stdout.read()
    assert [row["status"] for row in figures(out)] == ["finished"] * 4


@pytest.mark.slow
def test_stopped_sweep_ends_its_kernels_on_the_cluster(lesson, tmp_path, notes, cluster):
    process = start_sweep(
        lesson, tmp_path / "out", "--grid", "seed=1", "-p", "first_attempt", "sleep 1", "--scheduler", cluster[0]
    )
    (pid,) = wait_for(lambda: attempts(notes).get("4-1"))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130, process.stdout.read()
    wait_for(lambda: not psutil.pid_exists(pid), 15)
    assert not names(tmp_path / "out")


@pytest.mark.slow
def test_scheduler_without_workers_is_refused(cluster):
    address, workers = cluster
    for worker in workers:
        worker.kill()
        worker.wait()
    from distributed import Client

    with Client(address) as client:
        wait_for(lambda: not client.nthreads(), 60)
    with pytest.raises(SweepError, match="has no workers; start some with: dask worker"), sweeps.dask_executor(address):
        pass


# ---- Reports and lists ----


def test_report_of_a_folder_without_runs(tmp_path, capsys):
    (tmp_path / "plain.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook()), encoding="utf-8")
    assert main(["report", str(tmp_path)]) == 2
    assert "no executed notebooks in" in capsys.readouterr().err


def test_report_reads_what_plain_papermill_has_written(lesson, tmp_path):
    import papermill

    (tmp_path / "mine").mkdir()
    for width in (3, 1):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        papermill.execute_notebook(str(lesson), str(tmp_path / "mine" / f"w{width}.ipynb"), {"width": width}, progress_bar=False)
    (one, three) = reports.read_runs(tmp_path / "mine")
    assert (one.name, one.notebook, one.metrics["area"]) == ("w1", "lesson", 1)
    assert (one.given, one.parameters["width"], three.parameters["width"]) == ({"width": 1}, 1, 3)
    mixed = replace(three, parameters=three.parameters | {"width": "wide"})  # columns of mixed types are sorted too
    page = reports.write_report([one, mixed], tmp_path / "mine")
    assert page.read_text(encoding="utf-8").count('.ipynb">notebook') == 2 and '">page<' not in page.read_text(encoding="utf-8")


def test_parameters_of_all_notebooks_are_listed(capsys):
    assert main(["parameters"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{path.name} knows:" in shown for path in (REPOSITORY / "notebooks").glob("*.ipynb"))
    assert "  latent_dim: int = 64  (units in the code" in shown
    assert main(["parameters", "77"]) == 2
