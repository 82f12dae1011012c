"""Damage done to clean images on purpose, so that a network can learn to undo it. The clean image stays the target."""

import numpy as np


def add_gaussian_noise(x, sigma, seed=0):
    """Add independent normal noise to every pixel and clip to [0, 1], as a camera would.

    Parameters
    ----------
    x : numpy.ndarray
        Images of any shape, values in [0, 1].
    sigma : float
        Standard deviation of the noise before clipping, 0 or more, in pixel units (1 is the whole range).
    seed : int

    Returns
    -------
    numpy.ndarray
        float32, same shape, in [0, 1]. Clipping makes the noise smaller than `sigma`, and no longer of mean 0 near black and white.

    Raises
    ------
    ValueError
        Values of `x` outside [0, 1]; `sigma` negative.

    References
    ----------
    Vincent and others 2010, JMLR 11, section 3.3 (there without clipping). Introduced in notebook 03.
    """
    x = _images(x)
    if not sigma >= 0:
        raise ValueError(f"sigma={sigma!r}: expected 0 or more, for example 0.5")
    noise = np.random.default_rng(seed).standard_normal(x.shape, np.float32)
    return np.clip(x + np.float32(sigma) * noise, 0, 1)


def add_salt_and_pepper(x, share, seed=0):
    """Set a share of the pixels, drawn at random, to 0 or 1, either with the same chance.

    Parameters
    ----------
    x : numpy.ndarray
        Images of any shape, values in [0, 1]; each value is drawn for on its own, colour channels too.
    share : float
        Chance of a pixel to be hit, from 0 to 1.
    seed : int

    Returns
    -------
    numpy.ndarray
        float32, same shape.

    Raises
    ------
    ValueError
        Values of `x` outside [0, 1]; `share` outside [0, 1].

    References
    ----------
    Vincent and others 2010, JMLR 11, section 3.3. Introduced in notebook 03.
    """
    x, share = _images(x), _share(share)
    u = np.random.default_rng(seed).random(x.shape, np.float32)
    return np.where(u < share / 2, np.float32(0), np.where(u < share, np.float32(1), x))


def mask_pixels(x, share, seed=0):
    """Set a share of the pixels, drawn at random, to 0: they are missing.

    Parameters
    ----------
    x : numpy.ndarray
        Images of any shape, values in [0, 1]; each value is drawn for on its own, colour channels too.
    share : float
        Chance of a pixel to be lost, from 0 to 1.
    seed : int

    Returns
    -------
    numpy.ndarray
        float32, same shape.

    Raises
    ------
    ValueError
        Values of `x` outside [0, 1]; `share` outside [0, 1].

    References
    ----------
    Vincent and others 2008, ICML, section 2.3 (the first denoising autoencoder). Introduced in notebook 03.
    """
    x, share = _images(x), _share(share)
    return np.where(np.random.default_rng(seed).random(x.shape, np.float32) < share, np.float32(0), x)


def _images(x):
    x = np.asarray(x, np.float32)
    if x.size == 0 or not (x.min() >= 0 and x.max() <= 1):
        got = f"values from {x.min():g} to {x.max():g}" if x.size else "none"
        raise ValueError(f"x: expected at least one image with values in [0, 1], got {got}; divide 8-bit images by 255")
    return x


def _share(share):
    if not 0 <= share <= 1:
        raise ValueError(f"share={share!r}: expected a number from 0 to 1, for example 0.2")
    return share
