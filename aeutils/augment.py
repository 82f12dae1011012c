"""Random deformations of images that do not change the class label."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import map_coordinates

CHUNK = 1000  # images per chunk; small intermediate arrays make the deformation several times faster


def deform(x, seed, *, rotation=12.0, scale=0.12, shear=0.15, shift=0.07, elastic=0.04):
    """Deform each image at random: rotation, scaling, shear, shift and elastic distortion.

    Every image gets its own random numbers. All deformations of an image are applied together, so it is resampled
    only once. Rotation, scaling, shear and shift are drawn from uniform distributions. A strength of 0 switches a
    deformation off.

    Parameters
    ----------
    x : numpy.ndarray
        Images, shape (n, height, width, channels), any real dtype.
    seed : int
        Seed of the random numbers.
    rotation : float
        Largest angle in either direction, in degrees.
    scale : float
        Largest absolute value of the logarithm of the scale factor. Height and width get separate factors.
    shear : float
        Largest horizontal shift of a row, in pixels per row of distance from the centre.
    shift : float
        Largest shift along each axis, as a fraction of the longer side.
    elastic : float
        Standard deviation of a smooth random displacement of every pixel, as a fraction of the longer side.

    Returns
    -------
    numpy.ndarray
        float32, same shape. Values are interpolated bilinearly, so they stay in the range of `x`. Positions outside
        the image get the value of the nearest border pixel.

    Raises
    ------
    ValueError
        `x` is not four-dimensional, or a strength is negative.

    References
    ----------
    Simard, Steinkraus, Platt 2003, Best practices for convolutional neural networks applied to visual document
    analysis, section 2 (affine and elastic distortions). First used in notebook 05.

    Examples
    --------
    >>> deform(np.zeros((2, 28, 28, 1)), seed=0).shape
    (2, 28, 28, 1)
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
    """Gaussian weights of a few knots along an axis, shape (length, n_knots).

    The squares of each row sum to 1, so the weighted sum of independent knots has the same standard deviation as one knot.
    """
    spacing = side / 4
    centres = np.arange(0, length + spacing, spacing)
    weights = np.exp(-0.5 * ((np.arange(length)[:, None] - centres) / (0.6 * spacing)) ** 2)
    return (weights / np.sqrt(np.square(weights).sum(axis=1, keepdims=True))).astype(np.float32)


def _sample(x, y, x_):
    """Interpolate each image bilinearly at the positions `y` and `x_`, both of shape (n, height, width)."""
    values = np.empty(x.shape, np.float32)
    for image, y_, x__, out in zip(x, y, x_, values):
        for channel in range(x.shape[-1]):
            map_coordinates(image[..., channel], (y_, x__), out[..., channel], order=1, mode="nearest")
    return values
