"""How good a reconstruction is, and what it would cost to do without a network."""

import io

import numpy as np


def compute_mse(x, x_hat, per_image=False):
    """Mean squared error between images and their reconstructions.

    Parameters
    ----------
    x, x_hat : numpy.ndarray
        Same shape, first axis n; any real dtype (computed in float64). Pixel values in [0, 1] for the figures of this course.
    per_image : bool
        False: mean over pixels, channels and images. True: mean over pixels and channels only.

    Returns
    -------
    float, or numpy.ndarray of shape (n,)
        In squared pixel units: 0 is perfect, 0.01 is a typical miss of 0.1.

    Raises
    ------
    ValueError
        Shapes differ or are empty.

    References
    ----------
    Bishop 2006, Pattern Recognition and Machine Learning, equation 12.91. First used in notebook 01.
    """
    x, x_hat = np.asarray(x), np.asarray(x_hat)
    if x.shape != x_hat.shape or x.size == 0:
        raise ValueError(f"x has shape {x.shape} and x_hat {x_hat.shape}; expected the same shape with at least one image")
    squared = np.square(x.astype(np.float64) - x_hat).reshape(len(x), -1)
    return squared.mean(axis=1) if per_image else float(squared.mean())


def reconstruct_with_pca(x_train, x, n_components, seed=0):
    """Fit PCA to training images and reconstruct others from as many numbers as a code has.

    Parameters
    ----------
    x_train, x : numpy.ndarray
        Images in [0, 1], shape (n, ...) and (m, ...).
    n_components : int
        Numbers kept per image, as many as the autoencoder's code has units; more than PCA can find
        (pixels, or training images) means all that it can find.
    seed : int
        For the randomised solver that scikit-learn picks for large data.

    Returns
    -------
    numpy.ndarray
        Same shape as `x`, float32, clipped to [0, 1] (which only helps PCA).

    References
    ----------
    Pearson 1901; Bishop 2006, section 12.1. First used in notebook 01.
    """
    from sklearn.decomposition import PCA

    flat_train, flat = x_train.reshape(len(x_train), -1), x.reshape(len(x), -1)
    pca = PCA(min(n_components, *flat_train.shape), random_state=seed).fit(flat_train)
    return np.clip(pca.inverse_transform(pca.transform(flat)), 0, 1).astype(np.float32).reshape(x.shape)


def count_png_bytes(images):
    """Size of each image as an optimised 8-bit PNG file, headers included.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (n, height, width, 1 or 3), values in [0, 1].

    Returns
    -------
    numpy.ndarray
        int64, shape (n,), in bytes.
    """
    from PIL import Image

    def size(image):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "png", optimize=True)
        return buffer.tell()

    return np.array([size(image) for image in np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)])
