"""Measures of reconstruction quality, and baselines without a neural network: PCA, and compression as PNG and JPEG."""

import io

import numpy as np


def compute_mse(x, x_hat, per_image=False):
    """Compute the mean squared error between images and their reconstructions.

    Parameters
    ----------
    x, x_hat : numpy.ndarray
        Same shape, first axis n; any real dtype (computed in float64). In this course, pixel values are in [0, 1].
    per_image : bool
        False: mean over pixels, channels and images. True: mean over pixels and channels only.

    Returns
    -------
    float, or numpy.ndarray of shape (n,)
        In squared pixel units. 0 is a perfect reconstruction; 0.01 means a root-mean-square error of 0.1.

    Raises
    ------
    ValueError
        The shapes differ, or the arrays are empty.

    References
    ----------
    Bishop 2006, Pattern Recognition and Machine Learning, equation 12.91. First used in notebook 01.

    Examples
    --------
    >>> compute_mse(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.5))
    0.25
    >>> compute_mse(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.5), per_image=True)
    array([0.25, 0.25])
    """
    x, x_hat = np.asarray(x), np.asarray(x_hat)
    if x.shape != x_hat.shape or x.size == 0:
        raise ValueError(f"x has shape {x.shape} and x_hat {x_hat.shape}; expected the same shape with at least one image")
    squared = np.square(x.astype(np.float64) - x_hat).reshape(len(x), -1)
    return squared.mean(axis=1) if per_image else float(squared.mean())


def compute_psnr(x, x_hat, per_image=False):
    """Compute the peak signal-to-noise ratio of images with values in [0, 1]: ``10 log10(1 / MSE)`` for each image.

    Parameters
    ----------
    x, x_hat : numpy.ndarray
        Same shape (n, height, width, channels), values in [0, 1].
    per_image : bool
        False: the mean over the images. True: one value per image.

    Returns
    -------
    float, or numpy.ndarray of shape (n,)
        In decibels; higher is better. It is infinite for an image that equals its reconstruction. The mean of the PSNR
        values is not the PSNR of the mean squared error, because of the logarithm.

    Raises
    ------
    ValueError
        The shapes differ, the arrays are empty, or they do not have four axes.

    References
    ----------
    Wang et al. 2004, IEEE Transactions on Image Processing 13. Computed by `tf.image.psnr`. Introduced in notebook 03.

    Examples
    --------
    >>> round(compute_psnr(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.1)), 2)
    20.0
    """
    return _compare_images("psnr", x, x_hat, per_image)


def compute_ssim(x, x_hat, per_image=False):
    """Compute the structural similarity (SSIM) of images with values in [0, 1].

    SSIM compares the brightness, the contrast and the pattern of small windows.

    Parameters
    ----------
    x, x_hat : numpy.ndarray
        Same shape (n, height, width, channels), values in [0, 1]. The window has 11x11 pixels. For smaller images it
        is the largest odd number of pixels that fits into the shorter side.
    per_image : bool
        False: the mean over the images. True: one value per image.

    Returns
    -------
    float, or numpy.ndarray of shape (n,)
        1 for equal images; about 0 for unrelated images.

    Raises
    ------
    ValueError
        The shapes differ, the arrays are empty, or they do not have four axes.

    References
    ----------
    Wang et al. 2004, IEEE Transactions on Image Processing 13, equation 13. Computed by `tf.image.ssim`.
    Introduced in notebook 03.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((2, 28, 28, 1))
    >>> round(compute_ssim(x, x), 4)
    1.0
    """
    x = np.asarray(x)
    side = min(11, *x.shape[1:3]) if x.ndim == 4 else 11
    return _compare_images("ssim", x, x_hat, per_image, filter_size=side - (side + 1) % 2)


def _compare_images(name, x, x_hat, per_image, batch_size=1000, **options):
    x, x_hat = np.asarray(x, np.float32), np.asarray(x_hat, np.float32)
    if x.shape != x_hat.shape or x.size == 0 or x.ndim != 4:
        raise ValueError(
            f"x has shape {x.shape} and x_hat {x_hat.shape}; "
            "expected the same shape (n, height, width, channels), at least one image"
        )
    from aeutils.backend import tf

    measure = getattr(tf.image, name)
    batches = range(0, len(x), batch_size)
    values = np.concatenate(
        [measure(x[k : k + batch_size], x_hat[k : k + batch_size], max_val=1.0, **options).numpy() for k in batches]
    )
    return values if per_image else float(values.mean(dtype=np.float64))


def reconstruct_with_pca(x_train, x, n_components, seed=0):
    """Fit PCA to training images and reconstruct other images from `n_components` numbers each.

    Parameters
    ----------
    x_train, x : numpy.ndarray
        Images in [0, 1], shape (n, ...) and (m, ...).
    n_components : int
        Numbers kept per image. For a comparison with an autoencoder, use the number of its code units. The maximum is
        the number of values in an image or of training images, whichever is smaller; a larger number means the maximum.
    seed : int
        Seed of the randomised solver that scikit-learn chooses for large data.

    Returns
    -------
    numpy.ndarray
        Same shape as `x`, float32, clipped to [0, 1] (clipping never increases the error).

    References
    ----------
    Pearson 1901; Bishop 2006, section 12.1. First used in notebook 01.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((5, 4, 4, 1))
    >>> np.allclose(reconstruct_with_pca(x, x, n_components=5), x, atol=1e-5)
    True
    """
    from sklearn.decomposition import PCA

    flat_train, flat = x_train.reshape(len(x_train), -1), x.reshape(len(x), -1)
    pca = PCA(min(n_components, *flat_train.shape), random_state=seed).fit(flat_train)
    return np.clip(pca.inverse_transform(pca.transform(flat)), 0, 1).astype(np.float32).reshape(x.shape)


def count_png_bytes(images):
    """Compute the size of each image as an optimised 8-bit PNG file, headers included.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (n, height, width, 1 or 3), values in [0, 1] (clipped).

    Returns
    -------
    numpy.ndarray
        int64, shape (n,), in bytes.

    Examples
    --------
    >>> x = np.stack([np.zeros((28, 28, 1)), np.random.default_rng(0).random((28, 28, 1))])
    >>> black, noise = count_png_bytes(x)
    >>> bool(black < noise)
    True
    """
    return _encode(images, "png", optimize=True)[0]


def compress_jpeg(images, quality):
    """Compress each image as a JPEG file and read it again.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (n, height, width, 1 or 3), values in [0, 1] (clipped).
    quality : int
        From 1 (small file) to 95.

    Returns
    -------
    n_bytes : numpy.ndarray
        int64, shape (n,): size of each file, headers included.
    decoded : numpy.ndarray
        float32, in the shape of `images`, values in [0, 1].

    References
    ----------
    Wallace 1992, IEEE Transactions on Consumer Electronics 38. Used in notebook 01.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((2, 28, 28, 1))
    >>> small, large = compress_jpeg(x, 10)[0], compress_jpeg(x, 90)[0]
    >>> bool((small < large).all())
    True
    """
    return _encode(images, "jpeg", quality=quality)


def _encode(images, form, **options):
    """Sizes in bytes of 8-bit image files, and the images read from these files."""
    from PIL import Image

    n_bytes, decoded = [], np.empty(images.shape, np.float32)
    for k, image in enumerate(np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, form, **options)
        n_bytes.append(buffer.tell())
        decoded[k] = np.asarray(Image.open(buffer), np.float32).reshape(image.shape) / 255
    return np.array(n_bytes), decoded
