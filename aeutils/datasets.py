"""Load image data sets: find or download them, verify them, split them and scale them."""

import gzip
import hashlib
import math
import os
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch

from aeutils.errors import UserError
from aeutils.progress import Progress

REPOSITORY_DATA = Path(__file__).resolve().parent.parent / "data"
DOWNLOAD_TIMEOUT = 10  # seconds without an answer before the next mirror is tried


class DatasetError(UserError, ValueError):
    """The data was found but cannot be used. The message names the file and the problem."""


class _IncompleteError(DatasetError):
    """Files are missing, for example after an interrupted download. The next download adds them."""


class DatasetNotFoundError(UserError, FileNotFoundError):
    """The data is not on disk and could not be downloaded. The message names every place that was tried."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images in three splits (training, validation and test), ready to train on.

    Attributes
    ----------
    name : str
        ``mnist``, ``fashion_mnist``, ``digits``, or the file name of the user's own file without its extension.
    source : str
        Where the data came from, for example ``mnist.npz from the cache``.
    x_train, x_val, x_test : numpy.ndarray
        float32, shape (n, height, width, channels), values in [0, 1]; 1 channel (grey) or 3 channels (RGB).
    y_train, y_val, y_test : numpy.ndarray or None
        int64, shape (n,), counted from 0; None if the file has no labels.
    class_names : tuple of str
        Names of the labels 0, 1, ...; empty if there are no labels.
    """

    name: str
    source: str
    x_train: np.ndarray
    y_train: np.ndarray | None
    x_val: np.ndarray
    y_val: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    class_names: tuple[str, ...]

    @property
    def image_shape(self):
        """(height, width, channels) of one image."""
        return self.x_train.shape[1:]

    def __repr__(self):
        low = min(float(x.min()) for x in (self.x_train, self.x_val, self.x_test))
        high = max(float(x.max()) for x in (self.x_train, self.x_val, self.x_test))
        classes = f"{len(self.class_names)} classes" if self.class_names else "no labels"
        return (
            f"{self.name} ({self.source})\n"
            f"images {self.image_shape}, {self.x_train.dtype} from {low:.2f} to {high:.2f}; {classes}\n"
            f"train {len(self.x_train):,} | validation {len(self.x_val):,} | test {len(self.x_test):,}"
        )


# ---- Published data sets: hashes of the files (for downloads) and of the arrays (for copies in any format) ----

_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


@dataclass(frozen=True)
class _PublishedSet:
    mirrors: tuple[str, ...]
    file_sha256: dict[str, str]  # of the four gzip files, by key
    array_sha256: dict[str, str]  # of the arrays' bytes, by key
    class_names: tuple[str, ...]


_PUBLISHED = {
    "mnist": _PublishedSet(
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        file_sha256={
            "x_train": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "y_train": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "x_test": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "y_test": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        array_sha256={
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
        class_names=tuple("0123456789"),
    ),
    "fashion_mnist": _PublishedSet(
        mirrors=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        file_sha256={
            "x_train": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "y_train": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "x_test": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "y_test": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        array_sha256={
            "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        },
        class_names=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}

NAMES = (*_PUBLISHED, "digits")


def load_dataset(name, *, fallback=None, limit=None, val_fraction=0.1, seed=0):
    """Load an image data set and hold out part of the training images for validation.

    ``"mnist"`` and ``"fashion_mnist"`` are searched in three folders, in this order: the folder named by the
    environment variable ``AEUTILS_DATA_DIR``, the folder ``data/`` of the repository, and the user's cache (the
    environment variable ``AEUTILS_CACHE_DIR`` sets another folder for the cache). If they are in none of these
    folders, they are downloaded into the cache. In each folder, a data set is either a file ``NAME.npz`` or a folder
    ``NAME`` with the four published ``.gz`` files. Every copy is checked by SHA-256. A damaged copy is reported and
    not used.

    Parameters
    ----------
    name : str or path
        ``"mnist"``, ``"fashion_mnist"``, ``"digits"`` (made from scikit-learn's digits, so it never needs a network),
        or the path of a ``.npz`` file. The file must contain ``x_train`` and can contain ``y_train``, ``x_test``,
        ``y_test`` and ``class_names``. Images have shape (n, height, width) or (n, height, width, 1 or 3) and are
        integers from 0 to 255 or floats from 0 to 1. Integers are divided by 255, unless all of them are 0 or 1. A
        relative path is also searched in the folders ``AEUTILS_DATA_DIR`` and ``data/``. If the file has no test
        images, one sixth of the images becomes the test split; this choice does not depend on `seed`.
    fallback : str, optional
        ``"digits"``: if a published data set cannot be found or downloaded, print one line and load the digits
        instead of raising an error.
    limit : int, optional
        Maximum number of images in each split, drawn at random; None or 0 means all.
    val_fraction : float
        Fraction of the training images that goes to the validation split, above 0 and below 1.
    seed : int
        Seed of the validation split and of the images chosen by `limit`.

    Returns
    -------
    Dataset
        float32 images in [0, 1], shape (n, height, width, channels). The training images are in random order.

    Raises
    ------
    DatasetNotFoundError
        The data was not found and there is no `fallback`. The message names every place that was tried.
    DatasetError
        The user's file cannot be used (unreadable, missing keys, NaN, wrong number of axes, wrong number of labels, ...).
    ValueError
        The name is unknown, or an argument is out of range.

    References
    ----------
    LeCun, Cortes, Burges: The MNIST database of handwritten digits. Xiao, Rasul, Vollgraf 2017,
    arXiv:1708.07747 (Fashion-MNIST). Alpaydin, Kaynak 1998, UCI Optical Recognition of Handwritten Digits.

    Examples
    --------
    >>> data = load_dataset("digits", limit=100)
    >>> data.x_train.shape
    (100, 28, 28, 1)
    """
    _check_arguments(name, fallback, limit, val_fraction)
    rng = np.random.default_rng(seed)
    if name == "digits":
        return _load_digits(val_fraction, limit, rng)
    if name in _PUBLISHED:
        try:
            arrays, source = _find_published(name)
        except DatasetNotFoundError:
            if fallback is None:
                raise
            print(
                f"{name} is not on this computer and could not be downloaded, so this goes on with '{fallback}'. "
                f"To get it: run again with internet, or put {name}.npz into data/ (data/README.md says where to find it)."
            )
            return load_dataset(fallback, limit=limit, val_fraction=val_fraction, seed=seed)
        class_names = _PUBLISHED[name].class_names
    else:
        path = _find_file(Path(name))
        arrays, class_names = _read_own_file(path)
        name, source = path.stem, path.name
    x_pool, y_pool = arrays["x_train"], arrays.get("y_train")
    x_test, y_test = arrays.get("x_test"), arrays.get("y_test")
    if x_test is None:
        order = np.random.default_rng(0).permutation(len(x_pool))
        test, rest = np.split(order, [max(1, len(order) // 6)])
        x_test, y_test = x_pool[test], None if y_pool is None else y_pool[test]
        x_pool, y_pool = x_pool[rest], None if y_pool is None else y_pool[rest]
    val, train = _split(len(x_pool), val_fraction, rng)
    parts = {
        "train": (x_pool, y_pool, train),
        "val": (x_pool, y_pool, val),
        "test": (x_test, y_test, np.arange(len(x_test))),
    }
    return _assemble(name, source, parts, class_names, limit, rng)


def _check_arguments(name, fallback, limit, val_fraction):
    if isinstance(name, str) and name not in NAMES and not _looks_like_path(name):
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(NAMES)}, or the path of a .npz file")
    if fallback not in (None, "digits"):
        raise ValueError(f"fallback={fallback!r}: only 'digits' never needs a network; expected 'digits' or None")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 0):
        raise ValueError(f"limit={limit!r}: expected a whole number of images, or 0 or None for all")
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction!r}: expected a share between 0 and 1, for example 0.1")


def _looks_like_path(name):
    return name.endswith(".npz") or "/" in name or os.sep in name


def _split(n, val_fraction, rng):
    """Draw the indices of the validation and the training images, at least one of each."""
    order = rng.permutation(n)
    n_val = min(max(1, round(n * val_fraction)), n - 1)
    return order[:n_val], order[n_val:]


def _assemble(name, source, parts, class_names, limit, rng):
    fields = {}
    for part, (x, y, index) in parts.items():
        if limit and len(index) > limit:
            index = np.sort(rng.choice(index, limit, replace=False)) if part == "test" else index[:limit]
        fields[f"x_{part}"] = _scale(x[index])
        fields[f"y_{part}"] = None if y is None else y[index].astype(np.int64)
    return Dataset(name=name, source=source, class_names=class_names, **fields)


def _scale(x):
    """Convert to float32 in [0, 1] with a channel axis. uint8 values are divided by 255."""
    x = x[..., None] if x.ndim == 3 else x
    return np.divide(x, np.float32(255), dtype=np.float32) if x.dtype == np.uint8 else x.astype(np.float32)


# ---- Finding and reading ----


def cache_folder():
    """Return the path of the folder for downloads and for the enlarged digits. The folder may not exist yet."""
    return Path(os.environ.get("AEUTILS_CACHE_DIR") or pooch.os_cache("aeutils"))


def _data_folders():
    """Folders where the user can put data, in search order, each with a label for messages."""
    own = os.environ.get("AEUTILS_DATA_DIR")
    return [*([("AEUTILS_DATA_DIR", Path(own))] if own else []), ("data/ of the repository", REPOSITORY_DATA)]


def _find_published(name):
    """Read a published data set from disk or from a mirror. Return its arrays and a text that names the source."""
    tried = []
    for label, folder in [*_data_folders(), ("the cache", cache_folder())]:
        for path in (folder / f"{name}.npz", folder / name):
            if not path.is_file() and not any((path / file).exists() for file in _IDX_FILES.values()):
                tried.append(f"{path}: not there")
                continue
            try:
                return _read_published(path, name), f"{path.name} from {label}"
            except DatasetError as error:
                tried.append(f"{path}: {error}")
                if not isinstance(error, _IncompleteError) or label != "the cache":
                    print(f"Not used: {path}: {error}")
    for mirror in _PUBLISHED[name].mirrors:
        try:
            return _read_published(_download(name, mirror), name), f"downloaded from {mirror}"
        except (OSError, ValueError) as error:  # OSError: no connection, timeout, full disk; ValueError: wrong hash
            tried.append(f"{mirror}: {_in_one_line(error)}")
    raise DatasetNotFoundError(
        f"{name} was found in none of these places:\n"
        + "\n".join(f"  - {line}" for line in tried)
        + f"\nConnect to the internet and run again, or put {name}.npz into data/ or into a folder that the environment"
        " variable AEUTILS_DATA_DIR names (data/README.md says where to find it); load_dataset('digits') needs neither."
    )


def _in_one_line(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:150]}{'...' if len(text) > 150 else ''}"


def _download(name, mirror):
    """Download the four files of a published data set into the cache. Correct files already there are kept."""
    folder = cache_folder() / name
    log = pooch.get_logger()
    level = log.level
    log.setLevel("ERROR")  # pooch logs every file to stderr; the progress bar is enough
    try:
        for key, file in _IDX_FILES.items():
            path = folder / file
            sha256 = _PUBLISHED[name].file_sha256[key]
            if path.exists() and pooch.file_hash(path) == sha256:
                continue
            bar, outcome = Progress(total=1, desc=file, unit="B", unit_scale=True), ""  # pooch sets the real total
            try:
                # pooch writes a temporary file, checks its hash, and then moves it to its final name.
                http = pooch.HTTPDownloader(progressbar=bar, timeout=DOWNLOAD_TIMEOUT)
                pooch.retrieve(mirror + file, f"sha256:{sha256}", fname=file, path=folder, downloader=http)
                outcome = f"{name}: downloaded {file}, {path.stat().st_size / 1e6:.1f} MB"
            finally:
                bar.finish(outcome)
    finally:
        log.setLevel(level)
    return folder


def _read_published(path, name):
    """Read a copy of a published data set in either format. Every array must equal the published array in every byte."""
    expected = _PUBLISHED[name].array_sha256
    arrays = _read_idx_folder(path) if path.is_dir() else _read_npz(path, set(expected))
    for key, sha256 in expected.items():
        array = arrays.get(key)
        if array is None:
            raise DatasetError(f"damaged: it has no array {key}")
        if hashlib.sha256(np.ascontiguousarray(array)).hexdigest() != sha256:
            raise DatasetError(
                f"damaged, or not {name}: {key} ({array.dtype}, shape {array.shape}) has another SHA-256 "
                "than the published array; to use a file of your own, give its path instead of the name"
            )
    return arrays


def _read_idx_folder(folder):
    arrays = {}
    for key, file in _IDX_FILES.items():
        path = folder / file
        if not path.exists():
            raise _IncompleteError(f"incomplete: {file} is missing")
        try:
            with gzip.open(path) as stream:
                _, _, code, rank = struct.unpack(">4B", stream.read(4))
                shape = struct.unpack(f">{rank}I", stream.read(4 * rank))
                body = stream.read()
        except (OSError, EOFError, struct.error, zlib.error) as error:
            raise DatasetError(f"damaged: {file} cannot be unpacked ({_in_one_line(error)})") from error
        if code != 8 or len(body) != math.prod(shape):
            raise DatasetError(f"damaged: {file} holds {len(body)} bytes where its header says {shape}")
        arrays[key] = np.frombuffer(body, np.uint8).reshape(shape)
    return arrays


def _read_npz(path, keys):
    """Read the arrays of a .npz file whose names are in `keys`. Missing arrays are left out; objects are never unpickled."""
    arrays = {}
    key = None
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DatasetError("it holds one bare array; expected a .npz archive, as numpy.savez_compressed writes it")
        with archive:
            for key in archive.files:
                if key in keys:
                    arrays[key] = archive[key]
    except DatasetError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        if key and "allow_pickle" in str(error):
            raise DatasetError(
                f"array {key!r} holds Python objects, which are never unpickled because a pickle can run any code; "
                "save plain numbers: numpy.savez_compressed(path, x_train=images) with one uint8 array of equal-sized images"
            ) from error
        reason = f" ({_in_one_line(error)})" if key else ""
        raise DatasetError(f"damaged or not a .npz archive{reason}; copy or download it again") from error
    return arrays


# ---- The user's own file ----


def _find_file(path):
    places = [path.expanduser()]
    if not path.is_absolute():
        places += [folder / path for _, folder in _data_folders()]
    for place in places:
        if place.is_file():
            return place
    tried = ", ".join(str(place.absolute()) for place in places)
    raise DatasetNotFoundError(f"no file {path}: expected the path of an existing .npz; tried {tried}")


def _read_own_file(path):
    try:
        arrays = _read_npz(path, {"x_train", "y_train", "x_test", "y_test", "class_names"})
        return _check_own_arrays(arrays)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error.__cause__


def _check_own_arrays(arrays):
    if "x_train" not in arrays:
        raise DatasetError("it has no array 'x_train'; expected x_train and, if there are any, y_train, x_test, y_test")
    if "y_test" in arrays and "x_test" not in arrays:
        raise DatasetError("it has y_test but no x_test; expected both or neither")
    for part in ("train", "test"):
        x, y = f"x_{part}", f"y_{part}"
        if x in arrays:
            arrays[x] = _check_images(x, arrays[x])
            if y in arrays:
                arrays[y] = _check_labels(y, arrays[y], len(arrays[x]))
    if len(arrays["x_train"]) < 3:
        raise DatasetError(f"x_train holds {len(arrays['x_train'])} images; expected at least 3, one for each part")
    if "x_test" in arrays:
        shapes = arrays["x_train"].shape[1:], arrays["x_test"].shape[1:]
        if shapes[0] != shapes[1]:
            raise DatasetError(f"images of x_train have shape {shapes[0]} but those of x_test {shapes[1]}; expected the same")
        if ("y_train" in arrays) != ("y_test" in arrays):
            raise DatasetError("labels are given for one part only; expected y_train and y_test, or neither")
    labels = [arrays[y] for y in ("y_train", "y_test") if y in arrays]
    n_classes = 1 + max(int(y.max()) for y in labels) if labels else 0
    names = tuple(str(name) for name in np.atleast_1d(arrays.get("class_names", range(n_classes))))
    if len(names) < n_classes:
        raise DatasetError(
            f"class_names holds {len(names)} names but the labels go up to {n_classes - 1}; expected {n_classes} names"
        )
    return arrays, names if labels else ()


def _check_images(key, x):
    if x.ndim == 2:
        raise DatasetError(
            f"{key} has shape {x.shape}: flattened images? "
            "expected (n, height, width) or (n, height, width, channels); reshape them"
        )
    if x.ndim not in (3, 4):
        raise DatasetError(f"{key} has shape {x.shape}; expected (n, height, width) or (n, height, width, channels)")
    if x.size == 0:
        raise DatasetError(f"{key} is empty (shape {x.shape}); expected at least one image")
    if x.ndim == 4 and x.shape[-1] not in (1, 3):
        hint = (
            "; its second axis looks like the channels: move it last with numpy.moveaxis(x, 1, -1)"
            if x.shape[1] in (1, 3)
            else ""
        )
        raise DatasetError(
            f"{key} has shape {x.shape}, so {x.shape[-1]} channels; expected 1 (grey) or 3 (RGB) in the last axis{hint}"
        )
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise DatasetError(f"{key} has dtype {x.dtype}; expected integers 0 to 255 or floats 0 to 1")
    is_float = np.issubdtype(x.dtype, np.floating)
    if is_float and not np.isfinite(x).all():
        bad = np.count_nonzero(~np.isfinite(x).all(axis=tuple(range(1, x.ndim))))
        raise DatasetError(
            f"{key} holds NaN or infinity in {bad} of {len(x)} images; expected finite values: remove or repair those images"
        )
    low, high = x.min(), x.max()
    if low < 0 or high > (1 if is_float else 255):
        wanted, hint = (
            ("floats from 0 to 1", "; divide by its largest possible value")
            if is_float
            else ("integers from 0 to 255", "; rescale it to uint8")
        )
        raise DatasetError(f"{key} ranges from {low} to {high}; expected {wanted}{hint}")
    if is_float or high <= 1:
        return x.astype(np.float32)
    return x.astype(np.uint8)


def _check_labels(key, y, n):
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        raise DatasetError(f"{key} has shape {y.shape}; expected ({n},), one label for each of the {n} images")
    if not np.issubdtype(y.dtype, np.integer):
        if not (np.issubdtype(y.dtype, np.floating) and np.all(y == np.floor(y))):
            raise DatasetError(
                f"{key} has dtype {y.dtype}; expected whole numbers counted from 0 (names can be given as class_names)"
            )
    if y.min() < 0:
        raise DatasetError(f"{key} holds the label {y.min()}; expected whole numbers counted from 0")
    return y.astype(np.int64)


# ---- The digits of scikit-learn ----

_DIGITS_COPIES = 8  # warped copies of each training digit, in addition to the digit itself
_DIGITS_FILE = "digits-1.npz"  # increase the number when _build_digits changes
_DIGITS_SHAPES = {"x": (1438, 1 + _DIGITS_COPIES, 28, 28), "y": (1438,), "x_test": (359, 28, 28), "y_test": (359,)}


def _load_digits(val_fraction, limit, rng):
    arrays = _cached_digits()
    # Split the original digits first, so that a warped copy is never in another split than its original.
    val, train = _split(len(arrays["x"]), val_fraction, rng)
    copies = arrays["x"].shape[1]
    parts = {
        "train": (
            arrays["x"].reshape(-1, 28, 28),
            np.repeat(arrays["y"], copies),
            rng.permutation((train[:, None] * copies + np.arange(copies)).ravel()),
        ),
        "val": (arrays["x"][:, 0], arrays["y"], val),
        "test": (arrays["x_test"], arrays["y_test"], np.arange(len(arrays["x_test"]))),
    }
    return _assemble("digits", "embedded: scikit-learn's handwritten digits, enlarged", parts, tuple("0123456789"), limit, rng)


def _cached_digits():
    path = cache_folder() / _DIGITS_FILE
    try:
        arrays = _read_npz(path, set(_DIGITS_SHAPES))
        if {key: array.shape for key, array in arrays.items()} == _DIGITS_SHAPES:
            return arrays
    except DatasetError:
        pass  # missing, or damaged: a .npz file contains a checksum of each array
    arrays = _build_digits()
    _save_in_cache(path, arrays)
    return arrays


def _build_digits(seed=0):
    """Enlarge scikit-learn's 8x8 digits to 28x28. One fifth is the test split; only the others get warped copies."""
    from scipy.ndimage import affine_transform
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(seed)
    small = load_digits()
    images, labels, identity = small.images / 16, small.target, np.eye(2)

    def draw(image, warp=identity, shift=(0.0, 0.0)):
        matrix = warp * 8 / 22  # the digit becomes 22 pixels high, centred in 28 pixels
        offset = 3.5 - matrix @ (13.5 + np.asarray(shift))
        grey = affine_transform(image, matrix, offset, (28, 28), order=3)
        # A contrast curve makes the edges of the strokes sharp. Without it, the enlarged images are smooth and lie near
        # a subspace of 64 dimensions, so PCA would be better here than on real 28x28 images.
        ink = np.clip((grey - 0.2) / 0.5, 0, 1)
        return np.round(255 * ink * ink * (3 - 2 * ink)).astype(np.uint8)

    def random_warp():
        angle = np.deg2rad(rng.uniform(-10, 10))
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return rotation @ np.array([[1, rng.uniform(-0.1, 0.1)], [0, 1]]) @ np.diag(rng.uniform(0.9, 1.1, 2))

    order = rng.permutation(len(images))
    test, rest = np.split(order, [len(order) // 5])
    x = [
        [draw(images[i]), *(draw(images[i], random_warp(), rng.uniform(-1.5, 1.5, 2)) for _ in range(_DIGITS_COPIES))]
        for i in rest
    ]
    return {"x": np.array(x), "y": labels[rest], "x_test": np.array([draw(images[i]) for i in test]), "y_test": labels[test]}


def _save_in_cache(path, arrays):
    """Write the file completely or not at all. If it cannot be written, the next load builds the arrays again."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as stream:
            temporary = Path(stream.name)
            np.savez_compressed(stream, **arrays)
        os.replace(temporary, path)
    except OSError:
        if temporary:
            temporary.unlink(missing_ok=True)
