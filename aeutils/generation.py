"""Judging pictures that a model has made: a classifier of real images, and the Fréchet distance in its features."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from aeutils.backend import keras
from aeutils.datasets import cache_folder
from aeutils.errors import UserError
from aeutils.files import replacing
from aeutils.training import fit

layers = keras.layers

RECIPE = "1"  # part of the name of a stored judge; a new number means that all judges are trained again
EPOCHS, MIN_STEPS, BATCH_SIZE, LEARNING_RATE = 4, 600, 128, 4e-3
N_FEATURES = 64


class JudgeError(UserError, ValueError):
    """A judge that cannot be trained on this data. The message says why."""


@dataclass(frozen=True, eq=False, repr=False)
class Judge:
    """A classifier of real images that judges made ones. `load_judge` returns it.

    Attributes
    ----------
    model : keras.Model
        From images (n, height, width, channels) in [0, 1] to features (n, 64) and logits (n, n_classes).
    accuracy : float
        Share of the real test images that it recognises. Show it beside every figure that the judge gives.
    n_test : int
        Number of these test images.
    name : str
        Name of the data set.
    from_cache : bool
        Whether it was trained in an earlier run.
    """

    model: keras.Model
    accuracy: float
    n_test: int
    name: str
    from_cache: bool

    def __repr__(self):
        origin = "from the cache" if self.from_cache else "trained now and kept in the cache"
        return f"judge of {self.name} ({origin}): right for {self.accuracy:.3f} of {self.n_test:,} real test images"

    def recognise(self, images):
        """Compute the probability of each class.

        Parameters
        ----------
        images : numpy.ndarray
            Shape (n, height, width, channels), values in [0, 1].

        Returns
        -------
        numpy.ndarray
            float32, shape (n, n_classes); each row has the sum 1.
        """
        logits = self._run(images)[1]
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return logits / logits.sum(axis=1, keepdims=True)

    def compute_features(self, images):
        """Compute the values of the last hidden layer, from which the classes are told apart.

        Parameters
        ----------
        images : numpy.ndarray
            Shape (n, height, width, channels), values in [0, 1].

        Returns
        -------
        numpy.ndarray
            float32, shape (n, 64), 0 or more.
        """
        return self._run(images)[0]

    def compute_accuracy(self, images, labels):
        """Compute the share of images that the judge recognises as what they should show.

        Parameters
        ----------
        images : numpy.ndarray
            Shape (n, height, width, channels), values in [0, 1].
        labels : numpy.ndarray
            int, shape (n,).

        Returns
        -------
        float
            From 0 to 1. Compare it with `accuracy`, its value for real test images. A model that makes one picture of each
            class again and again can reach 1, so look at the Fréchet distance too.
        """
        return float(np.mean(self.recognise(images).argmax(axis=1) == np.asarray(labels)))

    def _run(self, images):
        images = np.asarray(images, np.float32)
        expected = self.model.input_shape[1:]
        if images.ndim != 4 or images.shape[1:] != expected or len(images) == 0:
            raise ValueError(
                f"images have shape {images.shape}; expected (n, {', '.join(map(str, expected))}), at least one image"
            )
        return self.model.predict(images, batch_size=500, verbose=0)


def load_judge(data, verbose=True):
    """Load the judge of a data set from the user's cache, or train it once and keep it there.

    The judge is a small convolutional classifier. It is trained on the training and the validation images, and measured on
    the test images. It depends on nothing but these images and their labels: every seed of a lesson gets the same judge, and
    changed data gets a new one. On MNIST the training takes about a minute.

    Parameters
    ----------
    data : Dataset
        Images with labels of two classes or more.
    verbose : bool
        Show a progress bar and a summary line while it is trained.

    Returns
    -------
    Judge

    Raises
    ------
    JudgeError
        The data holds rows instead of images, or no labels of two classes or more.

    References
    ----------
    The idea of judging samples with a classifier: Salimans et al. 2016, arXiv:1606.03498. Introduced in notebook 10.

    Examples
    --------
    >>> from aeutils import load_dataset
    >>> load_judge(load_dataset("digits"))  # doctest: +SKIP
    judge of digits (trained now and kept in the cache): right for 0.992 of 359 real test images
    """
    x, y = _take_real(data)
    n_classes = int(max(y.max(), data.y_test.max())) + 1
    x, y, key = _sort_by_content(x, y, data)
    path = cache_folder() / "judges" / f"{key}.npz"
    model = _build(data.image_shape, n_classes, x.mean(axis=0))
    accuracy = _restore(model, path)
    from_cache = accuracy is not None
    if not from_cache:
        _train(model, x, y, verbose)
        judge = Judge(model, 0.0, len(data.x_test), data.name, False)
        accuracy = judge.compute_accuracy(data.x_test, data.y_test)
        _keep(model, accuracy, path)
    return Judge(model, accuracy, len(data.x_test), data.name, from_cache)


def _take_real(data):
    if not data.has_images:
        raise JudgeError(
            f"{data.source} holds rows of {data.image_shape[0]} values; expected images, because the judge is convolutional"
        )
    n_classes = 0 if data.y_train is None else len(np.unique(data.y_train))
    if n_classes < 2:
        came = "no labels" if n_classes == 0 else "labels of one class only"
        raise JudgeError(
            f"{data.source} has {came}; expected labels of two classes or more, which the judge learns to tell apart"
        )
    return np.concatenate([data.x_train, data.x_val]), np.concatenate([data.y_train, data.y_val])


def _sort_by_content(x, y, data):
    """The real images in an order that depends on nothing but them, and a key of everything the judge depends on."""
    digests = [_digest(image, label) for image, label in zip(x, y)]
    order = np.argsort(digests)
    test = sorted(_digest(image, label) for image, label in zip(data.x_test, data.y_test))
    whole = hashlib.sha256(f"{RECIPE} {EPOCHS} {MIN_STEPS} {x.shape[1:]}".encode())
    for digest in [*sorted(digests), b"test", *test]:
        whole.update(digest)
    return x[order], y[order], whole.hexdigest()[:24]


def _digest(image, label):
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes() + int(label).to_bytes(8, "little"), digest_size=16).digest()


def _build(image_shape, n_classes, mean):
    """Convolutions that halve the image until it has 8x8 pixels or fewer, and a hidden layer of 64 features.

    All seeds are given, so that the caller's random numbers are the same whether the judge was in the cache or not.
    """
    seeds = iter(range(100))

    def draw(name="HeUniform"):
        return getattr(keras.initializers, name)(seed=next(seeds))

    def convolve(h, filters, size, strides):
        options = {"padding": "same", "use_bias": False, "kernel_initializer": draw()}
        h = layers.Conv2D(filters, size, strides=strides, **options)(h)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(h))

    inputs, side = keras.Input(image_shape), max(image_shape[:2])
    strides = 2 if side > 8 else 1
    h = layers.Rescaling(1.0, offset=-float(mean.mean()))(inputs)
    h, side = convolve(h, 32, 5, strides), -(-side // strides)
    while side > 8:
        h, side = layers.MaxPooling2D(2, padding="same")(convolve(h, 64, 3, 1)), -(-side // 2)
    h = layers.Dropout(0.3, seed=next(seeds))(layers.Flatten()(h))
    features = layers.Dense(N_FEATURES, activation="relu", kernel_initializer=draw(), name="features")(h)
    logits = layers.Dense(n_classes, kernel_initializer=draw("GlorotUniform"), name="logits")(features)
    return keras.Model(inputs, [features, logits], name="judge")


def _train(model, x, y, verbose):
    classifier = keras.Model(model.input, model.outputs[1])
    steps = -(-len(x) // BATCH_SIZE)
    fit(
        classifier,
        x,
        y,
        epochs=max(EPOCHS, -(-MIN_STEPS // steps)),
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        verbose=verbose,
    )


def _restore(model, path):
    """Set the stored weights and return the stored accuracy; None if there is no such file or it is damaged."""
    try:
        with np.load(path) as stored:
            arrays = [stored[f"weight_{k}"] for k in range(len(model.get_weights()))]
            accuracy = float(stored["accuracy"])
        model.set_weights(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return accuracy


def _keep(model, accuracy, path):
    """Write the file as a whole or not at all. If it cannot be written, the next run trains the judge again."""
    weights = {f"weight_{k}": weight for k, weight in enumerate(model.get_weights())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, accuracy=accuracy, **weights)
    except OSError:
        pass


def compute_frechet(features_a, features_b):
    """Compute the Fréchet distance of two sets of features: how far apart are two Gaussians that are fitted to them?

    Parameters
    ----------
    features_a, features_b : numpy.ndarray
        Shapes (n, d) and (m, d), from `Judge.compute_features`. Use the same n on both sides and in all comparisons:
        with few images the distance comes out too large.

    Returns
    -------
    float
        ``|mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2))`` with the covariance matrices A and B, in squared units of the
        features. 0 for equal means and covariances. Compare it with `compute_frechet_floor`, its value for real images.
        Distances by two different judges cannot be compared.

    Raises
    ------
    ValueError
        The features do not have two axes of the same width, or fewer than two rows, or are not finite.

    References
    ----------
    Dowson, Landau 1982, Journal of Multivariate Analysis 12; Heusel et al. 2017, arXiv:1706.08500, equation 6 (there in the
    features of a network trained on photographs). Introduced in notebook 10.

    Examples
    --------
    >>> a = np.random.default_rng(0).normal(size=(500, 3))
    >>> round(compute_frechet(a, a + [3, 4, 0]), 6)
    25.0
    """
    a, b = np.asarray(features_a, np.float64), np.asarray(features_b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"features have shapes {a.shape} and {b.shape}; expected (n, d) and (m, d), two rows or more each")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features hold NaN or infinity; expected finite values, so look at the images first")
    covariance_a, covariance_b = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (a, b))
    root = _take_root(covariance_a)
    overlap = np.sqrt(np.clip(np.linalg.eigvalsh(root @ covariance_b @ root), 0, None)).sum()
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + max(spread, 0.0))


def _take_root(matrix):
    """The symmetric square root of a covariance matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T


def compute_frechet_floor(judge, data, n=5000, seed=0):
    """Compute the Fréchet distance of real images from real images, the smallest that a generator can hope for.

    Parameters
    ----------
    judge : Judge
    data : Dataset
    n : int
        Images on each side, drawn at random; at most as many as the test part and the training part have.
    seed : int
        Seed of the draw.

    Returns
    -------
    floor : float
        Distance of `n` training images from `n` test images.
    features : numpy.ndarray
        float32, shape (n, 64): those of the test images, to compare made images with.

    Raises
    ------
    ValueError
        `n` is below 2.
    """
    if n < 2:
        raise ValueError(f"n={n!r}: expected 2 or more")
    rng, n = np.random.default_rng(seed), min(n, len(data.x_train), len(data.x_test))
    train, test = (judge.compute_features(x[rng.permutation(len(x))[:n]]) for x in (data.x_train, data.x_test))
    return compute_frechet(train, test), test
