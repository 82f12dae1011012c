"""Shared by all tests: no network, no data of the user's, and notebooks in smoke settings."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

# Whatever the machine has, the tests see an empty cache, no data folder and a network that refuses at once.
# Kernels and subprocesses inherit this.
_scratch = tempfile.TemporaryDirectory(prefix="aeutils-tests-")
os.environ["AEUTILS_CACHE_DIR"] = _scratch.name
os.environ.pop("AEUTILS_DATA_DIR", None)
for _name in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ[_name] = os.environ[_name.upper()] = "http://127.0.0.1:9"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
os.environ["AEUTILS_STUDENT"] = "example"  # whose parameters the source assignments, with their solutions, run with
os.environ["PYTHONWARNINGS"] = "ignore"  # of kernels: nbval keeps their stderr out of the way, a terminal does not

REPOSITORY = Path(__file__).resolve().parent.parent
ASSIGNMENTS = sorted((REPOSITORY / "notebooks" / "assignments").rglob("[0-9][0-9]_*.ipynb"))
NOTEBOOKS = sorted(set((REPOSITORY / "notebooks").rglob("[0-9][0-9]_*.ipynb")) - set(ASSIGNMENTS))

# What every notebook runs with under nbval, as far as it has these parameters.
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
    "n_augmented": 2000,
    "label_counts": [60],
    "n_bits": [30],
    "n_units": 256,
    "k_values": [10],
    "l1_weights": [0.001],
    "kl_rates": [0.05],
}


def pytest_addoption(parser):
    parser.addoption(
        "--all-mistakes", action="store_true", help="grade every made-up submission of the assignments (10 minutes more)"
    )


def pytest_collection_modifyitems(items):
    """Append the smoke settings to each notebook's `parameters` cell: same file, same cell numbers."""
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and "parameters" in cell.metadata.get("tags", []):
            names = {line.split(":")[0].strip() for line in cell.source.splitlines()}
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in SMOKE.items() if name in names)


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
