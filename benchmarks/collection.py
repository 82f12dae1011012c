"""The collection itself: seconds and peak memory of every notebook, start-up apart, and the loading of every data set."""

import sys
import tempfile
import time
from pathlib import Path

import nbformat

from aeutils.running import reports, sources
from benchmarks import measure

DATASETS = ("digits", "mnist", "fashion_mnist")


def run(notebooks=(), rounds=2, loads=3):
    """Every notebook at its defaults, on the embedded `digits` and on the data set that it was written for, in turns."""
    found = sources.find_sources(list(notebooks))
    measured = {source.path.stem: {} for source in found}
    for _ in range(rounds):
        for source in found:
            path = source.path
            for dataset in ("digits", source.parameters["dataset"].default):
                turn = _run_notebook(path, dataset)
                measured[path.stem].setdefault(turn["dataset"], []).append(turn)
                print(f"{path.stem}, {turn['dataset']}: {turn['seconds']:.0f} s, {turn['peak_mb']} MB", flush=True)
    figures = ("seconds", "cells_seconds", "start_up_seconds", "peak_mb")
    return {
        "notebooks": {
            name: {
                dataset: {figure: measure.summarize([turn[figure] for turn in turns]) for figure in figures}
                for dataset, turns in by_dataset.items()
            }
            for name, by_dataset in measured.items()
        },
        "loading": {dataset: _load(dataset, loads) for dataset in DATASETS},
    }


def _run_notebook(path, dataset):
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "aeutils", "run", str(path), "-p", "dataset", dataset, "--out", out]
        process = measure.run_process(command)
        notebook = nbformat.read(Path(out) / path.name, as_version=4)
        used = reports.describe_run(path.stem, notebook).dataset
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    working = sum(cell.metadata.papermill.duration for cell in cells if "\nimport keras" not in cell.source)
    return {
        "dataset": used,
        "seconds": process["seconds"],
        "cells_seconds": working,
        "start_up_seconds": process["seconds"] - working,  # the program, the kernel, the cell with the imports, the page
        "peak_mb": process["peak_mb"],
    }


def _load(dataset, times):
    """Seconds of `load_dataset` with an empty cache and with a filled one, each in a fresh process."""
    taken = {"first": [], "again": []}
    for _ in range(times):
        with tempfile.TemporaryDirectory() as cache:
            for way in taken:
                turn = measure.measure("collection", dataset=dataset, cache=cache)
                taken[way].append(turn["seconds"])
    print(f"loading {dataset}: {min(taken['first']):.2f} s, again {min(taken['again']):.2f} s", flush=True)
    return {way: measure.summarize(seconds) for way, seconds in taken.items()} | {"dataset": turn["dataset"]}


def main(dataset, cache):
    import os

    os.environ["AEUTILS_CACHE_DIR"] = cache
    from aeutils import load_dataset

    start = time.perf_counter()
    data = load_dataset(dataset, fallback="digits")
    return {"seconds": time.perf_counter() - start, "dataset": data.name}
