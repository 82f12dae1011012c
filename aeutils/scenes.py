"""Scenes made of several small images, with the class of every pixel: data for segmentation whose masks are exact."""

from dataclasses import dataclass

import numpy as np

from aeutils.errors import UserError

MULTIPLE = 8  # the sides of a scene can be halved three times
N_STAMPS = 400  # different pieces of clutter
TRIES = 20  # places that are drawn for an object
MAX_CLASSES = 255  # a mask is uint8, and the background needs one number


class SceneError(UserError, ValueError):
    """Scenes cannot be made from these images, labels or settings. The message says what was expected."""


@dataclass(frozen=True, eq=False, repr=False)
class Scenes:
    """Scenes with their masks.

    Attributes
    ----------
    x : numpy.ndarray
        float32, shape (n, height, width, channels), values in [0, 1].
    y : numpy.ndarray
        uint8, shape (n, height, width): the class of each pixel. Objects have their label, the background has the
        number ``background``.
    overlap : numpy.ndarray
        bool, shape (n, height, width): pixels where two or more objects lie on each other. `y` has the class of the
        upper one.
    background : int
        Number of the background, which is the number of classes of objects.
    """

    x: np.ndarray
    y: np.ndarray
    overlap: np.ndarray
    background: int

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        n, height, width, channels = self.x.shape
        covered = np.mean(self.y != self.background)
        return (
            f"{n:,} scenes ({height}, {width}, {channels}), {self.background} classes and the background\n"
            f"pixels of an object {covered:.1%}, on which two or more objects lie {self.overlap.mean():.1%}"
        )


def make_scenes(
    images,
    labels,
    n,
    *,
    n_classes=None,
    n_objects=(3, 5),
    size=None,
    spacing=13 / 28,
    scale=1.0,
    brightness=(0.6, 1.0),
    threshold=0.3,
    clutter="lines",
    n_clutter=6,
    noise=0.1,
    seed=0,
):
    """Make scenes of several objects on a black ground with clutter and noise, and the class of every pixel.

    An object is an image, drawn at random from `images`. Its own pixels are those above `threshold`; they replace what
    lies under them. A later object lies over an earlier one. Clutter lies under all objects and belongs to the
    background. At the end Gaussian noise is added to all pixels, and the result is clipped to [0, 1]. The masks do not
    depend on brightness, clutter or noise.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (m, height, width, 1 or 3), values in [0, 1]: bright objects on a dark ground, as in MNIST.
    labels : numpy.ndarray
        Whole numbers from 0, shape (m,).
    n : int
        Number of scenes.
    n_classes : int, optional
        Number of classes of objects. Default: the largest label + 1.
    n_objects : tuple of int
        Smallest and largest number of objects of a scene; each number in between is equally likely.
    size : tuple of int, optional
        (height, width) of a scene in pixels. Default: twice the size of an image, rounded up to a multiple of 8.
    spacing : float
        Distance of the centres of two objects, in sides of an image: 13/28 is 13 pixels for MNIST. For each object 20
        places are tried; if all are nearer to another object, the farthest is taken.
    scale : float
        Size of the objects, as a multiple of the images' own size.
    brightness : tuple of float
        Smallest and largest factor by which an object is multiplied.
    threshold : float
        A pixel belongs to the object if its value (in colour: its largest value) is above it, before `brightness`.
    clutter : str
        ``"lines"``, straight strokes; ``"pieces"``, small pieces cut out of the images; ``"none"``.
    n_clutter : int
        Pieces of clutter in a scene whose sides are twice those of an image; in proportion to the area in others.
    noise : float
        Standard deviation of the noise, before clipping.
    seed : int
        Seed of the random numbers. The same arguments give the same scenes.

    Returns
    -------
    Scenes

    Raises
    ------
    SceneError
        The images do not have four axes or leave [0, 1]; the labels do not fit them or `n_classes`; there are more
        than 255 classes; a setting is out of range; or an object would be larger than the scene.

    References
    ----------
    Mnih, Heess, Graves, Kavukcuoglu 2014, arXiv:1406.6247 (translated and cluttered MNIST). Introduced in notebook 09.

    Examples
    --------
    >>> x = np.ones((2, 8, 8, 1), np.float32)
    >>> scenes = make_scenes(x, np.array([0, 1]), 5, n_objects=(1, 1), clutter="none", noise=0)
    >>> scenes.x.shape, scenes.background, [int(np.sum(y != 2)) for y in scenes.y]
    ((5, 16, 16, 1), 2, [64, 64, 64, 64, 64])
    """
    images, labels, n_classes = _check_images(images, labels, n_classes)
    _check_settings(n, n_objects, spacing, scale, brightness, threshold, clutter, n_clutter, noise)
    tile = tuple(max(1, round(scale * side)) for side in images.shape[1:3])
    height, width = size or tuple(-(-2 * side // MULTIPLE) * MULTIPLE for side in images.shape[1:3])
    if tile[0] > height or tile[1] > width:
        raise SceneError(
            f"size={height}x{width}: expected at least the size of an object, {tile[0]}x{tile[1]}, or a smaller scale"
        )
    rng = np.random.default_rng(seed)
    x = np.zeros((n, height, width, images.shape[3]), np.float32)
    y = np.full((n, height, width), n_classes, np.uint8)
    overlap = np.zeros((n, height, width), bool)

    if clutter != "none":
        per_scene = round(n_clutter * height * width / (4 * images.shape[1] * images.shape[2]))
        stamps = _make_stamps(images, clutter, rng)
        _scatter(x, stamps, per_scene, rng)

    counts = rng.integers(n_objects[0], n_objects[1] + 1, n)
    places = _draw_places(n, n_objects[1], (height, width), tile, spacing, rng)
    chosen = rng.integers(0, len(images), (n, n_objects[1]))
    factors = rng.uniform(*brightness, (n, n_objects[1])).astype(np.float32)
    for k in range(n_objects[1]):
        for i in np.flatnonzero(counts > k):
            top, left = places[i, k]
            there = i, slice(top, top + tile[0]), slice(left, left + tile[1])
            image = images[chosen[i, k]]
            if scale != 1:
                image = _resize(image, tile)
            own = image.max(axis=2) > threshold
            overlap[there] |= own & (y[there] != n_classes)
            x[there][own] = factors[i, k] * image[own]
            y[there][own] = labels[chosen[i, k]]
    if noise:
        x += np.float32(noise) * rng.standard_normal(x.shape, np.float32)
    return Scenes(np.clip(x, 0, 1, out=x), y, overlap, n_classes)


def _draw_places(n, n_objects, size, tile, spacing, rng):
    """Upper left corners, shape (n, n_objects, 2), one after the other: the first of some places that is far enough."""
    free = np.array(size) - tile + 1
    places = np.empty((n, n_objects, 2), np.int64)
    for k in range(n_objects):
        tried = (rng.random((n, TRIES, 2)) * free).astype(np.int64)
        if k == 0:
            places[:, 0] = tried[:, 0]
            continue
        gaps = (tried[:, :, None] - places[:, None, :k]) / np.array(tile)
        nearest = np.sqrt(np.square(gaps).sum(axis=-1)).min(axis=2)
        enough = nearest >= spacing
        best = np.where(enough.any(axis=1), enough.argmax(axis=1), nearest.argmax(axis=1))
        places[:, k] = tried[np.arange(n), best]
    return places


def _make_stamps(images, clutter, rng):
    """Small pictures of clutter, shape (N_STAMPS, height, width, channels)."""
    height, width, channels = images.shape[1:]
    if clutter == "pieces":
        rows, columns = max(2, round(height / 3)), max(2, round(width / 3))
        top = rng.integers(0, height - rows + 1, N_STAMPS)
        left = rng.integers(0, width - columns + 1, N_STAMPS)
        chosen = rng.integers(0, len(images), N_STAMPS)
        return np.stack([images[c, t : t + rows, s : s + columns] for c, t, s in zip(chosen, top, left)])
    side = max(3, round(min(height, width) / 2))
    angle = rng.uniform(0, np.pi, (N_STAMPS, 1, 1))
    half = side * rng.uniform(0.2, 0.5, (N_STAMPS, 1, 1))
    thick = min(height, width) / 28 * rng.uniform(0.7, 1.6, (N_STAMPS, 1, 1))
    across, along = np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij")
    u = along * np.cos(angle) + across * np.sin(angle)
    v = -along * np.sin(angle) + across * np.cos(angle)
    line = np.clip(half - np.abs(u) + 0.5, 0, 1) * np.clip(thick - np.abs(v) + 0.5, 0, 1)
    line *= rng.uniform(0.4, 1.0, (N_STAMPS, 1, 1))
    return np.repeat(line[..., None], channels, axis=3).astype(np.float32)


def _scatter(x, stamps, per_scene, rng):
    """Lay stamps on the scenes; where two lie on each other, the brighter one is seen."""
    n, height, width, _ = x.shape
    rows, columns = stamps.shape[1:3]
    rows, columns = min(rows, height), min(columns, width)
    top = rng.integers(0, height - rows + 1, (n, per_scene))
    left = rng.integers(0, width - columns + 1, (n, per_scene))
    chosen = rng.integers(0, len(stamps), (n, per_scene))
    for i in range(n):
        for t, s, c in zip(top[i], left[i], chosen[i]):
            there = x[i, t : t + rows, s : s + columns]
            np.maximum(there, stamps[c, :rows, :columns], out=there)


def _resize(image, shape):
    """Resize one image; bilinear, and smoothed before it is made smaller."""
    from PIL import Image

    channels = [
        Image.fromarray(np.ascontiguousarray(image[..., c])).resize(shape[::-1], Image.Resampling.BILINEAR)
        for c in range(image.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def _check_images(images, labels, n_classes):
    images, labels = np.asarray(images, np.float32), np.asarray(labels)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.size == 0:
        raise SceneError(f"images has shape {images.shape}; expected (m, height, width, 1 or 3), at least one image")
    if not (images.min() >= 0 and images.max() <= 1):
        raise SceneError(f"images has values from {images.min():g} to {images.max():g}; expected values in [0, 1]")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise SceneError(f"labels has shape {labels.shape} and dtype {labels.dtype}; expected ({len(images)},) whole numbers")
    n_classes = int(labels.max()) + 1 if n_classes is None else n_classes
    if labels.min() < 0 or labels.max() >= n_classes:
        raise SceneError(f"labels are from {labels.min()} to {labels.max()}; expected from 0 to n_classes - 1 = {n_classes - 1}")
    if n_classes > MAX_CLASSES:
        raise SceneError(f"n_classes={n_classes}: expected at most {MAX_CLASSES}")
    return images, labels, n_classes


def _check_settings(n, n_objects, spacing, scale, brightness, threshold, clutter, n_clutter, noise):
    if n < 1:
        raise SceneError(f"n={n!r}: expected 1 or more scenes")
    if not (len(n_objects) == 2 and 1 <= n_objects[0] <= n_objects[1]):
        raise SceneError(f"n_objects={n_objects!r}: expected the smallest and the largest number, for example (3, 5)")
    if not (len(brightness) == 2 and 0 < brightness[0] <= brightness[1] <= 1):
        raise SceneError(f"brightness={brightness!r}: expected the smallest and the largest factor, above 0 and up to 1")
    if clutter not in ("lines", "pieces", "none"):
        raise SceneError(f"clutter={clutter!r}: expected 'lines', 'pieces' or 'none'")
    for name, value in (("spacing", spacing), ("n_clutter", n_clutter), ("noise", noise)):
        if not value >= 0:
            raise SceneError(f"{name}={value!r}: expected 0 or more")
    if not scale > 0:
        raise SceneError(f"scale={scale!r}: expected a number above 0, for example 1.5")
    if not 0 <= threshold < 1:
        raise SceneError(f"threshold={threshold!r}: expected from 0 to below 1")
