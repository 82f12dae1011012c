import copy
import inspect
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aeutils import anomaly
from aeutils.anomaly import AutoencoderDetector


def _draw_plane(n, seed=0):
    """Rows on a plane in six dimensions with a little noise; rows off the plane with the same spread in each column."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(2, 6))
    normal = rng.normal(size=(n, 2)) @ mixing + 0.05 * rng.normal(size=(n, 6))
    shuffled = np.stack([rng.permutation(column) for column in normal.T], axis=1)
    return normal, shuffled


@pytest.fixture(scope="module")
def table():
    return _draw_plane(400)[0]


@pytest.fixture(scope="module")
def fitted(table):
    return AutoencoderDetector(contamination=0.05).fit(table)


@pytest.fixture(scope="module")
def squares():
    """Grey 8x8 images with a bright square somewhere, and others with a bright cross."""
    rng = np.random.default_rng(0)
    images = {"square": np.zeros((300, 8, 8, 1), np.float32), "cross": np.zeros((40, 8, 8, 1), np.float32)}
    for name, stack in images.items():
        for image in stack:
            top, left = rng.integers(0, 5, 2)
            if name == "square":
                image[top : top + 4, left : left + 4] = 0.9
            else:
                image[top : top + 4, left + 1] = image[top + 1, left : left + 4] = 0.9
    return images


# ---- What it finds ----


def test_rows_that_break_the_relation_score_higher_than_new_normal_ones(fitted):
    normal, broken = _draw_plane(200, seed=1)
    y = np.repeat([0, 1], 200)
    assert roc_auc_score(y, fitted.decision_function(np.concatenate([normal, broken]))) > 0.95
    assert abs(roc_auc_score(y, np.square(np.concatenate([normal, broken])).sum(axis=1)) - 0.5) < 0.1, (
        "no single column tells them"
    )


def test_threshold_keeps_its_promise_on_new_normal_rows(fitted):
    assert fitted.threshold_ == np.quantile(fitted.decision_scores_, 0.95)
    assert 0.005 < fitted.predict(_draw_plane(2000, seed=2)[0]).mean() < 0.12, "about 5% of normal rows are flagged"
    assert fitted.labels_.sum() == 20 and fitted.labels_.shape == (400,)


def test_anomalies_among_the_training_rows_are_found():
    normal, broken = _draw_plane(400)
    X = np.concatenate([normal, 3 * broken[:20]])
    detector = AutoencoderDetector(contamination=0.1).fit(X)
    assert roc_auc_score(np.arange(420) >= 400, detector.decision_scores_) > 0.95


@pytest.mark.parametrize("neighbour_weight", [0, 1])
def test_held_out_scores_are_not_smaller_than_those_of_new_rows(neighbour_weight):
    rng = np.random.default_rng(0)
    X, X_new = rng.normal(size=(60, 20)), rng.normal(size=(2000, 20))  # few rows, many features: easily memorised
    detector = AutoencoderDetector(n_steps=1500, neighbour_weight=neighbour_weight).fit(X)
    assert np.mean(detector.decision_scores_) > 0.8 * np.mean(detector.decision_function(X_new))
    assert np.mean(detector.decision_function(X)) < 0.5 * np.mean(detector.decision_scores_), "most members have seen a row"


@pytest.mark.parametrize("helpful", [{"distance_weight": 1}, {"neighbour_weight": 1}])
def test_breast_cancer_beats_chance_far_and_the_distances_help(helpful):
    """Malignant rows lie far out, and a network restores part of that (notebook 04)."""
    X, y = load_breast_cancer(return_X_y=True)
    benign = np.flatnonzero(y == 1)
    test = np.r_[benign[200:], np.flatnonzero(y == 0)]
    error, both = (
        roc_auc_score(y[test] == 0, AutoencoderDetector(**weights).fit(X[benign[:200]]).decision_function(X[test]))
        for weights in ({"neighbour_weight": 0}, {"neighbour_weight": 0, **helpful})
    )
    assert 0.88 < error < both - 0.01


def test_images_of_another_kind_score_higher(squares):
    detector = AutoencoderDetector(n_steps=300).fit(squares["square"][:250])
    both = np.concatenate([squares["square"][250:], squares["cross"]])
    assert roc_auc_score(np.arange(90) >= 50, detector.decision_function(both)) > 0.9
    reconstructed = detector.reconstruct(both)
    assert reconstructed.shape == both.shape and reconstructed.dtype == np.float32
    assert reconstructed.min() >= 0 and reconstructed.max() <= 1
    assert np.mean((reconstructed[:50] - both[:50]) ** 2) < 0.5 * np.mean(both[:50] ** 2)


def test_uint8_images_and_inverted_images_score_alike(squares):
    images = squares["square"][:100]
    as_float = AutoencoderDetector(n_steps=20).fit(np.rint(images * 255) / 255).decision_function(images)
    as_uint8 = AutoencoderDetector(n_steps=20).fit(np.rint(images * 255).astype(np.uint8))
    np.testing.assert_allclose(as_uint8.decision_function(images), as_float, rtol=1e-4)
    assert as_uint8.background_ == 0
    assert AutoencoderDetector(n_steps=1).fit(1 - images).background_ == 1


# ---- The interface ----


def test_shapes_dtypes_and_attributes(fitted, table):
    scores, flags = fitted.decision_function(table), fitted.predict(table)
    assert scores.shape == flags.shape == (400,) and scores.dtype == np.float64 and flags.dtype == np.int64
    assert np.array_equal(flags, scores > fitted.threshold_)
    assert fitted.n_features_in_ == 6 and fitted.reconstruct(table[:3]).shape == (3, 6)


def test_score_is_the_mean_squared_error_in_standard_deviations_and_the_distances(table):
    fitted = AutoencoderDetector(contamination=0.05, distance_weight=1).fit(table)
    z, members = (table - fitted.mean_) / fitted.scale_, fitted.members_
    errors = []
    for weights in members.astype(np.float64):  # the networks once more, by hand
        x, start = z, 0
        for k, (n_in, n_out) in enumerate(zip(fitted.sizes_, fitted.sizes_[1:])):
            kernel, bias = weights[start : start + n_in * n_out].reshape(n_in, n_out), weights[start + n_in * n_out :][:n_out]
            x, start = x @ kernel + bias, start + (n_in + 1) * n_out
            x = np.maximum(x, 0) if k < len(fitted.sizes_) - 2 else x
        errors.append(np.mean((x - z) ** 2, axis=1))
    distance = fitted.distance_scale_ * np.mean(z**2, axis=1)
    lengths = np.linalg.norm(z[:, None] - fitted.neighbours_, axis=2)
    near = np.sort(lengths, axis=1)[:, :2].mean(axis=1) ** 2 / 6  # training rows asked as if they were new: nearest themselves
    np.testing.assert_allclose(fitted.decision_function(table), np.mean(errors, axis=0) + distance + near, rtol=1e-3)
    without = AutoencoderDetector(contamination=0.05, neighbour_weight=0).fit(table)
    assert np.array_equal(without.members_, fitted.members_) and without.distance_scale_ == 0 and not len(without.neighbours_)
    np.testing.assert_allclose(without.decision_function(table), np.mean(errors, axis=0), rtol=1e-3)
    alone = copy.copy(fitted)
    alone.distance_scale_ = alone.neighbour_weight = 0
    assert np.array_equal(alone.decision_function(table), without.decision_function(table))


def test_distance_to_the_neighbours_of_rows_at_known_places():
    corners = np.array([[1.0, 1.0], [1, -1], [-1, 1], [-1, -1]] * 2)  # mean 0, standard deviation 1, every row twice
    without, simple, double = (AutoencoderDetector(n_steps=5, neighbour_weight=weight).fit(corners) for weight in (0, 1, 2))
    X_new = np.array([[1.0, 1.0], [3, 1], [0, 0]])  # distances to the nearest two: 0 and 0, 2 and 2, sqrt(2) and sqrt(2)
    for detector, weight in ((simple, 1), (double, 2)):
        added = detector.decision_function(X_new) - without.decision_function(X_new)
        np.testing.assert_allclose(added, weight * np.array([0, 2, 1]), atol=1e-6)
        # A training row is not its own neighbour: its twin is at 0, the next one at 2, the mean is 1.
        np.testing.assert_allclose(detector.decision_scores_ - without.decision_scores_, weight * 0.5, atol=1e-6)


@pytest.mark.parametrize("n_kept", [50, 400])
def test_number_of_neighbours_is_bounded_and_no_row_is_its_own(n_kept, table, monkeypatch):
    monkeypatch.setattr(anomaly, "_MOST_ROWS_KEPT", n_kept)
    monkeypatch.setattr(anomaly, "_ROWS_AT_ONCE", 64)
    detector, without = (AutoencoderDetector(n_steps=5, neighbour_weight=weight).fit(table) for weight in (1, 0))
    assert detector.neighbours_.shape == (n_kept, 6) and detector.neighbours_.dtype == np.float32
    z = ((table - detector.mean_) / detector.scale_).astype(np.float32)
    lengths = np.linalg.norm(z[:, None] - detector.neighbours_, axis=2)
    assert (lengths == 0).sum() == n_kept, "the neighbours are training rows"
    lengths[lengths == 0] = np.inf
    near = np.sort(lengths, axis=1)[:, :2].mean(axis=1) ** 2 / 6
    np.testing.assert_allclose(detector.decision_scores_ - without.decision_scores_, near, rtol=1e-4, atol=1e-6)


def test_suspects_are_no_neighbours():
    normal, broken = _draw_plane(400)
    detector = AutoencoderDetector(contamination=0.1, n_steps=5).fit(np.concatenate([normal, 30 * broken[:20]]))
    neighbours = detector.neighbours_ * detector.scale_ + detector.mean_
    assert len(neighbours) == 420 - 42
    np.testing.assert_array_less(np.abs(neighbours).max(axis=0), np.abs(normal).max(axis=0) + 1e-3)


def test_images_have_no_neighbours(squares, table):
    with_weight = AutoencoderDetector(n_steps=5).fit(table).fit(squares["square"])
    without = AutoencoderDetector(n_steps=5, neighbour_weight=0).fit(squares["square"])
    assert len(with_weight.neighbours_) == 0 and with_weight.threshold_ == without.threshold_
    assert np.array_equal(with_weight.decision_function(squares["cross"]), without.decision_function(squares["cross"]))


def test_order_of_the_parameters_is_kept():
    names = list(inspect.signature(AutoencoderDetector).parameters)
    assert names[:2] == ["contamination", "hidden_units"] and names[-2:] == ["false_alarm_rate", "neighbour_weight"]


def test_error_and_distance_of_a_typical_row_count_the_same(table):
    half, without = (
        AutoencoderDetector(n_steps=30, distance_weight=weight, neighbour_weight=0).fit(table).decision_scores_
        for weight in (0.5, 0)
    )
    np.testing.assert_allclose(np.median(half - without), 0.5 * np.median(without), rtol=1e-6)


def test_table_without_spread_has_no_distance():
    detector = AutoencoderDetector(n_steps=5, contamination=0).fit(np.ones((20, 3)))
    assert detector.distance_scale_ == 0 and np.isfinite(detector.decision_scores_).all()


def test_same_seed_same_scores_other_seed_others(table):
    first, second, other = (
        AutoencoderDetector(n_steps=30, random_state=seed).fit(table).decision_function(table) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, second) and not np.allclose(first, other)


def test_scale_of_a_column_does_not_matter(table):
    scores = AutoencoderDetector(n_steps=50).fit(table).decision_function(table)
    scaled = table * [1, 1e6, 1e-6, 1, 1, 1] + [0, 5, 0, 1e3, 0, 0]
    np.testing.assert_allclose(AutoencoderDetector(n_steps=50).fit(scaled).decision_function(scaled), scores, rtol=1e-2)


def test_constant_columns_and_wild_values_give_finite_scores(table):
    X = np.concatenate([table, np.full((400, 1), 7.0), np.zeros((400, 1))], axis=1)
    detector = AutoencoderDetector(n_steps=30).fit(X)
    X_new = X[:3].copy()
    X_new[0] = 1e300
    scores = detector.decision_function(X_new)
    assert np.isfinite(scores).all() and scores[0] > 100 * detector.threshold_


def test_works_in_scikit_learn(table):
    detector = clone(AutoencoderDetector(noise=0.2, n_steps=20))
    assert detector.get_params()["noise"] == 0.2
    pipeline = make_pipeline(StandardScaler(), detector).fit(table)
    assert pipeline.predict(table).shape == (400,)
    assert np.array_equal(pickle.loads(pickle.dumps(detector)).predict(table), detector.predict(table))


def test_input_is_not_changed(table):
    before = table.copy()
    AutoencoderDetector(n_steps=5).fit(table).predict(table)
    assert np.array_equal(before, table)


def test_second_table_is_not_traced_again():
    AutoencoderDetector(n_steps=2).fit(np.random.default_rng(0).normal(size=(40, 5)))
    train, apply = anomaly._compile(4, False)
    traces = train.experimental_get_tracing_count(), apply.experimental_get_tracing_count()
    AutoencoderDetector(n_steps=3, n_members=3, hidden_units=(9, 8, 7)).fit(np.random.default_rng(0).normal(size=(90, 11)))
    assert (train.experimental_get_tracing_count(), apply.experimental_get_tracing_count()) == traces == (1, 1)


# ---- Refusals ----


@pytest.mark.parametrize(
    "X, message",
    [
        (np.array([[1.0, np.nan]] * 20), r"20 NaN or infinite values, the first in row 0, column 1"),
        (np.array([[1.0, 2.0]] * 19 + [[np.inf, 1.0]]), "first in row 19, column 0"),
        (np.zeros(20), r"shape \(20,\); expected a table"),
        (np.zeros((0, 3)), "not empty"),
        (np.zeros((7, 3)), "7 rows; expected at least 8"),
        (np.array([["a", "b"]] * 20), "cannot be read as numbers"),
        (np.full((20, 4, 4), 2.0), r"images go from 2 to 2; expected uint8, or values in \[0, 1\]"),
    ],
)
def test_unfit_data_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        AutoencoderDetector().fit(X)


def test_sparse_data_are_refused():
    import scipy.sparse

    with pytest.raises(ValueError, match="toarray"):
        AutoencoderDetector().fit(scipy.sparse.eye(20).tocsr())


@pytest.mark.parametrize(
    "name, value",
    [
        ("contamination", 0.5),
        ("contamination", -0.1),
        ("n_members", 1),
        ("noise", -1),
        ("n_steps", 0),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("distance_weight", -1),
        ("neighbour_weight", -0.1),
        ("hidden_units", ()),
        ("hidden_units", (8, 0, 8)),
    ],
)
def test_parameters_out_of_range_are_refused(name, value, table):
    with pytest.raises(ValueError, match=f"^{name}=.*expected"):
        AutoencoderDetector(**{name: value}).fit(table)


def test_other_columns_and_unfitted_detectors_are_refused(fitted, table):
    with pytest.raises(ValueError, match=r"rows of shape \(5,\), the detector was fitted on \(6,\)"):
        fitted.predict(table[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        fitted.decision_function(np.full((1, 6), np.nan))
    for method in ("predict", "decision_function", "reconstruct"):
        with pytest.raises(NotFittedError):
            getattr(AutoencoderDetector(), method)(table)


# ---- Save and load ----


def test_saved_detector_scores_alike_in_another_process(fitted, table, tmp_path):
    path, scores = tmp_path / "detector.npz", tmp_path / "scores.npy"
    fitted.save(path)
    np.save(tmp_path / "table.npy", table)
    program = (
        "import sys, numpy as np; from aeutils.anomaly import AutoencoderDetector as D;"
        "d = D.load(sys.argv[1]); np.save(sys.argv[3], d.decision_function(np.load(sys.argv[2])));"
        "assert d.contamination == 0.05"
    )
    subprocess.run([sys.executable, "-c", program, path, tmp_path / "table.npy", scores], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(scores), fitted.decision_function(table), rtol=1e-5)
    loaded = AutoencoderDetector.load(path)
    assert loaded.threshold_ == fitted.threshold_ and np.array_equal(loaded.labels_, fitted.labels_)
    assert np.array_equal(loaded.neighbours_, fitted.neighbours_) and len(loaded.neighbours_)
    assert [p.name for p in tmp_path.glob("*.part")] == []


def test_saved_image_detector_keeps_its_shape(squares, tmp_path):
    detector = AutoencoderDetector(n_steps=5, hidden_units=np.array([8, 4, 8])).fit(squares["square"])
    detector.save(tmp_path / "images.npz")
    loaded = AutoencoderDetector.load(tmp_path / "images.npz")
    np.testing.assert_allclose(
        loaded.decision_function(squares["cross"]), detector.decision_function(squares["cross"]), rtol=1e-5
    )


def test_file_of_the_earlier_version_is_read_and_scores_as_it_did(table, tmp_path):
    """It has neither `neighbours_` nor the parameter `neighbour_weight`."""
    former = AutoencoderDetector(0.1, n_steps=20, distance_weight=1, neighbour_weight=0).fit(table)
    former.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as saved:
        arrays = {name: saved[name] for name in saved if name not in ("fitted", "neighbours_")}
        fitted = json.loads(str(saved["fitted"]))
    del fitted["parameters"]["neighbour_weight"]
    np.savez(tmp_path / "old.npz", fitted=json.dumps(fitted), **arrays)
    loaded = AutoencoderDetector.load(tmp_path / "old.npz")
    assert loaded.neighbour_weight == 0 and loaded.neighbours_.shape == (0, 6) and loaded.threshold_ == former.threshold_
    assert np.array_equal(loaded.decision_function(table), former.decision_function(table))
    loaded.save(tmp_path / "again.npz")
    assert AutoencoderDetector.load(tmp_path / "again.npz").get_params() == former.get_params()


def test_damaged_or_foreign_files_are_refused(fitted, tmp_path):
    path = tmp_path / "detector.npz"
    fitted.save(path)
    (tmp_path / "half.npz").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("hello", encoding="utf-8")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("half.npz", "other.npz", "text.npz", "pickled.npy"):
        with pytest.raises(ValueError, match="cannot be read as a saved detector"):
            AutoencoderDetector.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        AutoencoderDetector.load(tmp_path / "missing.npz")


def test_failed_save_keeps_the_earlier_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "detector.npz"
    fitted.save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        fitted.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_unfitted_detector_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        AutoencoderDetector().save(tmp_path / "detector.npz")
    assert not list(tmp_path.iterdir())


def test_without_anomalies_in_training_the_threshold_still_flags_a_share():
    x = np.random.default_rng(0).normal(size=(400, 5))
    detector = AutoencoderDetector(contamination=0, n_steps=50).fit(x)
    assert detector.labels_.mean() == pytest.approx(0.05)
    fewer = AutoencoderDetector(contamination=0, n_steps=50, false_alarm_rate=0.2).fit(x)
    assert fewer.labels_.mean() == pytest.approx(0.2) and fewer.threshold_ < detector.threshold_
    held_out = np.random.default_rng(1).normal(size=(1000, 5))
    assert 0.01 < detector.predict(held_out).mean() < 0.12
    with pytest.raises(ValueError, match="false_alarm_rate=0: expected None, or a share above 0 and below 0.5"):
        AutoencoderDetector(false_alarm_rate=0).fit(x)
