"""Anomaly detection by reconstruction error and distance, with the interface of the detectors of scikit-learn and PyOD."""

import functools
import json
import zipfile

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted

from aeutils.backend import tf
from aeutils.files import replacing

_BOUND = 1e4  # standardised values are clipped to [-_BOUND, _BOUND], so that their squares are finite
_ROWS_AT_ONCE = 2048
_N_NEIGHBOURS = 2
_MOST_ROWS_KEPT = 5000  # training rows kept as possible neighbours: bounds memory, file and time of a prediction
_SAVED = ("members_", "mean_", "scale_", "background_", "distance_scale_", "decision_scores_", "threshold_")


class AutoencoderDetector(BaseEstimator):
    """Detect anomalies in tables or images by the reconstruction error of an ensemble of denoising autoencoders.

    - *Members.* The ensemble has `n_members` autoencoders. Each member leaves out a different fold of the training
      rows, so every training row gets a held-out score from a member that was not trained on it. `threshold_` is a
      quantile of these held-out scores.
    - *Suspects.* If `X` may contain anomalies, set `contamination`. Then a first ensemble of small networks with a code
      of 4 units is trained for a few steps. The rows with the largest held-out reconstruction errors, a fraction
      `contamination` of all rows, are left out when the members are trained, and are no neighbours either.
    - *Score of an image.* The squared error, averaged over pixels and members, divided by the RMS intensity of the image
      (plus 0.01). The RMS intensity is the root mean square of the differences between the pixels and the background,
      which is the most frequent pixel value of the training images. The division is needed because an image with more
      content also has a larger error.
    - *Score of a table row.* The squared error, averaged over features and members, plus the squared distance to the
      nearest training rows: the mean of the Euclidean distances to the 2 nearest standardised training rows, squared,
      divided by the number of features. Both have the same unit. The error is large if a row breaks the relations
      between features. The distance is large if no training row is similar; the network can reconstruct such a row
      well. At most 5,000 training rows, drawn at random, are kept as neighbours. The squared distance from the mean can
      be added as well (`distance_weight`).
    - *Is it better than nearest neighbours?* On tables hardly. On 17 public sources that were not used to choose the
      score, with normal training rows only, its mean AUROC and average precision are .890 and .846, those of the
      distance to 5 nearest neighbours .889 and .840, to 2 neighbours .891 and .846, of the error alone .872 and .829
      (benchmarks/detector_defaults.py). For a table of some thousand rows a neighbour search is as good and simpler. Use
      an autoencoder for images, for an error of each feature (`reconstruct`), or for many rows. With 200,000 training
      rows of 30 features, 1,000 predictions take 19 ms of one core (3 ms with ``neighbour_weight=0``), and the fitted
      detector 2.4 MB. With 5 neighbours among all rows they take 710 ms and 48 MB, but `fit` takes 14 s, where a
      neighbour search needs no training.

    Parameters
    ----------
    contamination : float
        Expected fraction of anomalies in data like `X`, at least 0 and below 0.5. This fraction of `X` is left out of
        the training. With the default 0, all rows are taken as normal.
    hidden_units : sequence of int, optional
        Units of the hidden layers, with the code in the middle. Default: (64, 64, 64) for tables, where the noise
        prevents the network from copying its input; (128, 32, 128) for images.
    n_members : int
        Number of autoencoders, 2 or more.
    noise : float
        Standard deviation of the noise added to the input in training, in standard deviations of a feature (tables) or
        in pixel units (images).
    n_steps : int, optional
        Number of training steps. Default: 250 for tables and 600 for images, or 4 epochs if that is more.
    batch_size : int
        Rows per member and training step.
    learning_rate : float
        Learning rate of Adam at the first step. It decreases linearly to 0.
    distance_weight : float
        Weight of the squared distance from the mean in the score of table rows. With 1, the error and this distance of a
        typical training row have the same weight. It helps a little if `neighbour_weight` is 0: take 0.3 then.
    false_alarm_rate : float, optional
        Sets the threshold: about this fraction of rows like those of `X` will be flagged, above 0 and below 0.5.
        Default: `contamination`; if that is 0, 0.05.
    random_state : int
        Seed of weights, folds, batches, noise and kept rows. The same seed on the same machine gives the same scores.
    neighbour_weight : float
        Factor of the squared distance to the nearest training rows in the score of table rows. With 0, no training rows
        are kept. Set this attribute of a fitted detector to 0 to score without neighbours; this does not change
        `threshold_`.

    Attributes
    ----------
    decision_scores_ : numpy.ndarray of shape (n,)
        Held-out score of every training row, in the order of `X`.
    threshold_ : float
        The (1 - `false_alarm_rate`) quantile of `decision_scores_`, which are held-out scores. You can set another value.
    distance_scale_ : float
        Factor of the squared distance in the score. Tables: `distance_weight` times the median held-out error, divided
        by the median squared distance from the mean. Images: 0. Set it to 0 to score without this distance; this does
        not change `threshold_`.
    neighbours_ : numpy.ndarray of shape (n_kept, n_features)
        Standardised training rows kept as neighbours, float32, at most 5,000. No rows for images.
    labels_ : numpy.ndarray of shape (n,)
        1 if the score of a training row is above the threshold, else 0.
    n_features_in_ : int
        Number of features of a row, or of values in an image.

    References
    ----------
    Vincent et al. 2008, ICML, section 2 (denoising autoencoder); Wolpert 1992, Neural Networks 5 (held-out predictions);
    Ramaswamy, Rastogi and Shim 2000, SIGMOD (distance to the nearest neighbours). Used in notebook 04.

    Examples
    --------
    >>> detector = AutoencoderDetector(contamination=0.05).fit(np.random.default_rng(0).normal(size=(200, 3)))
    >>> detector.predict(np.array([[0.0, 0.0, 0.0], [9.0, -9.0, 9.0]]))
    array([0, 1])
    """

    def __init__(
        self,
        contamination=0.0,
        hidden_units=None,
        n_members=4,
        noise=0.1,
        n_steps=None,
        batch_size=64,
        learning_rate=1e-2,
        distance_weight=0.0,
        random_state=0,
        false_alarm_rate=None,
        neighbour_weight=1.0,
    ):
        self.contamination = contamination
        self.hidden_units = hidden_units
        self.n_members = n_members
        self.noise = noise
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.distance_weight = distance_weight
        self.random_state = random_state
        self.false_alarm_rate = false_alarm_rate
        self.neighbour_weight = neighbour_weight

    def fit(self, X, y=None):
        """Train on normal rows. If they may include anomalies, set `contamination` to about their fraction.

        Parameters
        ----------
        X : array_like
            A table of shape (n, n_features), any real dtype and scale; or images of shape (n, height, width[, channels]),
            uint8 or values in [0, 1]. `n` must be at least twice the number of members.
        y : None
            Ignored. It exists for pipelines of scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            NaN or infinite values, values that are not numbers, a sparse matrix, a wrong shape, too few rows, image
            values outside [0, 1], or a parameter out of range.
        """
        self._check_parameters()
        flat, shape = _to_table(X)
        if len(flat) < 2 * self.n_members:
            raise ValueError(
                f"X has {len(flat)} rows; expected at least {2 * self.n_members}, two for each of {self.n_members} members"
            )
        self.shape_, self.n_features_in_, self.distance_scale_ = shape, flat.shape[1], 0.0
        self._keep_neighbours(np.empty((0, flat.shape[1]), np.float32))
        rng = np.random.default_rng(self.random_state)
        order = rng.permutation(len(flat))
        kept, suspects = order, order[:0]
        if n_suspects := int(self.contamination * len(flat)):
            self._train(flat[order], (16, 4, 16), 100, rng)
            held_out = self._score_held_out(flat[order])
            kept, suspects = order[np.argsort(held_out)[:-n_suspects]], order[np.argsort(held_out)[-n_suspects:]]
            kept = rng.permutation(kept)  # otherwise rows with similar scores would be in the same fold
        default = (64, 64, 64) if len(shape) == 1 else (128, 32, 128)
        hidden = default if self.hidden_units is None else self.hidden_units
        n_steps = self.n_steps or max(250 if len(shape) == 1 else 600, 4 * len(kept) // self.batch_size)
        self._train(flat[kept], hidden, n_steps, rng)
        held_out = self._score_held_out(flat[kept])
        if len(shape) == 1 and (typical := np.median(distances := self._compute_distances(flat[kept]))) > 0:
            self.distance_scale_ = float(self.distance_weight * np.median(held_out) / typical)
            held_out += self.distance_scale_ * distances
        if len(shape) == 1 and self.neighbour_weight:
            self._keep_neighbours(self._standardise(flat[kept[:_MOST_ROWS_KEPT]]))
            held_out += self.neighbour_weight * self._compute_neighbour_distances_held_out(flat[kept])
        self.decision_scores_ = np.empty(len(flat))
        self.decision_scores_[kept] = held_out
        self.decision_scores_[suspects] = self._score(flat[suspects]).mean(axis=0)  # no member was trained on them
        rate = (self.contamination or 0.05) if self.false_alarm_rate is None else self.false_alarm_rate
        self.threshold_ = float(np.quantile(self.decision_scores_, 1 - rate))
        return self

    def decision_function(self, X):
        """Compute the anomaly score of each row or image. A higher score is more anomalous.

        Parameters
        ----------
        X : array_like
            As in `fit`, with one row or more.

        Returns
        -------
        numpy.ndarray
            float64, shape (n,), mean over features and members. Tables: squared error plus `neighbour_weight` times
            squared distance to the nearest training rows plus ``distance_scale_`` times squared distance from the mean,
            in squared standard deviations. Images: squared error divided by RMS intensity, in pixel units.

        Raises
        ------
        ValueError
            The number of columns or the image shape differs from `fit`, or `fit` would not accept the values either.
        sklearn.exceptions.NotFittedError
            The detector is not fitted yet.
        """
        return self._score(self._check_fitted(X)).mean(axis=0)

    def predict(self, X):
        """Return 1 for each row with a score above `threshold_`, else 0, as int64 of shape (n,).

        It raises the same errors as `decision_function`.
        """
        return (self.decision_function(X) > self.threshold_).astype(np.int64)

    def reconstruct(self, X):
        """Compute the mean reconstruction of the members, float32, in the shape and units of `X` (images in [0, 1]).

        It raises the same errors as `decision_function`.
        """
        flat = self._check_fitted(X)
        z_hat = np.concatenate(
            [self._apply(flat[i : i + _ROWS_AT_ONCE]).mean(axis=0) for i in range(0, len(flat), _ROWS_AT_ONCE)]
        )
        return (z_hat * self.scale_ + self.mean_).astype(np.float32).reshape(len(flat), *self.shape_)

    @property
    def labels_(self):
        return (self.decision_scores_ > self.threshold_).astype(np.int64)

    def save(self, path):
        """Write the fitted detector to one ``.npz`` file of plain arrays, completely or not at all.

        Parameters
        ----------
        path : str or path
            Use this exact name with `load`; no extension is added.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The detector is not fitted yet.
        OSError
            The file cannot be written. An earlier file at `path` is not changed.
        """
        check_is_fitted(self, "members_")
        fitted = {"parameters": self.get_params(), "shape": self.shape_, "sizes": self.sizes_}
        arrays = {name: getattr(self, name) for name in (*_SAVED, "neighbours_")}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, fitted=json.dumps(fitted, default=np.ndarray.tolist), **arrays)

    @classmethod
    def load(cls, path):
        """Read a detector that `save` wrote, in this or an earlier version. No code in the file is executed.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        AutoencoderDetector

        Raises
        ------
        FileNotFoundError
            There is no file at `path`.
        ValueError
            The file is damaged or is not a saved detector.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                fitted = json.loads(str(saved["fitted"]))
                arrays = {name: saved[name] for name in _SAVED}
                neighbours = saved.get("neighbours_")  # a file of an earlier version has none
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} cannot be read as a saved detector ({type(error).__name__}: {error}); "
                "expected a file from save(), fit and save anew"
            ) from error
        detector = cls(**{"neighbour_weight": 0.0, **fitted["parameters"]})
        for name, array in arrays.items():
            setattr(detector, name, array)
        for name in ("threshold_", "background_", "distance_scale_"):
            setattr(detector, name, float(getattr(detector, name)))
        detector.shape_, detector.sizes_ = tuple(fitted["shape"]), fitted["sizes"]
        detector.n_features_in_ = detector.sizes_[0]
        detector._keep_neighbours(np.empty((0, detector.n_features_in_), np.float32) if neighbours is None else neighbours)
        return detector

    # ---- Private methods ----

    def _check_parameters(self):
        for name, fits, expected in (
            ("contamination", 0 <= self.contamination < 0.5, "a share from 0 to below 0.5"),
            (
                "false_alarm_rate",
                self.false_alarm_rate is None or 0 < self.false_alarm_rate < 0.5,
                "None, or a share above 0 and below 0.5",
            ),
            ("n_members", self.n_members >= 2, "2 or more"),
            ("noise", self.noise >= 0, "0 or more"),
            ("n_steps", self.n_steps is None or self.n_steps >= 1, "None, or 1 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("learning_rate", self.learning_rate > 0, "a number above 0"),
            ("distance_weight", self.distance_weight >= 0, "0 or more"),
            ("neighbour_weight", self.neighbour_weight >= 0, "0 or more"),
            (
                "hidden_units",
                self.hidden_units is None or min(self.hidden_units, default=0) >= 1,
                "None, or units of 1 or more each",
            ),
        ):
            if not fits:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected {expected}")

    def _check_fitted(self, X):
        check_is_fitted(self, "members_")
        flat, shape = _to_table(X)
        if shape != self.shape_:
            raise ValueError(
                f"X has rows of shape {shape}, the detector was fitted on {self.shape_}; "
                "expected the same features in the same order"
            )
        return flat

    def _train(self, flat, hidden, n_steps, rng):
        """Fit the scaling and the members. Member k leaves out the rows of `flat` in fold k."""
        if len(self.shape_) == 1:
            self.mean_, deviation = flat.mean(axis=0), flat.std(axis=0)
            self.scale_ = np.where(deviation > 1e-9 * np.abs(self.mean_), deviation, 1.0)  # a constant feature is not scaled
        else:
            self.mean_, self.scale_ = np.zeros(1), np.ones(1)
        self.background_ = (
            np.bincount(np.rint(flat.ravel() * 255).astype(np.int64)).argmax() / 255 if len(self.shape_) > 1 else 0.0
        )
        self.sizes_ = [flat.shape[1], *map(int, hidden), flat.shape[1]]
        weights = []
        for n_in, n_out in zip(self.sizes_, self.sizes_[1:]):
            weights += [rng.normal(0, np.sqrt(2 / n_in), (self.n_members, n_in * n_out)), np.zeros((self.n_members, n_out))]
        train, _ = _compile(len(hidden) + 1, len(self.shape_) > 1)
        seed = rng.integers(2**31 - 1)
        self.members_ = train(
            self._standardise(flat), np.concatenate(weights, axis=1).astype(np.float32), self.sizes_, n_steps, self.batch_size,
            self.learning_rate, self.noise, seed,
        ).numpy()  # fmt: skip

    def _standardise(self, flat):
        return np.clip((flat - self.mean_) / self.scale_, -_BOUND, _BOUND).astype(np.float32)

    def _apply(self, flat):
        _, apply = _compile(len(self.sizes_) - 1, len(self.shape_) > 1)
        return apply(self._standardise(flat), self.members_, self.sizes_).numpy()

    def _score(self, flat):
        """Compute the scores by each member, shape (n_members, n)."""
        scores = [np.empty((len(self.members_), 0))]
        for i in range(0, len(flat), _ROWS_AT_ONCE):
            rows = flat[i : i + _ROWS_AT_ONCE]
            errors = np.square(self._apply(rows) - self._standardise(rows), dtype=np.float64).mean(axis=2)
            if len(self.shape_) > 1:
                # The RMS intensity; 0.01 is added because it is 0 for an empty image.
                errors /= np.sqrt(np.square(rows - self.background_).mean(axis=1)) + 0.01
            if self.distance_scale_:
                errors += self.distance_scale_ * self._compute_distances(rows)
            if len(self.neighbours_) and self.neighbour_weight:
                errors += self.neighbour_weight * self._compute_neighbour_distances(rows)
            scores.append(errors)
        return np.concatenate(scores, axis=1)

    def _compute_distances(self, flat):
        return np.square(self._standardise(flat), dtype=np.float64).mean(axis=1)

    def _keep_neighbours(self, rows):
        self.neighbours_ = rows
        self._search = NearestNeighbors(n_neighbors=_N_NEIGHBOURS).fit(rows) if len(rows) else None

    def _compute_neighbour_distances(self, flat):
        """Compute the squared mean distance to the nearest rows of `neighbours_`, divided by the number of features."""
        return _square_per_feature(self._search.kneighbors(self._standardise(flat))[0], self.n_features_in_)

    def _compute_neighbour_distances_held_out(self, flat):
        """Do the same for training rows, of which the first are the rows of `neighbours_`: none is its own neighbour."""
        distances = [_square_per_feature(self._search.kneighbors()[0], self.n_features_in_)]
        for i in range(len(self.neighbours_), len(flat), _ROWS_AT_ONCE):
            distances.append(self._compute_neighbour_distances(flat[i : i + _ROWS_AT_ONCE]))
        return np.concatenate(distances)

    def _score_held_out(self, flat):
        """Compute the score of each row by the member that left it out, shape (n,)."""
        scores, n = self._score(flat), len(flat)
        return np.concatenate([scores[k, k * n // self.n_members : (k + 1) * n // self.n_members] for k in range(self.n_members)])


def _square_per_feature(distances, n_features):
    return np.square(distances.mean(axis=1, dtype=np.float64)) / n_features


def _to_table(X):
    """Return the rows as float64 of shape (n, n_features), with images flattened, and the shape of one row."""
    if scipy.sparse.issparse(X):
        raise ValueError("X is a sparse matrix; expected a dense array: X.toarray()")
    X = np.asarray(X)
    if X.ndim not in (2, 3, 4) or 0 in X.shape:
        raise ValueError(
            f"X has shape {X.shape}; expected a table (n, n_features) or images (n, height, width[, channels]), not empty"
        )
    if X.dtype == np.uint8 and X.ndim > 2:
        X = X / 255
    try:
        flat = X.reshape(len(X), -1).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"X has dtype {X.dtype} and cannot be read as numbers ({error}); encode text and categories first"
        ) from error
    if not (finite := np.isfinite(flat)).all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"X has {np.count_nonzero(~finite)} NaN or infinite values, the first in row {row}, column {column}; "
            "expected finite numbers: fill in or drop them first"
        )
    if X.ndim > 2 and (flat.min() < 0 or flat.max() > 1):
        raise ValueError(
            f"images go from {flat.min():g} to {flat.max():g}; expected uint8, or values in [0, 1]: divide by their maximum"
        )
    return flat, X.shape[1:]


@functools.cache
def _compile(n_layers, bounded):
    """Compile the training loop and the forward pass for networks with `n_layers` layers of any width.

    The weights of all members are one matrix of shape (n_members, n_weights), layer after layer, kernel before bias. With
    `bounded`, the output layer is a sigmoid. The cache and the input signatures avoid a new trace for each fit.
    """

    def forward(members, sizes, x):
        n_in, n_out = sizes[:-1], sizes[1:]
        each = tf.reshape(tf.stack([n_in * n_out, n_out], axis=1), [2 * n_layers])
        parts = tf.split(members, each, axis=1, num=2 * n_layers)  # the gradient of a slice would be as large as `members`
        for k in range(n_layers):
            kernel = tf.reshape(parts[2 * k], (-1, n_in[k], n_out[k]))
            x = tf.matmul(x, kernel) + parts[2 * k + 1][:, None]
            x = tf.nn.relu(x) if k < n_layers - 1 else tf.sigmoid(x) if bounded else x
        return x

    def spec(*shape, dtype=tf.float32):
        return tf.TensorSpec(shape, dtype)

    count = spec(dtype=tf.int32)
    network = [spec(None, None), spec(n_layers + 1, dtype=tf.int32)]

    @tf.function(input_signature=[spec(None, None), *network, count, count, spec(), spec(), count])
    def train(x, members, sizes, n_steps, batch_size, learning_rate, noise, seed):
        n, n_members = tf.shape(x)[0], tf.shape(members)[0]
        folds = tf.range(n_members + 1) * n // n_members
        ends, n_seen = folds[1:, None], n - (folds[1:] - folds[:-1])[:, None]
        first, second = tf.zeros_like(members), tf.zeros_like(members)
        for step in tf.range(n_steps):
            draw = tf.random.stateless_uniform((n_members, batch_size), (seed, 2 * step))
            # Rows outside the member's own fold: from the end of the fold, past the last row, to the start of the fold.
            index = (ends + tf.cast(draw * tf.cast(n_seen, tf.float32), tf.int32)) % n
            clean = tf.gather(x, index)
            noisy = clean + noise * tf.random.stateless_normal(tf.shape(clean), (seed, 2 * step + 1))
            with tf.GradientTape() as tape:
                tape.watch(members)
                errors = tf.square(forward(members, sizes, noisy) - clean)
                loss = tf.reduce_sum(tf.reduce_mean(errors, axis=(1, 2)))
            gradient = tape.gradient(loss, members)
            t = tf.cast(step, tf.float32)
            first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * tf.square(gradient)  # Adam
            rate = learning_rate * (1 - t / tf.cast(n_steps, tf.float32)) * tf.sqrt(1 - 0.99 ** (t + 1)) / (1 - 0.9 ** (t + 1))
            members -= rate * first / (tf.sqrt(second) + 1e-7)
        return members

    @tf.function(input_signature=[spec(None, None), *network])
    def apply(x, members, sizes):
        return forward(members, sizes, tf.tile(x[None], (tf.shape(members)[0], 1, 1)))

    return train, apply
