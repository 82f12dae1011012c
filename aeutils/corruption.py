"""Corruptions of images for denoising: the corrupted image is the input of the network, the clean image its target."""

import numpy as np


def add_gaussian_noise(x, sigma, seed=0):
    """Add independent Gaussian noise to every pixel and clip the result to [0, 1].

    Parameters
    ----------
    x : numpy.ndarray
        Images of any shape, values in [0, 1].
    sigma : float
        Standard deviation of the noise before clipping, 0 or more, in pixel units (1 is the whole range).
    seed : int
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray
        float32, same shape, in [0, 1]. Because of the clipping, the standard deviation of the noise is smaller than
        `sigma`, and its mean is not 0 for pixels near black and white.

    Raises
    ------
    ValueError
        `x` is empty or has values outside [0, 1], or `sigma` is negative.

    References
    ----------
    Vincent et al. 2010, JMLR 11, section 3.3 (there without clipping). Introduced in notebook 03.

    Examples
    --------
    >>> add_gaussian_noise(np.full((1, 4), 0.5), sigma=0.1).round(2)
    array([[0.61, 0.36, 0.46, 0.42]], dtype=float32)
    """
    x = _images(x)
    if not sigma >= 0:
        raise ValueError(f"sigma={sigma!r}: expected 0 or more, for example 0.5")
    noise = np.random.default_rng(seed).standard_normal(x.shape, np.float32)
    return np.clip(x + np.float32(sigma) * noise, 0, 1)


def add_salt_and_pepper(x, share, seed=0):
    """Set randomly chosen pixels to 0 or 1, with the same probability for both.

    Parameters
    ----------
    x : numpy.ndarray
        Images of any shape, values in [0, 1]. Every value is drawn independently, also in colour channels.
    share : float
        Probability that a pixel is set, from 0 to 1.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray
        float32, same shape.

    Raises
    ------
    ValueError
        `x` is empty or has values outside [0, 1], or `share` is outside [0, 1].

    References
    ----------
    Vincent et al. 2010, JMLR 11, section 3.3. Introduced in notebook 03.

    Examples
    --------
    >>> add_salt_and_pepper(np.full((1, 6), 0.5), share=0.5)
    array([[0.5, 0.5, 0.5, 1. , 1. , 0. ]], dtype=float32)
    """
    x, share = _images(x), _share(share)
    u = np.random.default_rng(seed).random(x.shape, np.float32)
    return np.where(u < share / 2, np.float32(0), np.where(u < share, np.float32(1), x))


def mask_pixels(x, share, seed=0):
    """Set randomly chosen pixels to 0, as if they were missing.

    Parameters
    ----------
    x : numpy.ndarray
        Images of any shape, values in [0, 1]. Every value is drawn independently, also in colour channels.
    share : float
        Probability that a pixel is set to 0, from 0 to 1.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    numpy.ndarray
        float32, same shape.

    Raises
    ------
    ValueError
        `x` is empty or has values outside [0, 1], or `share` is outside [0, 1].

    References
    ----------
    Vincent et al. 2008, ICML, section 2.3 (the first denoising autoencoder). Introduced in notebook 03.

    Examples
    --------
    >>> mask_pixels(np.ones((1, 6)), share=0.5)
    array([[1., 1., 1., 0., 0., 0.]], dtype=float32)
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
