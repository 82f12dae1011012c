"""The judge and the Fréchet distance."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from aeutils import generation, load_dataset
from aeutils.datasets import cache_folder
from aeutils.errors import UserError
from aeutils.generation import Judge, JudgeError, compute_frechet, compute_frechet_floor, load_judge


@pytest.fixture
def small(folders):
    """Three hundred digits, and a cache of its own."""
    return load_dataset("digits", limit=300)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(generation, "MIN_STEPS", 30)


def test_frechet_by_hand():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 4))
    assert compute_frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert compute_frechet(a, a + np.array([1, 2, 2, 0])) == pytest.approx(9)
    centred = a - a.mean(axis=0)
    expected = np.trace(np.cov(a, rowvar=False))  # (3 - 2)^2 times the variances
    assert compute_frechet(2 * centred, 3 * centred) == pytest.approx(expected)


def test_frechet_is_symmetric_and_agrees_with_the_matrix_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(200, 5)) + 1
    A, B = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(A + B - 2 * sqrtm(A @ B).real)
    assert compute_frechet(a, b) == pytest.approx(expected)
    assert compute_frechet(b, a) == pytest.approx(expected)


def test_frechet_takes_features_that_never_change():
    dead = np.zeros((10, 3))
    assert compute_frechet(dead, dead + 1) == pytest.approx(3)


@pytest.mark.parametrize(
    "a, b", [(np.zeros((3, 2)), np.zeros((3, 4))), (np.zeros(3), np.zeros(3)), (np.zeros((1, 2)), np.zeros((5, 2)))]
)
def test_frechet_refuses_other_shapes(a, b):
    with pytest.raises(ValueError, match="two rows or more each"):
        compute_frechet(a, b)


def test_frechet_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="expected finite values"):
        compute_frechet(np.full((3, 2), np.nan), np.zeros((3, 2)))


def test_judge_is_trained_once_and_then_comes_from_the_cache(small, quick, capsys):
    first = load_judge(small)
    assert not first.from_cache and capsys.readouterr().out
    again = load_judge(small)
    assert again.from_cache and again.accuracy == first.accuracy and not capsys.readouterr().out
    assert np.array_equal(again.recognise(small.x_test), first.recognise(small.x_test))
    assert first.accuracy == first.compute_accuracy(small.x_test, small.y_test) > 0.3
    assert f"{first.accuracy:.3f} of {len(small.x_test)} real test images" in repr(again)
    assert "trained now" in repr(first) and "from the cache" in repr(again)


def test_judge_gives_probabilities_and_features(small, quick):
    judge = load_judge(small, verbose=False)
    p, features = judge.recognise(small.x_test), judge.compute_features(small.x_test)
    assert p.shape == (len(small.x_test), 10) and np.allclose(p.sum(axis=1), 1, atol=1e-5)
    assert features.shape == (len(small.x_test), 64) and features.min() >= 0


def test_judge_depends_on_the_content_not_on_the_order_or_the_split(small, quick):
    load_judge(small, verbose=False)
    turned = replace(small, x_train=small.x_train[::-1], y_train=small.y_train[::-1])
    assert load_judge(turned, verbose=False).from_cache
    x, y = np.concatenate([small.x_train, small.x_val]), np.concatenate([small.y_train, small.y_val])
    other_split = replace(small, x_train=x[50:], y_train=y[50:], x_val=x[:50], y_val=y[:50])
    assert load_judge(other_split, verbose=False).from_cache
    changed = small.x_train.copy()
    changed[0, 0, 0] = 1
    assert not load_judge(replace(small, x_train=changed), verbose=False).from_cache


def test_damaged_judge_is_trained_again(small, quick):
    load_judge(small, verbose=False)
    (path,) = (cache_folder() / "judges").iterdir()
    path.write_bytes(path.read_bytes()[:5000])
    assert not load_judge(small, verbose=False).from_cache
    assert load_judge(small, verbose=False).from_cache


def test_judge_works_without_a_place_to_keep_it(small, quick, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AEUTILS_CACHE_DIR", str(tmp_path / "file"))
    assert not load_judge(small, verbose=False).from_cache


def test_judge_leaves_the_callers_random_numbers_alone(small, quick):
    def draw():
        keras.utils.set_random_seed(3)
        judge = load_judge(small, verbose=False)
        return (
            judge.from_cache,
            np.random.random(),
            keras.layers.Dense(2).compute_output_shape((1, 2)),
            keras.random.uniform((2,)).numpy(),
        )

    trained, stored = draw(), draw()
    assert (trained[0], stored[0]) == (False, True)
    assert trained[1] == stored[1] and np.array_equal(trained[3], stored[3])


def test_judge_takes_colour_and_odd_sizes(quick, folders):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    x = (0.3 * rng.random((80, 5, 9, 3)) + 0.6 * y[:, None, None, None]).astype(np.float32)
    np.savez(folders["own"] / "own.npz", x_train=x, y_train=y)
    data = load_dataset(str(folders["own"] / "own.npz"))
    judge = load_judge(data, verbose=False)
    assert judge.accuracy > 0.7 and judge.name == "own"


def test_judge_needs_images_with_labels(small):
    for changed, message in (
        (replace(small, y_train=None), "has no labels; expected labels of two classes"),
        (replace(small, y_train=0 * small.y_train), "has labels of one class only"),
        (replace(small, x_train=np.zeros((5, 7), np.float32)), "holds rows of 7 values; expected images"),
    ):
        with pytest.raises(JudgeError, match=message) as raised:
            load_judge(changed)
        assert isinstance(raised.value, UserError)


def test_judge_refuses_images_of_another_shape(small, quick):
    judge = load_judge(small, verbose=False)
    for images in (np.zeros((2, 8, 8, 1)), np.zeros((28, 28, 1)), np.zeros((0, 28, 28, 1))):
        with pytest.raises(ValueError, match=r"expected \(n, 28, 28, 1\), at least one image"):
            judge.recognise(images)


def test_floor_is_small_and_comes_with_the_features_of_test_images(small, quick):
    judge = load_judge(small, verbose=False)
    assert isinstance(judge, Judge)
    floor, features = compute_frechet_floor(judge, small, n=200)
    assert features.shape == (200, 64)
    noise = np.random.default_rng(0).random((200, 28, 28, 1))
    assert floor < compute_frechet(judge.compute_features(noise), features)
    assert compute_frechet_floor(judge, small, n=200)[0] == floor
    assert len(compute_frechet_floor(judge, small, n=10**6)[1]) == min(len(small.x_test), len(small.x_train))
    with pytest.raises(ValueError, match="n=1: expected 2 or more"):
        compute_frechet_floor(judge, small, n=1)
