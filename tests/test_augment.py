import numpy as np
import pytest

from aeutils.augment import _sample, deform

NONE = {"rotation": 0, "scale": 0, "shear": 0, "shift": 0, "elastic": 0}


@pytest.fixture
def x():
    return np.random.default_rng(0).random((30, 9, 7, 2), dtype=np.float32)


def test_no_strength_is_no_change(x):
    assert np.array_equal(deform(x, 0, **NONE), x)


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (2, 9, 7, 3), (1, 1, 5, 1), (0, 8, 8, 1)])
def test_shape_dtype_and_range_stay(shape):
    x = np.random.default_rng(1).random(shape)
    y = deform(x, 3)
    assert y.shape == shape and y.dtype == np.float32
    assert not y.size or (y.min() >= x.min() - 1e-6 and y.max() <= x.max() + 1e-6)


def test_same_seed_same_copies_also_beyond_a_chunk():
    x = np.random.default_rng(2).random((1500, 6, 6, 1), dtype=np.float32)
    a, b, c = deform(x, 5), deform(x, 5), deform(x, 6)
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_each_image_gets_its_own_deformation():
    x = np.repeat(np.random.default_rng(3).random((1, 12, 12, 1), dtype=np.float32), 2, axis=0)
    first, second = deform(x, 0)
    assert not np.allclose(first, second)


def test_sampling_between_pixels_by_hand():
    x = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32).reshape(1, 2, 2, 1)
    y, x_ = np.array([[[0.5, 1.0], [0.0, -3.0]]]), np.array([[[0.5, 0.25], [1.0, 9.0]]])
    assert np.allclose(_sample(x, y, x_).ravel(), [1.75, 2.5, 1.0, 1.0])  # the last lies outside: the nearest border pixel


def test_strengths_do_what_they_say():
    """A ramp of slope one along an axis shows by how many pixels each place was moved."""
    ramp = np.tile(np.arange(41, dtype=np.float32)[None, :, None, None], (400, 1, 41, 1))
    moved = deform(ramp, 0, **(NONE | {"shift": 0.1}))[:, 20, 20, 0] - 20
    assert abs(moved).max() <= 4.1 + 1e-4 and abs(moved).max() > 3.5 and abs(moved.mean()) < 0.5
    bent = deform(ramp, 0, **(NONE | {"elastic": 0.05}))[:, 20, 20, 0] - 20
    assert abs(bent.std() - 0.05 * 41) < 0.25
    turned = deform(ramp, 0, **(NONE | {"rotation": 90}))[:, 20, 30, 0] - 20  # ten pixels off the centre, up to ten up or down
    assert abs(turned).max() <= 10 + 1e-4 and abs(turned).max() > 9.5
    grown = deform(ramp, 0, **(NONE | {"scale": 0.2}))[:, 30, 20, 0] - 20
    assert grown.min() >= 10 * np.exp(-0.2) - 1e-3 and grown.max() <= 10 * np.exp(0.2) + 1e-3 and grown.std() > 0.5


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": np.zeros((3, 4, 4))}, r"x has shape \(3, 4, 4\); expected \(n, height, width, channels\)"),
        ({"shear": -1}, "shear=-1: expected 0"),
    ],
)
def test_bad_arguments(x, change, message):
    with pytest.raises(ValueError, match=message):
        deform(**({"x": x, "seed": 0} | change))
