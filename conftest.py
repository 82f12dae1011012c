"""Shared by all tests and notebooks under pytest: no network, no data of the user, and notebooks in smoke settings."""

import os
import shutil
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent
ASSIGNMENTS = sorted((REPOSITORY / "notebooks" / "assignments").rglob("[0-9][0-9]_*.ipynb"))
NOTEBOOKS = sorted(set((REPOSITORY / "notebooks").rglob("[0-9][0-9]_*.ipynb")) - set(ASSIGNMENTS))

# Whatever the machine has, the tests see an empty cache, no data folder and a network that refuses connections.
# Kernels and subprocesses inherit this. Workers of pytest-xdist share the cache of the process that started them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _scratch = tempfile.TemporaryDirectory(prefix="aeutils-tests-")
    os.environ["AEUTILS_CACHE_DIR"] = _scratch.name
else:  # and share the cores
    _threads = str(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))
    for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(_name, _threads)
os.environ.pop("AEUTILS_DATA_DIR", None)
for _name in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ[_name] = os.environ[_name.upper()] = "http://127.0.0.1:9"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
os.environ["AEUTILS_STUDENT"] = "example"  # the source assignments, with their solutions, run with the parameters of this id
os.environ["PYTHONWARNINGS"] = "ignore"  # in kernels: nbval captures their stderr, a terminal does not

# Every notebook runs with these values under nbval, as far as it has the parameters.
SMOKE = {
    "dataset": "digits",
    "epochs": 2,
    "limit": 2000,
    "n_seeds": 2,
    "code_sizes": [2, 8],
    "pretrain_epochs": 1,
    "classifier_epochs": 10,
    "n_steps": 20,
    "n_splits": 2,
    "max_epochs": 3,
    "min_steps": 0,
    "n_augmented": 2000,
    "label_counts": [60],
    "n_bits": [30],
    "n_units": 256,
    "k_values": [10],
    "l1_weights": [0.001],
    "kl_rates": [0.05],
    "l2_weights": [0.01],
    "noise_levels": [0.6],
    "n_scenes": 160,
    "n_eval": 20,
    "n_strips": 200,
    "depths": [1],
    "side_epochs": 8,
    "compose_epochs": 1,
    "betas": [3.0],
    "n_components": 10,
    "n_samples": 300,
    "mae_steps": [10],
    "tune_steps": 5,
    "prior_epochs": 1,
    "guidances": [2.0],
}

# Files whose tests take minutes each and share nothing. They are shared out one by one, and first: else one worker would end with
# twenty minutes of lessons while the other has nothing left.
APART = ["test_lessons.py", "test_own_data.py", "test_wrong_answers.py"]

# The parameters cell of a notebook that is quick to run.
QUICK = """dataset: str = "none"  # nothing is loaded
latent_dim: int = 4  # units
rate: float = 0.5
fast: bool = True
sizes: list = [1, 2]
untyped = 7"""


def write_notebook(path, *cells):
    """Write a Python notebook of code cells, the first one tagged `parameters`, and return its path."""
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    if cells:
        code[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=kernel), path)
    return Path(path)


def read_checked(notebook):
    """The text of each cell tagged `nbval-check-output`, by the id of the cell."""
    checked = [cell for cell in notebook.cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    texts = [[out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs] for cell in checked]
    return {cell.id: "".join(text) for cell, text in zip(checked, texts)}


def pytest_addoption(parser):
    parser.addoption(
        "--all-mistakes", action="store_true", help="grade every made-up submission of the assignments (20 minutes more)"
    )
    parser.addoption(
        "--once",
        action="store_true",
        help="not under nbval what slow tests run as well: lessons, solutions, and assignments if there is a bubblewrap",
    )


def pytest_collection_modifyitems(config, items):
    """Append the smoke settings to each notebook's `parameters` cell (same file, same cell numbers); `APART` comes first."""
    if config.getoption("--once"):
        # by test_lessons, test_wrong_answers and test_assignments
        tested = {*NOTEBOOKS, *(ASSIGNMENTS if shutil.which("bwrap") else [])}
        twice = [item for item in items if item.path in tested]
        items[:] = [item for item in items if item not in set(twice)]
        config.hook.pytest_deselected(items=twice)
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and "parameters" in cell.metadata.get("tags", []):
            names = {line.split(":")[0].strip() for line in cell.source.splitlines()}
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in SMOKE.items() if name in names)
    items.sort(key=lambda item: item.path.name not in APART)


@pytest.hookimpl(optionalhook=True)  # there may be no xdist
def pytest_xdist_make_scheduler(config, log):
    """Give a worker a whole file, as the cells of a notebook need one kernel, but the tests of `APART` one by one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if Path(nodeid.split("::")[0]).name in APART else super()._split_scope(nodeid)

    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter):
    """Name tests that did not run for want of something on this machine; a line among thousands would be overlooked."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    reasons = [reason.removeprefix("Skipped: ") for reason in skipped]
    for reason in sorted({reason for reason in reasons if reason.startswith("NOT RUN")}):
        terminalreporter.write_line(f"{reason} ({reasons.count(reason)} tests)", red=True, bold=True)


@pytest.fixture(autouse=True)
def _add_numpy(doctest_namespace):
    doctest_namespace["np"] = np


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty world for load_dataset: data folder of the environment variable, repository's data/, cache."""
    from aeutils import datasets

    own, repository, cache = tmp_path / "own", tmp_path / "repository", tmp_path / "cache"
    for folder in (own, repository, cache):
        folder.mkdir()
    monkeypatch.setenv("AEUTILS_DATA_DIR", str(own))
    monkeypatch.setenv("AEUTILS_CACHE_DIR", str(cache))
    monkeypatch.setattr(datasets, "REPOSITORY_DATA", repository)
    return {"own": own, "repository": repository, "cache": cache}


@pytest.fixture
def images():
    """Twenty grey images of 6x5 pixels, uint8."""
    return np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
