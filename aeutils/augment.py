"""Deformed copies of images: what a label survives."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import map_coordinates

CHUNK = 1000  # images at a time: the intermediate arrays then stay small, which is several times faster


def deform(x, seed, *, rotation=12.0, scale=0.12, shear=0.15, shift=0.07, elastic=0.04):
    """Draw one random rotation, scaling, shear, shift and elastic bend for each image and apply them in one resampling.

    Parameters
    ----------
    x : numpy.ndarray
        Images, shape (n, height, width, channels), any real dtype.
    seed : int
        Seed of all draws.
    rotation : float
        Largest angle to either side, in degrees; drawn uniformly, as the next three are.
    scale : float
        Largest logarithm of the factor by which height and width, each for itself, shrink or grow.
    shear : float
        Largest sideways shift of a row for each row of distance from the centre.
    shift : float
        Largest shift along each axis, as a share of the longer side.
    elastic : float
        Standard deviation of a smooth random displacement of every pixel, as a share of the longer side.

    Returns
    -------
    numpy.ndarray
        float32, same shape, bilinear between neighbouring pixels, within the range of `x`. What comes in from outside
        repeats the border.

    Raises
    ------
    ValueError
        `x` is not four-dimensional, or a strength is negative.

    References
    ----------
    Simard, Steinkraus, Platt 2003, Best practices for convolutional neural networks applied to visual document
    analysis, section 2 (affine and elastic distortions). First used in notebook 05.
    """
    if np.ndim(x) != 4:
        raise ValueError(f"x has shape {np.shape(x)}; expected (n, height, width, channels)")
    strengths = {"rotation": rotation, "scale": scale, "shear": shear, "shift": shift, "elastic": elastic}
    for name, value in strengths.items():
        if not value >= 0:
            raise ValueError(f"{name}={value!r}: expected 0 (none) or more")
    chunks = [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
    seeds = np.random.SeedSequence(seed).spawn(len(chunks))
    if not chunks:
        return np.zeros(x.shape, np.float32)
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate(list(pool.map(lambda part, s: _deform(part, np.random.default_rng(s), **strengths), chunks, seeds)))


def _deform(x, rng, rotation, scale, shear, shift, elastic):
    n, height, width, _ = x.shape
    side = max(height, width)

    def draw(largest):
        return rng.uniform(-largest, largest, (n, 1, 1)).astype(np.float32)

    angle, slant = np.deg2rad(draw(rotation)), draw(shear)
    cos, sin, grow_y, grow_x = np.cos(angle), np.sin(angle), np.exp(draw(scale)), np.exp(draw(scale))
    y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    x_ = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2 + slant * y
    source_y = grow_y * (cos * y + sin * x_) + draw(shift * side) + (height - 1) / 2
    source_x = grow_x * (cos * x_ - sin * y) + draw(shift * side) + (width - 1) / 2
    if elastic:
        rows, columns = _bumps(height, side), _bumps(width, side)
        for source in (source_y, source_x):
            knots = rng.normal(0, elastic * side, (n, rows.shape[1], columns.shape[1])).astype(np.float32)
            source += rows @ knots @ columns.T
    return _sample(x, source_y, source_x)


def _bumps(length, side):
    """Smooth weights of a few knots along an axis; unit sum of squares, so that a sum of knots keeps their deviation."""
    spacing = side / 4
    centres = np.arange(0, length + spacing, spacing)
    weights = np.exp(-0.5 * ((np.arange(length)[:, None] - centres) / (0.6 * spacing)) ** 2)
    return (weights / np.sqrt(np.square(weights).sum(axis=1, keepdims=True))).astype(np.float32)


def _sample(x, y, x_):
    """Values of each image at (y, x_), shape (n, height, width), bilinear."""
    values = np.empty(x.shape, np.float32)
    for image, y_, x__, out in zip(x, y, x_, values):
        for channel in range(x.shape[-1]):
            map_coordinates(image[..., channel], (y_, x__), out[..., channel], order=1, mode="nearest")
    return values
