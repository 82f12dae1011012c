import json
import math
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import benchmarks.__main__ as program
from benchmarks import collection, detection, hashing, measure, quality, report, throughput

FOLDER = Path(program.__file__).parent
COMMITTED = json.loads((FOLDER / "results.json").read_text())


def test_committed_page_is_made_from_the_committed_results(tmp_path):
    report.write(COMMITTED, tmp_path)
    assert (tmp_path / "README.md").read_text() == (FOLDER / "README.md").read_text()
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {path.name for path in (FOLDER / "pictures").iterdir()}


def test_committed_results_are_of_one_machine_and_whole():
    assert set(COMMITTED) == set(program.PARTS)
    assert len({(part["machine"]["processor"], part["machine"]["cores"]) for part in COMMITTED.values()}) == 1
    assert all(not part.get("not installed") for part in COMMITTED.values())


def test_target_is_the_tutorials_mean_and_who_misses_it_has_no_time():
    training = {"seconds": [1.0, 2.0], "mse": [0.3, 0.1]}
    slow = {"seconds": [5.0, 9.0], "mse": [0.3, 0.2]}
    concluded = quality.conclude(
        {"TensorFlow tutorial": [slow, slow], "ours": [training, slow], "PyTorch": [slow, {**slow, "mse": [1, 1]}]}
    )
    assert concluded["target_mse"] == pytest.approx(0.2)
    contenders = concluded["contenders"]
    assert contenders["TensorFlow tutorial"]["seconds_to_target"] == [9.0, 9.0]
    assert contenders["ours"]["seconds_to_target"] == [2.0, 9.0]
    assert contenders["PyTorch"]["seconds_to_target"] == [9.0, None]
    ratios = report.compare_to_ours(contenders)
    assert ratios["TensorFlow tutorial"] == pytest.approx(9 / 5.5) and ratios["PyTorch"] == math.inf
    contenders["ours"]["seconds_to_target"] = [None, None]
    assert math.isnan(report.compare_to_ours(contenders)["PyTorch"])


@pytest.mark.parametrize(
    "value, target, below, met",
    [(10, 10, False, True), (9.9, 10, False, False), (0, 0, False, False), (5, 5, True, True), (5.1, 5, True, False),
     (math.nan, 1, False, False)],
)  # fmt: skip
def test_verdicts(value, target, below, met):
    assert report._verdict(value, target, below=below)[1] == ("reached" if met else "**missed**")


def test_a_rival_that_never_gets_there_is_no_reached_target():
    assert report._verdict(math.inf, 1)[1] == "no comparison; the fair one is *PyTorch, our network and recipe*"


def test_summary_names_the_fair_comparison():
    seconds = {"ours": 2.0, "TensorFlow tutorial": 20.0, "PyTorch, our network and recipe": 2.5}
    contenders = {name: {"seconds_to_target": [value]} for name, value in seconds.items()}
    text = report._say_in_short({"quality": {"dense": {"contenders": contenders}}})
    assert "the tutorial takes 10.0 times as long" in text and "memory 1.25 times as long" in text and "not the framework" in text
    contenders["PyTorch, our network and recipe"]["seconds_to_target"] = [9.0]
    text = report._say_in_short({"quality": {"dense": {"contenders": contenders}}})
    assert "memory 4.50 times as long" in text and "not the framework" not in text
    assert report._say_in_short({}) == ""


def test_flops_are_counted_from_the_networks_own_weights():
    model = quality._build_keras("notebook")
    kernels = [weight.shape for weight in model.trainable_variables if len(weight.shape) == 2]
    assert [tuple(shape) for shape in kernels] == throughput.layer_sizes(64)
    forward = 2 * sum(math.prod(shape) for shape in kernels)
    assert throughput.count_flops(64) == 3 * forward - 2 * 784 * 256


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, settings",
    [("keras", {"network": "tutorial"}), ("ours", {"network": "notebook"}), ("ours", {"network": "convolutional"}),
     ("ours", {"network": "kernels of 4"}), ("sklearn", {})],
)  # fmt: skip
def test_contenders_learn(kind, settings):
    taken = quality.main(kind, {**settings, "epochs": 3}, seed=0, dataset="digits", limit=2000)
    assert len(taken["mse"]) == len(taken["seconds"]) == 3 and 0 < taken["seconds"][0] < taken["seconds"][-1]
    assert taken["mse"][-1] < taken["mse"][0] < 0.3


@pytest.mark.skipif(not measure.is_installed("torch"), reason="PyTorch is not installed")
@pytest.mark.parametrize("network", ["tutorial", "notebook", "convolutional", "kernels of 4"])
def test_networks_are_the_same_in_pytorch(network):
    ours = quality._build_keras(network).count_params()
    assert sum(weights.numel() for weights in quality._build_torch(network).parameters()) == ours


def test_simple_detectors_on_a_known_table():
    rated = detection.main("norm of the standardised row", "quality", seed=0)["sets"]
    assert set(rated) == {"breast_cancer", "wine", "iris", "digits"}
    assert 0.94 < rated["breast_cancer"]["auroc"] < 0.98
    grown = detection.main("IsolationForest", "growth", seed=0, rows=[400, 900])
    assert [row[0] for row in grown["rows"]] == [400, 900] and all(row[3] > 0.85 for row in grown["rows"])


@pytest.mark.parametrize("what", hashing.CONTENDERS)
def test_contenders_find_the_same_distances(what):
    there = [name for name in hashing.CONTENDERS[what] if hashing._is_there(name)]
    taken = {name: hashing.main(name, n=2000, n_queries=30, k=10, threads=1) for name in there}
    sums = [one["sum_of_distances"] for one in taken.values()]
    assert min(sums) > 0 and np.allclose(sums, sums[0], rtol=1e-5), taken
    assert all(one["milliseconds"] > 0 for one in taken.values())


def test_search_is_compared_with_one_thread_and_for_bits():
    def search(what, contender, threads, median):
        return {"what": what, "n": 9, "contender": contender, "threads": threads, "milliseconds": {"median": median}}

    rows = [("bits", "ours", 1, 4), ("bits", "FAISS IndexBinaryFlat", 1, 2), ("bits", "FAISS IndexBinaryFlat", 2, 1)]
    searches = [search(*row) for row in [*rows, ("pixels", "FAISS IndexFlatL2", 1, 9)]]
    assert report._pair_searches({"searches": searches}) == {9: (4, 2)} and report._pair_searches(None) == {}


def test_split_keeps_training_rows_out_of_the_test():
    train, x, truth = detection._split(np.arange(10)[:, None], np.arange(100, 104)[:, None], seed=0)
    assert len(train) == 7 and not set(train.ravel()) & set(x.ravel()) and list(truth) == [False] * 3 + [True] * 4
    assert (x.ravel() >= 100).tolist() == truth.tolist()


@pytest.mark.slow
def test_memory_and_output_of_a_process_are_seen():
    """More than this process holds: a child counts its parent's memory until it has its own program."""
    fill = "x = b'x' * 1_500_000_000"
    ended = measure.run_process([sys.executable, "-c", f"{fill}; print(len(x))"])
    assert ended["text"].strip() == "1500000000" and 1450 < ended["peak_mb"] < 1700
    assert 0 < ended["cpu_seconds"] and 0 < ended["seconds"]
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {fill!r}])"
    assert 1450 < measure.run_process([sys.executable, "-c", child])["peak_mb"] < 1700
    with pytest.raises(RuntimeError, match="ended with 3: .*what went wrong"):
        measure.run_process([sys.executable, "-c", "import sys; print('what went wrong', file=sys.stderr); sys.exit(3)"])


@pytest.mark.slow
def test_a_part_is_measured_in_a_process_of_its_own_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collection, "DATASETS", ("digits",))
    monkeypatch.setattr(collection.sources, "find_sources", lambda names: [])
    assert program.main(["collection", "--out", str(tmp_path), "--set", "loads", "1"]) is None
    results = json.loads((tmp_path / "results.json").read_text())
    loading = results["collection"]["loading"]["digits"]
    assert loading["dataset"] == "digits" and loading["first"]["median"] > loading["again"]["median"] > 0
    assert results["collection"]["machine"]["versions"]["keras"] == keras.__version__
    assert "| digits |" in (tmp_path / "README.md").read_text()


def test_unknown_part_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        program.main(["qualty", "--out", str(tmp_path)])
    assert stopped.value.code == 2 and "qualty; the parts are quality, throughput" in capsys.readouterr().err


@pytest.mark.parametrize("given, message", [(["nonsense", "1"], "it has notebook, grids"), (["rounds", "abc"], "expected JSON")])
def test_wrong_argument_of_a_part_is_refused_before_it_runs(tmp_path, capsys, given, message):
    with pytest.raises(SystemExit) as stopped:
        program.main(["sweep", "--out", str(tmp_path), "--set", *given])
    assert stopped.value.code == 2 and message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_page_without_results_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="does not exist yet"):
        program.main(["report", "--out", str(tmp_path)])
