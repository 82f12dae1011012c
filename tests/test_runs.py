import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from aeutils import runs
from aeutils.__main__ import main
from aeutils.runs import Parameter, ParameterError, parse_value

from conftest import REPOSITORY

LESSON = REPOSITORY / "notebooks" / "01_basic_autoencoder.ipynb"
QUICK = """dataset: str = "none"  # nothing is loaded
latent_dim: int = 4  # units
rate: float = 0.5
fast: bool = True
sizes: list = [1, 2]
untyped = 7"""
METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
BODY = """from aeutils.results import record
record(dataset=dataset, squared=latent_dim**2, rate=rate, total=sum(sizes), fourth=4)"""


def _write(path, *cells):
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    if cells:
        code[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=code, metadata=METADATA)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def quick(tmp_path):
    return _write(tmp_path / "quick.ipynb", QUICK, BODY)


# ---- Parameters ----


def test_parameters_are_read_with_type_default_and_help(quick):
    parameters = runs.read_parameters(quick)
    assert parameters["latent_dim"] == Parameter("latent_dim", "int", 4, "units")
    assert parameters["untyped"].type == "int" and parameters["sizes"].default == [1, 2]
    assert str(parameters["dataset"]) == "dataset: str = 'none'  (nothing is loaded)"


def test_parameter_that_papermill_would_lose_is_reported(tmp_path):
    lossy = _write(tmp_path / "lossy.ipynb", "limit: int = 0  # 0 = all\nseed: int = 0")
    with pytest.raises(ParameterError, match="parameter limit; is there a second '='"):
        runs.read_parameters(lossy)


@pytest.mark.parametrize("content", ["{not json", "{}", "latent_dim = 3"])
def test_file_that_is_no_notebook_exits_2(tmp_path, capsys, content):
    (tmp_path / "no.ipynb").write_text(content, encoding="utf-8")
    assert main(["run", str(tmp_path / "no.ipynb"), "--out", str(tmp_path / "out")]) == 2
    assert "no.ipynb cannot be read as a Python notebook" in capsys.readouterr().err


@pytest.mark.parametrize(
    "declared, text, value",
    [
        ("int", "16", 16),
        ("int", "-3", -3),
        ("float", "1e-3", 0.001),
        ("float", "2", 2.0),
        ("bool", "False", False),
        ("bool", "true", True),
        ("str", "16", "16"),
        ("str", "a b", "a b"),
        ("list", "[2, 8]", [2, 8]),
        ("list[int]", "[2, 8]", [2, 8]),
    ],
)
def test_text_becomes_a_value_of_the_type(declared, text, value):
    parsed = parse_value(Parameter("p", declared, None, ""), text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    "declared, text",
    [
        ("int", "16.5"),
        ("int", "sixteen"),
        ("int", "True"),
        ("int", ""),
        ("float", "fast"),
        ("float", "True"),
        ("bool", "1"),
        ("bool", "yes"),
        ("list", "8"),
        ("list[int]", "[2, 'x']"),
        ("int", "__import__('os').getcwd()"),
    ],
)
def test_text_that_does_not_fit_is_refused(declared, text):
    with pytest.raises(ParameterError) as error:
        parse_value(Parameter("p", declared, 5, ""), text)
    assert f"parameter p: expected {declared}" in str(error.value) and f"got {text!r}" in str(error.value)


def test_several_notebooks_share_parameters(quick, tmp_path):
    other = _write(tmp_path / "other.ipynb", "epochs: int = 1\nlatent_dim: int = 2")
    assert runs.assign_parameters([quick, other], [("latent_dim", "3"), ("epochs", "5"), ("epochs", "6")]) == [
        {"latent_dim": 3},
        {"latent_dim": 3, "epochs": 6},
    ]


# ---- The command ----


def test_run_writes_notebook_page_index_and_table(quick, tmp_path, capsys):
    out = tmp_path / "out"
    before = quick.read_bytes()
    assert main(["run", str(quick), "-p", "latent_dim", "5", "-p", "dataset", "mine", "--out", str(out)]) == 0
    assert quick.read_bytes() == before, "the notebook itself is not changed"
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "quick.html", "quick.ipynb"]
    (run,) = runs.collect_runs(out)
    assert (run["dataset"], run["status"], run["parameters"]) == ("mine", "ok", {"latent_dim": 5, "dataset": "mine"})
    assert run["metrics"] == {"squared": 25, "rate": 0.5, "total": 3, "fourth": 4} and 0 < run["seconds"] < 60
    printed = capsys.readouterr().out
    for part in (
        "notebook",
        "data set",
        "seconds",
        "headline metrics",
        "quick",
        "mine",
        "squared 25, rate 0.5, total 3",
        str(out / "index.html"),
    ):
        assert part in printed
    index = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="quick.html"' in index and "squared: 25" in index and "fourth" not in index and "latent_dim = 5" in index
    assert "squared = 25" in (out / "quick.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("given", [["laten_dim", "5"], ["latent_dim", "5.5"]])
def test_wrong_parameter_exits_2_before_anything_runs(quick, tmp_path, capsys, given):
    assert main(["run", str(quick), "-p", *given, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    for part in (*given, "latent_dim: int = 4  (units)", "fast: bool = True", "sizes: list = [1, 2]"):
        assert part in message
    assert not (tmp_path / "out").exists()


def test_one_wrong_parameter_stops_all_notebooks(quick, tmp_path):
    other = _write(tmp_path / "other.ipynb", "epochs: int = 1")
    assert main(["run", str(other), str(quick), "-p", "epochs", "many", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_failing_cell_exits_1_keeps_the_notebook_and_the_others_run(quick, tmp_path, capsys):
    bad = _write(
        tmp_path / "bad.ipynb",
        "latent_dim: int = 4",
        "done = 'as far as here'\nprint(done)",
        "raise RuntimeError('first line\\nthe last line')",
    )
    out = tmp_path / "out"
    assert main(["run", str(bad), str(quick), "--out", str(out)]) == 1
    streams = capsys.readouterr()
    assert "bad failed in cell In [3]: RuntimeError: the last line" in streams.err and str(out / "bad.ipynb") in streams.err
    assert "FAILED: cell In [3]" in streams.out and "squared 16" in streams.out
    kept = nbformat.read(out / "bad.ipynb", as_version=4)
    assert any("as far as here" in str(cell.get("outputs")) for cell in kept.cells)
    assert {run["notebook"]: run["status"] for run in runs.collect_runs(out)}["quick"] == "ok"
    assert "the last line" in (out / "index.html").read_text(encoding="utf-8")


def test_killed_kernel_is_a_failure_with_its_name(tmp_path, capsys):
    deadly = _write(tmp_path / "deadly.ipynb", "latent_dim: int = 4", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert main(["run", str(deadly), "--out", str(tmp_path / "out")]) == 1
    assert "DeadKernelError" in capsys.readouterr().err
    assert (tmp_path / "out" / "deadly.ipynb").exists()


def test_running_again_replaces_the_result_only_when_it_ends(quick, tmp_path):
    out = tmp_path / "out"
    assert main(["run", str(quick), "--out", str(out)]) == 0
    (tmp_path / "again").mkdir()
    seen = _write(tmp_path / "again" / "quick.ipynb", QUICK, f"print(open({str(out / 'quick.ipynb')!r}).read())")
    assert main(["run", str(seen), "--out", str(out)]) == 0
    during = str(nbformat.read(out / "quick.ipynb", as_version=4).cells[-1].outputs)
    assert "squared" in during, "while it ran, the first result still stood there"


@pytest.mark.parametrize("name", ["99", "nothing.ipynb"])
def test_unknown_notebook_exits_2_and_lists_what_there_is(name, tmp_path, capsys):
    assert main(["run", name, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert name in message and "01_basic_autoencoder.ipynb" in message


def test_numbers_name_notebooks():
    assert runs.find_notebooks(["01"]) == [LESSON]
    assert LESSON in runs.find_notebooks([])


def test_unwritable_folder_exits_2(quick, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["run", str(quick), "--out", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_links_beside_the_notebook_lead_there_from_the_result(quick, tmp_path):
    notebook = nbformat.read(quick, as_version=4)
    text = "[here](quick.ipynb) [web](https://example.org) [gone](nothing.ipynb)"
    notebook.cells.append(nbformat.v4.new_markdown_cell(text))
    nbformat.write(notebook, quick)
    assert main(["run", str(quick), "--out", str(tmp_path / "deep" / "out")]) == 0
    result = nbformat.read(tmp_path / "deep" / "out" / "quick.ipynb", as_version=4)
    assert result.cells[-1].source == "[here](../../quick.ipynb) [web](https://example.org) [gone](nothing.ipynb)"


def test_full_disk_is_reported_and_the_earlier_result_stays(quick, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main(["run", str(quick), "--out", str(out)]) == 0
    before = (out / "quick.ipynb").read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", full)
    assert main(["run", str(quick), "--out", str(out)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert (out / "quick.ipynb").read_bytes() == before


def test_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    page = tmp_path / "index.html"
    runs.write_whole(page, "first")
    monkeypatch.setattr(runs.os, "replace", lambda *arguments: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        runs.write_whole(page, "second")
    assert page.read_text() == "first" and [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_folder_with_a_strange_notebook_is_still_reported(quick, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "broken.ipynb").write_text("{not json", encoding="utf-8")
    assert main(["run", str(quick), "--out", str(out)]) == 0
    assert {run["notebook"]: run["status"] for run in runs.collect_runs(out)} == {
        "broken": "not a readable notebook",
        "quick": "ok",
    }


def test_nbval_runs_in_smoke_settings_and_compares_what_is_tagged(tmp_path):
    """The hook in conftest.py reaches the parameters cell, and a stale stored text fails."""
    notebook = nbformat.read(_write(tmp_path / "01_small.ipynb", 'dataset: str = "mnist"', "print(dataset)"), as_version=4)
    for count, cell in enumerate(notebook.cells, start=1):
        cell.execution_count = count
    notebook.cells[1].metadata["tags"] = ["nbval-check-output"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "conftest",
        "--nbval-lax",
        "--nbval-current-env",
        "-c",
        os.devnull,
        str(tmp_path),
    ]
    for stored, code in (("digits\n", 0), ("mnist\n", 1)):
        notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored)]
        nbformat.write(notebook, tmp_path / "01_small.ipynb")
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout


# ---- Notebook 01 through the command, in a clone with nothing beside it ----


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    for name in ("aeutils", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    return folder


def _run_in(clone, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    return subprocess.run(
        [sys.executable, "-m", "aeutils", "run", *arguments], cwd=clone, env=environment, capture_output=True, text=True
    )


def _smoke(*extra):
    given = {"epochs": 1, "limit": 500, "code_sizes": "[2]", "n_seeds": 1}
    return [word for name, value in given.items() for word in ("-p", name, str(value))] + list(extra)


def _metrics(clone, out):
    (run,) = runs.collect_runs(clone / out)
    return run["dataset"], run["metrics"]


def test_offline_default_falls_back_to_digits_and_says_so(clone):
    done = _run_in(clone, "01", "--out", "first", *_smoke())
    assert done.returncode == 0, done.stderr
    dataset, metrics = _metrics(clone, "first")
    assert dataset == "digits" and metrics["test_mse"] > 0
    outputs = json.dumps(
        [cell.get("outputs") for cell in nbformat.read(clone / "first" / "01_basic_autoencoder.ipynb", as_version=4).cells]
    )
    assert outputs.count("fashion_mnist is not on this computer") == 1
    assert '"name": "stderr"' not in outputs, "nothing but results in the notebook"
    # And again: same seed, same figures, to the last bit.
    assert _run_in(clone, "01", "--out", "second", *_smoke("-p", "dataset", "digits")).returncode == 0
    assert _metrics(clone, "second")[1] == metrics


@pytest.mark.parametrize("kind", ["colour without labels", "grey with labels"])
def test_notebook_01_runs_on_a_users_own_file(clone, kind):
    import numpy as np

    rng = np.random.default_rng(0)
    x = np.zeros((300, 20, 24), np.uint8)
    for image in x:  # a bright box somewhere
        top, left = rng.integers(0, 12, 2)
        image[top : top + 8, left : left + 8] = rng.integers(100, 255)
    arrays = (
        {"x_train": np.repeat(x[..., None], 3, axis=-1)}
        if kind.startswith("colour")
        else {"x_train": x, "y_train": np.arange(300) % 2}
    )
    np.savez(clone / "boxes.npz", **arrays)
    done = _run_in(
        clone,
        "01",
        "--out",
        kind.split()[0],
        *_smoke("-p", "dataset", "boxes.npz", "-p", "latent_dim", "8", "-p", "epochs", "20"),
    )
    assert done.returncode == 0, done.stderr
    dataset, metrics = _metrics(clone, kind.split()[0])
    assert dataset == "boxes" and metrics["test_mse"] < metrics["mean_image_test_mse"]


def test_autoencoder_beats_pca_on_digits_at_default_parameters(clone):
    done = _run_in(clone, "01", "--out", "default", "-p", "dataset", "digits")
    assert done.returncode == 0, done.stderr
    _, metrics = _metrics(clone, "default")
    assert metrics["test_mse"] < metrics["pca_test_mse"] < metrics["mean_image_test_mse"]


def test_pretraining_rescues_the_deep_sigmoid_stack_on_digits(clone):
    done = _run_in(clone, "02", "--out", "stacked", "-p", "dataset", "digits", "-p", "n_seeds", "1")
    assert done.returncode == 0, done.stderr
    _, metrics = _metrics(clone, "stacked")
    assert metrics["val_mse_at_once"] > 0.95 * metrics["mean_image_val_mse"], "at once it learns the mean image and no more"
    assert metrics["val_mse_pretrained"] < 0.6 * metrics["val_mse_at_once"]
    assert metrics["val_mse_relu_at_once"] < metrics["val_mse_pretrained"]


# ---- Fresh outputs in place ----


def _with_longer_run(path, **longer):
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["aeutils"] = {"committed_parameters": longer}
    nbformat.write(notebook, path)
    return path


def test_refresh_runs_the_longer_run_and_keeps_the_defaults(quick):
    assert main(["refresh", str(_with_longer_run(quick, latent_dim=7))]) == 0
    notebook = nbformat.read(quick, as_version=4)
    assert runs.read_record(notebook)["squared"] == 49
    assert [cell.source for cell in notebook.cells] == [QUICK, BODY]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2]


def test_refresh_leaves_a_notebook_that_fails_as_it_was(tmp_path, capsys):
    failing = _write(tmp_path / "failing.ipynb", QUICK, "1 / 0")
    before = failing.read_bytes()
    assert main(["refresh", str(failing)]) == 1
    assert failing.read_bytes() == before
    assert "failing.ipynb was left as it was" in capsys.readouterr().err


def test_refresh_names_an_unknown_longer_parameter(quick):
    with pytest.raises(ParameterError, match="committed_parameters in its metadata names n_sedes"):
        runs.refresh_notebook(_with_longer_run(quick, n_sedes=5))
