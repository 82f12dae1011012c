import numpy as np
import pytest

from aeutils.errors import UserError
from aeutils.scenes import make_scenes

# Two classes: a full square of class 0, a frame of class 1.
FULL, FRAME = np.ones((8, 8, 1), np.float32), np.ones((8, 8, 1), np.float32)
FRAME[2:-2, 2:-2] = 0
IMAGES, LABELS = np.stack([FULL, FRAME]), np.array([0, 1])
PLAIN = {"clutter": "none", "noise": 0, "brightness": (1, 1)}


@pytest.mark.parametrize(("shape", "size"), [((28, 28, 1), (56, 56)), ((8, 8, 3), (16, 16)), ((9, 20, 1), (24, 40))])
def test_shapes_types_and_range(shape, size):
    images = np.random.default_rng(0).random((30, *shape))
    scenes = make_scenes(images, np.arange(30) % 3, 4)
    assert len(scenes) == 4 and scenes.background == 3
    assert scenes.x.shape == (4, *size, shape[2]) and scenes.x.dtype == np.float32
    assert scenes.y.shape == scenes.overlap.shape == (4, *size)
    assert scenes.y.dtype == np.uint8 and scenes.overlap.dtype == bool
    assert scenes.x.min() >= 0 and scenes.x.max() <= 1 and scenes.y.max() == 3
    assert f"4 scenes ({size[0]}, {size[1]}, {shape[2]}), 3 classes" in repr(scenes)


def test_same_seed_same_scenes_and_images_untouched():
    images = np.random.default_rng(0).random((30, 8, 8, 1)).astype(np.float32)
    before = images.copy()
    first, again, other = (make_scenes(images, np.arange(30) % 3, 5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x, again.x) and np.array_equal(first.y, again.y)
    assert np.array_equal(first.overlap, again.overlap) and not np.array_equal(first.x, other.x)
    assert np.array_equal(images, before)


def test_without_clutter_and_noise_the_mask_is_where_something_is_seen():
    scenes = make_scenes(IMAGES, LABELS, 50, **PLAIN)
    assert np.array_equal(scenes.x[..., 0] > 0, scenes.y != 2)


@pytest.mark.parametrize("changed", [{"noise": 0.5}, {"brightness": (0.2, 0.4)}, {"clutter": "none"}])
def test_masks_do_not_depend_on_noise_and_brightness_and_clutter_never_changes_them(changed):
    scenes = make_scenes(IMAGES, LABELS, 20, n_objects=(1, 1), **{**PLAIN, **changed})
    covered = {int(np.sum(mask != 2)) for mask in scenes.y}
    assert covered <= {64, 48} and not scenes.overlap.any()


def test_clutter_belongs_to_the_background_and_lies_under_the_objects():
    for clutter in ("lines", "pieces"):
        scenes = make_scenes(IMAGES, LABELS, 30, clutter=clutter, noise=0, brightness=(1, 1))
        objects = scenes.y != 2
        assert (scenes.x[objects] == 1).all(), "objects are not changed by clutter"
        assert (scenes.x[~objects] > 0).any(), clutter


def test_a_later_object_replaces_what_lies_under_it_and_the_overlap_is_known():
    scenes = make_scenes(IMAGES[:1], LABELS[:1], 100, n_objects=(2, 2), spacing=0, clutter="none", noise=0)
    for x, y, overlap in zip(scenes.x[..., 0], scenes.y, scenes.overlap):
        covered = int(np.sum(y == 0))
        assert covered + overlap.sum() == 2 * 64, "two squares: each pixel once, those of both twice"
        upper = x[overlap]
        assert len(np.unique(upper)) <= 1, "one brightness: that of the upper one"
        if 0 < overlap.sum() < 64:
            assert np.sum(x == upper[0]) == 64, "the upper one is complete"


def test_the_number_of_objects_and_their_distance():
    scenes = make_scenes(IMAGES[:1], LABELS[:1], 200, n_objects=(1, 3), spacing=1.5, size=(64, 64), **PLAIN)
    counts = np.array([np.sum(y == 0) for y in scenes.y]) // 64
    assert set(counts) == {1, 2, 3} and not scenes.overlap.any(), "far enough apart: nothing lies on another"
    near = make_scenes(IMAGES[:1], LABELS[:1], 200, n_objects=(3, 3), spacing=0, **PLAIN)
    far = make_scenes(IMAGES[:1], LABELS[:1], 200, n_objects=(3, 3), spacing=0.8, **PLAIN)
    assert far.overlap.mean() < near.overlap.mean() / 2


def test_scale_and_size():
    for scale, area in ((0.5, 16), (1, 64), (1.5, 144)):
        scenes = make_scenes(IMAGES[:1], LABELS[:1], 10, n_objects=(1, 1), scale=scale, size=(24, 32), **PLAIN)
        assert scenes.y.shape == (10, 24, 32) and {int(np.sum(y == 0)) for y in scenes.y} == {area}


def test_clutter_grows_with_the_area():
    shares = [
        np.mean(make_scenes(IMAGES, LABELS, 60, n_objects=(1, 1), size=size, noise=0, clutter="lines").x > 0.1)
        for size in ((16, 16), (64, 64))
    ]
    objects = [64 / size for size in (256, 4096)]
    assert shares[1] - objects[1] > 0.4 * (shares[0] - objects[0])


def test_classes_that_do_not_occur_keep_their_number():
    scenes = make_scenes(IMAGES, LABELS, 3, n_classes=7, **PLAIN)
    assert scenes.background == 7 and set(np.unique(scenes.y)) <= {0, 1, 7}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": IMAGES[..., 0]}, r"images has shape \(2, 8, 8\); expected \(m, height, width, 1 or 3\)"),
        ({"images": 255 * IMAGES}, r"values from 0 to 255; expected values in \[0, 1\]"),
        ({"images": np.where(IMAGES > 0, np.nan, 0)}, r"expected values in \[0, 1\]"),
        ({"labels": np.array([0, 1, 1])}, r"labels has shape \(3,\)"),
        ({"labels": np.array([0.0, 1.0])}, "whole numbers"),
        ({"labels": np.array([-1, 1])}, "labels are from -1 to 1; expected from 0"),
        ({"n_classes": 1}, "expected from 0 to n_classes - 1 = 0"),
        ({"n_classes": 256}, "n_classes=256: expected at most 255"),
        ({"n": 0}, "n=0: expected 1 or more"),
        ({"n_objects": (3, 2)}, r"n_objects=\(3, 2\): expected the smallest and the largest"),
        ({"n_objects": (0, 2)}, "n_objects="),
        ({"brightness": (0, 1)}, "brightness="),
        ({"brightness": (0.5, 1.1)}, "brightness="),
        ({"clutter": "circles"}, "clutter='circles': expected 'lines', 'pieces' or 'none'"),
        ({"n_clutter": -1}, "n_clutter=-1: expected 0 or more"),
        ({"noise": -0.1}, "noise=-0.1: expected 0 or more"),
        ({"spacing": float("nan")}, "spacing=nan: expected 0 or more"),
        ({"scale": 0}, "scale=0: expected a number above 0"),
        ({"threshold": 1}, "threshold=1: expected from 0 to below 1"),
        ({"size": (8, 7)}, "size=8x7: expected at least the size of an object, 8x8"),
        ({"scale": 2.5}, "size=16x16: expected at least the size of an object, 20x20"),
    ],
)
def test_refuses_what_cannot_work(changed, message):
    given = {"images": IMAGES, "labels": LABELS, "n": 2, **changed}
    with pytest.raises(ValueError, match=message) as error:
        make_scenes(**given)
    assert isinstance(error.value, UserError)
