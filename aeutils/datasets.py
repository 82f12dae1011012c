"""Load data sets of images or rows: find or download them, verify them, split them and scale them."""

import gzip
import hashlib
import io
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
from aeutils.files import replacing
from aeutils.progress import Progress

REPOSITORY_DATA = Path(__file__).resolve().parent.parent / "data"
FEW = 500  # training examples; with fewer, the printed summary warns
DOWNLOAD_TIMEOUT = 10  # seconds without an answer before the next mirror is tried


class DatasetError(UserError, ValueError):
    """The data was found but cannot be used. The message names the file and the problem."""


class _IncompleteError(DatasetError):
    """Files are missing, for example after an interrupted download. The next download adds them."""


class DatasetNotFoundError(UserError, FileNotFoundError):
    """The data is not on disk and could not be downloaded. The message names every place that was tried."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images or rows in three splits (training, validation and test), ready to train on.

    Attributes
    ----------
    name : str
        ``mnist``, ``fashion_mnist``, ``digits``, or the file name of the user's own file without its extension.
    source : str
        Where the data came from, for example ``mnist.npz from the cache``.
    x_train, x_val, x_test : numpy.ndarray
        float32. Images: shape (n, height, width, channels), values in [0, 1]; 1 channel (grey) or 3 channels (RGB).
        Rows: shape (n, length), scaled so that the training split goes from 0 to 1; other splits may leave this range.
    y_train, y_val, y_test : numpy.ndarray or None
        int64, shape (n,), counted from 0; None if the file has no labels.
    class_names : tuple of str
        Names of the labels 0, 1, ...; empty if there are no labels.
    is_published : bool
        Whether it is a data set that the package knows by name; False for a file of the user's own.
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
    is_published: bool = True

    @property
    def image_shape(self):
        """(height, width, channels) of one image, or (length,) of one row."""
        return self.x_train.shape[1:]

    @property
    def has_images(self):
        """True for images, False for rows."""
        return self.x_train.ndim == 4

    def __repr__(self):
        low = min(float(x.min()) for x in (self.x_train, self.x_val, self.x_test))
        high = max(float(x.max()) for x in (self.x_train, self.x_val, self.x_test))
        classes = f"{len(self.class_names)} classes" if self.class_names else "no labels"
        kind = f"images {self.image_shape}" if self.has_images else f"rows of {self.image_shape[0]} values"
        text = (
            f"{self.name} ({self.source})\n"
            f"{kind}, {self.x_train.dtype} from {low:.2f} to {high:.2f}; {classes}\n"
            f"train {len(self.x_train):,} | validation {len(self.x_val):,} | test {len(self.x_test):,}"
        )
        if len(self.x_train) < FEW:
            text += f"\nFewer than {FEW} training examples: figures depend much on chance. Compare several seeds."
        return text


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

NAMES = (*_PUBLISHED, "digits", "ecg5000")


def load_dataset(name, *, fallback=None, limit=None, val_fraction=0.1, seed=0, needs=(), min_size=1, max_values=None):
    """Load a data set and hold out part of the training examples for validation.

    ``"mnist"``, ``"fashion_mnist"`` and ``"ecg5000"`` are searched in three folders, in this order: the folder named by the
    environment variable ``AEUTILS_DATA_DIR``, the folder ``data/`` of the repository, and the user's cache (the
    environment variable ``AEUTILS_CACHE_DIR`` sets another folder for the cache). If they are in none of these
    folders, they are downloaded into the cache. In each folder, a data set is either a file ``NAME.npz`` or a folder
    ``NAME`` with the published files (four ``.gz`` files of images; ``ECG5000_TRAIN.txt`` and ``ECG5000_TEST.txt``). Every
    copy is checked by its checksums. A damaged copy is reported and not used.

    Parameters
    ----------
    name : str or path
        ``"mnist"``, ``"fashion_mnist"``, ``"digits"`` (made from scikit-learn's digits, so it never needs a network),
        ``"ecg5000"`` (5,000 heartbeats of 140 values, one fifth of them for the test),
        or the path of a ``.npz`` file (``python -m aeutils import`` makes one from a folder of pictures or a table). The
        file must contain ``x_train`` and can contain ``y_train``, ``x_test``, ``y_test``, ``class_names`` and ``kind``.
        Images have shape (n, height, width) or (n, height, width, 1 or 3) and are integers from 0 to 255 or floats from
        0 to 1. Integers are divided by 255, unless all of them, in both parts, are 0 or 1. Rows have shape (n, length)
        and any finite values. Their range in the training split is scaled to 0 to 1: one range for all values if
        ``kind`` is "series" (the default), one for each column if it is "table". Labels are whole numbers or texts; they
        are numbered from 0 in their order. A relative path is also searched in the folders ``AEUTILS_DATA_DIR`` and
        ``data/``. If the file has no test examples, one sixth becomes the test split; this choice does not depend on
        `seed`.
    fallback : str, optional
        ``"digits"``: if a published data set cannot be found or downloaded, print one line and load the digits
        instead of raising an error.
    limit : int, optional
        Maximum number of images in each split, drawn at random; None or 0 means all.
    val_fraction : float
        Fraction of the training images that goes to the validation split, above 0 and below 1.
    seed : int
        Seed of the validation split and of the examples chosen by `limit`.
    needs : sequence of str
        What the caller cannot do without: ``"images"`` (not rows), ``"labels"`` (of two classes or more).
    min_size : int
        Smallest height and width of images, in pixels.
    max_values : int, optional
        Largest number of values of one example (height times width times channels).

    Returns
    -------
    Dataset
        float32; the training examples are in random order.

    Raises
    ------
    DatasetNotFoundError
        The data was not found and there is no `fallback`. The message names every place that was tried.
    DatasetError
        The user's file cannot be used (unreadable, missing keys, NaN, wrong number of axes, wrong number of labels, not
        what `needs`, `min_size` or `max_values` ask for, ...), or there is no data set of this name.
    ValueError
        An argument is out of range.

    References
    ----------
    LeCun, Cortes, Burges: The MNIST database of handwritten digits. Xiao, Rasul, Vollgraf 2017,
    arXiv:1708.07747 (Fashion-MNIST). Alpaydin, Kaynak 1998, UCI Optical Recognition of Handwritten Digits. Chen, Hao,
    Rakthanmanon, Zakaria, Hu, Keogh 2015, Data Mining and Knowledge Discovery 29 (ECG5000); Goldberger et al. 2000,
    Circulation 101 (PhysioNet, its source).

    Examples
    --------
    >>> data = load_dataset("digits", limit=100)
    >>> data.x_train.shape
    (100, 28, 28, 1)
    """
    _check_arguments(name, fallback, limit, val_fraction)
    data = _load(name, fallback, limit, val_fraction, seed)
    _check_needs(data, needs, min_size, max_values)
    return data


def _load(name, fallback, limit, val_fraction, seed):
    rng = np.random.default_rng(seed)
    kind, is_published = "series", name in NAMES
    if name == "digits":
        return _load_digits(val_fraction, limit, rng)
    if name in NAMES:
        try:
            arrays, source = _find_heartbeats() if name == "ecg5000" else _find_published(name)
        except DatasetNotFoundError:
            if fallback is None:
                raise
            print(
                f"{name} is not on this computer and could not be downloaded, so this goes on with '{fallback}'. "
                f"To get it: run again with internet, or put {name}.npz into data/ (data/README.md says where to find it)."
            )
            return load_dataset(fallback, limit=limit, val_fraction=val_fraction, seed=seed)
        class_names = HEARTBEATS if name == "ecg5000" else _PUBLISHED[name].class_names
    else:
        path = _find_file(Path(name))
        arrays, class_names, kind = _read_own_file(path)
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
    return _assemble(name, source, parts, class_names, limit, rng, kind, is_published)


def _check_needs(data, needs, min_size, max_values):
    if unknown := set(needs) - {"images", "labels"}:
        raise ValueError(f"needs={needs!r}: expected 'images', 'labels' or both, not {', '.join(sorted(unknown))}")
    if "images" in needs and not data.has_images:
        (length,) = data.image_shape
        side = math.isqrt(length)
        hint = f" If these are flattened images, reshape them, for example to (n, {side}, {side})." if side**2 == length else ""
        raise DatasetError(
            f"{data.source} holds rows of {length} values; expected images of shape (n, height, width), because this "
            f"notebook works with neighbouring pixels.{hint} docs/own_data.md says which notebooks take rows."
        )
    if data.has_images and min(data.image_shape[:2]) < min_size:
        raise DatasetError(
            f"{data.source} holds images of {data.image_shape[0]}x{data.image_shape[1]} pixels; expected at least "
            f"{min_size}x{min_size}. Make them anew from larger pictures: python -m aeutils import FOLDER out.npz --size 32"
        )
    if max_values and math.prod(data.image_shape) > max_values:
        sizes = "x".join(map(str, data.image_shape))
        side = math.isqrt(max_values // (data.image_shape[-1] if data.has_images else 1))
        wanted = 2 ** min(6, math.floor(math.log2(side)))
        raise DatasetError(
            f"{data.source} holds examples of {sizes} = {math.prod(data.image_shape):,} values; expected at most {max_values:,}, because "
            "the networks of this notebook would take hours and much memory. "
            + (
                f"Make the images smaller: python -m aeutils import FOLDER out.npz --size {wanted}"
                if data.has_images
                else "Keep every k-th value: x[:, ::k]"
            )
        )
    if "labels" in needs:
        n_classes = 0 if data.y_train is None else len(np.unique(data.y_train))
        if n_classes < 2:
            came = "no labels" if n_classes == 0 else f"one class only ({data.class_names[data.y_train[0]]})"
            raise DatasetError(
                f"{data.source} has {came}; expected labels of two classes or more, y_train and y_test. "
                "python -m aeutils import makes them from sub-folders, or from a column of a table (--label)"
            )


def find_label(data, name, min_examples=1):
    """The label of a class, from its name or number.

    Parameters
    ----------
    data : Dataset
    name : str or int
        One of ``data.class_names``, or a label that occurs; for a data set of the package also its number as text.
    min_examples : int
        Smallest number of training examples of the class.

    Returns
    -------
    int

    Raises
    ------
    DatasetError
        No training example has this class, or too few have; the message lists the classes that exist, with their numbers of
        examples.

    Examples
    --------
    >>> find_label(load_dataset("digits", limit=100), "3")
    3
    """
    if data.y_train is None:
        raise DatasetError(f"{data.source} has no labels; expected labels, one of which is {name!r}")
    labels, counts = np.unique(data.y_train, return_counts=True)
    names = [data.class_names[label] for label in labels]
    if str(name) in names:
        place = names.index(str(name))
    else:
        is_number = not isinstance(name, str) or data.is_published
        place = next((k for k, label in enumerate(labels) if is_number and str(label) == str(name)), None)
    if place is not None and counts[place] >= min_examples:
        return int(labels[place])
    whole = data.name if data.is_published else data.source
    came = f"there is no class {name!r} in {whole}"
    if place is not None:
        came = f"class {names[place]!r} of {whole} has {counts[place]} training examples, fewer than {min_examples}"
    fitting = [f"{known} ({count:,})" for known, count in zip(names, counts) if count >= min_examples]
    more = f" and {len(fitting) - 20} more" if len(fitting) > 20 else ""
    raise DatasetError(f"{came}; expected one of {', '.join(fitting[:20]) or 'the classes of larger data'}{more}")


def _check_arguments(name, fallback, limit, val_fraction):
    if isinstance(name, str) and name not in NAMES and not _looks_like_path(name):
        raise DatasetError(f"unknown data set {name!r}: expected one of {', '.join(NAMES)}, or the path of a .npz file")
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


def _assemble(name, source, parts, class_names, limit, rng, kind="series", is_published=True):
    fields = {}
    for part, (x, y, index) in parts.items():
        if limit and len(index) > limit:
            index = np.sort(rng.choice(index, limit, replace=False)) if part == "test" else index[:limit]
        fields[f"x_{part}"] = _scale(x[index])
        fields[f"y_{part}"] = None if y is None else y[index].astype(np.int64)
    if fields["x_train"].ndim == 2:
        low, high = (f(fields["x_train"], axis=0 if kind == "table" else None) for f in (np.min, np.max))
        extent = np.where(high > low, high - low, 1)
        for part in parts:
            fields[f"x_{part}"] = ((fields[f"x_{part}"] - low) / extent).astype(np.float32)
    return Dataset(name=name, source=source, class_names=class_names, is_published=is_published, **fields)


def _scale(x):
    """Convert to float32; images to [0, 1] with a channel axis. uint8 values are divided by 255."""
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
    raise _not_found(name, tried, f"put {name}.npz into data/ or into a folder")


def _not_found(name, tried, put):
    return DatasetNotFoundError(
        f"{name} was found in none of these places:\n"
        + "\n".join(f"  - {line}" for line in tried)
        + f"\nConnect to the internet and run again, or {put} that the environment"
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
                + (
                    "save plain numbers: numpy.savez_compressed(path, x_train=images) with one uint8 array of equal-sized images"
                    if key.startswith("x")
                    else f"save plain numbers or texts: {key}=numpy.array(values, dtype=str)"
                )
            ) from error
        reason = f" ({_in_one_line(error)})" if key else ""
        raise DatasetError(f"damaged or not a .npz archive{reason}; copy or download it again") from error
    return arrays


# ---- ECG5000: heartbeats of one patient, from the UCR archive ----

HEARTBEATS = ("normal", "R-on-T premature ventricular", "premature ventricular", "supraventricular or ectopic", "unclassified")
_HEARTBEAT_MIRRORS = (
    "https://www.timeseriesclassification.com/aeon-toolkit/ECG5000.zip",
    "https://www.timeseriesclassification.com/Downloads/ECG5000.zip",
)
_HEARTBEAT_FILES = {  # as `git hash-object FILE` prints it: SHA-1 over a header with the length, and the content
    "ECG5000_TRAIN.txt": "7f0d711c984c79616e09a430dbd2c5d89fed2416",
    "ECG5000_TEST.txt": "305ae1c597012624060310dbc529484767b2b2e3",
}


def _find_heartbeats():
    """Read ECG5000 from disk or from a mirror: its two parts together, one fifth of the rows for the test."""
    tried = []
    for label, folder in [*_data_folders(), ("the cache", cache_folder())]:
        path = folder / "ecg5000"
        if not any((path / file).exists() for file in _HEARTBEAT_FILES):
            tried.append(f"{path}: not there")
            continue
        try:
            return _read_heartbeats({file: (path / file).read_bytes() for file in _HEARTBEAT_FILES}), f"ecg5000 from {label}"
        except (DatasetError, OSError) as error:
            tried.append(f"{path}: {error}")
            print(f"Not used: {path}: {error}")
    for mirror in _HEARTBEAT_MIRRORS:
        try:
            return _download_heartbeats(mirror), f"downloaded from {mirror}"
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            tried.append(f"{mirror}: {_in_one_line(error)}")
    put = "put ECG5000_TRAIN.txt and ECG5000_TEST.txt into data/ecg5000/ or into a folder ecg5000 inside of the one"
    raise _not_found("ecg5000", tried, put)


def _download_heartbeats(mirror):
    """Download the archive, check the two files in it, and keep these in the cache."""
    log = pooch.get_logger()
    level = log.level
    log.setLevel("ERROR")
    bar, outcome = Progress(total=1, desc="ECG5000.zip", unit="B", unit_scale=True), ""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            http = pooch.HTTPDownloader(progressbar=bar, timeout=DOWNLOAD_TIMEOUT)
            path = pooch.retrieve(mirror, None, fname="ECG5000.zip", path=scratch, downloader=http)
            outcome = f"ecg5000: downloaded ECG5000.zip, {Path(path).stat().st_size / 1e6:.1f} MB"
            with zipfile.ZipFile(path) as archive:
                members = {Path(member).name: member for member in archive.namelist()}
                contents = {file: archive.read(members[file]) for file in _HEARTBEAT_FILES}
    finally:
        log.setLevel(level)
        bar.finish(outcome)
    arrays = _read_heartbeats(contents)
    try:
        for file, content in contents.items():
            path = cache_folder() / "ecg5000" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_bytes(content)
    except OSError:
        pass  # the next load downloads it again
    return arrays


def _read_heartbeats(contents):
    for file, content in contents.items():
        if hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != _HEARTBEAT_FILES[file]:
            raise DatasetError(
                f"damaged, or not ECG5000: {file} ({len(content):,} bytes) has another checksum than the published file"
            )
    rows = np.concatenate([np.loadtxt(io.BytesIO(content), ndmin=2) for content in contents.values()])
    test, rest = np.split(np.random.default_rng(0).permutation(len(rows)), [len(rows) // 5])
    x, y = rows[:, 1:].astype(np.float32), rows[:, 0].astype(np.int64) - 1
    return {"x_train": x[rest], "y_train": y[rest], "x_test": x[test], "y_test": y[test]}


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
        arrays = _read_npz(path, {"x_train", "y_train", "x_test", "y_test", "class_names", "kind"})
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
            arrays[x] = _check_values(x, arrays[x])
            if y in arrays:
                arrays[y] = _check_label_shape(y, arrays[y], len(arrays[x]))
    if len(arrays["x_train"]) < 3:
        raise DatasetError(f"x_train holds {len(arrays['x_train'])} examples; expected at least 3, one for each part")
    if "x_test" in arrays:
        shapes = arrays["x_train"].shape[1:], arrays["x_test"].shape[1:]
        if shapes[0] != shapes[1]:
            raise DatasetError(f"examples of x_train have shape {shapes[0]} but those of x_test {shapes[1]}; expected the same")
        if ("y_train" in arrays) != ("y_test" in arrays):
            raise DatasetError("labels are given for one part only; expected y_train and y_test, or neither")
    parts = [x for x in ("x_train", "x_test") if x in arrays]
    if arrays["x_train"].ndim > 2 and all(arrays[x].dtype != np.uint8 or arrays[x].max() <= 1 for x in parts):
        for x in parts:  # floats, or black and white as 0 and 1
            arrays[x] = arrays[x].astype(np.float32)
    kind = str(arrays.get("kind", "series"))
    if kind not in ("series", "table"):
        raise DatasetError(f"kind is {kind!r}; expected 'series' (one unit for all values) or 'table' (a unit for each column)")
    keys = [y for y in ("y_train", "y_test") if y in arrays]
    if not keys:
        return arrays, (), kind
    names = None if "class_names" not in arrays else [str(name) for name in np.atleast_1d(arrays["class_names"])]
    labels, names = _number_labels(np.concatenate([arrays[y] for y in keys]), names)
    arrays |= dict(zip(keys, np.split(labels, [len(arrays["x_train"])])))
    return arrays, names, kind


def _check_values(key, x):
    if x.ndim not in (2, 3, 4):
        raise DatasetError(
            f"{key} has shape {x.shape}; expected images, (n, height, width) or (n, height, width, channels), or rows, (n, length)"
        )
    if x.size == 0:
        raise DatasetError(f"{key} is empty (shape {x.shape}); expected at least one example")
    if x.ndim == 4 and x.shape[-1] not in (1, 3):
        hint = "; leave the transparency out: x[..., :3]" if x.shape[-1] == 4 else ""
        if x.shape[1] in (1, 3):
            hint = "; its second axis looks like the channels: move it last with numpy.moveaxis(x, 1, -1)"
        raise DatasetError(
            f"{key} has shape {x.shape}, so {x.shape[-1]} channels; expected 1 (grey) or 3 (RGB) in the last axis{hint}"
        )
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        wanted = "integers 0 to 255 or floats 0 to 1" if x.ndim > 2 else "numbers"
        raise DatasetError(f"{key} has dtype {x.dtype}; expected {wanted}")
    is_float = np.issubdtype(x.dtype, np.floating)
    if is_float and not np.isfinite(x).all():
        bad = np.count_nonzero(~np.isfinite(x).all(axis=tuple(range(1, x.ndim))))
        raise DatasetError(
            f"{key} holds NaN or infinity in {bad} of {len(x)} examples; expected finite values: remove or repair those examples"
        )
    low, high = x.min(), x.max()
    if x.ndim == 2:
        return x.astype(np.float32)
    if min(x.shape[1:3]) < 2:
        raise DatasetError(
            f"{key} holds images of {x.shape[1]}x{x.shape[2]} pixels; expected at least 2x2. For rows of values, leave out the "
            "axes of length 1: x.reshape(len(x), -1)"
        )
    if low < 0 or high > (1 if is_float else 255):
        wanted = "floats from 0 to 1" if is_float else "integers from 0 to 255"
        raise DatasetError(f"{key} ranges from {low:g} to {high:g}; expected {wanted}; {_suggest_range(low, high, is_float)}")
    return x.astype(np.float32 if is_float else np.uint8)


def _suggest_range(low, high, is_float):
    if low >= 0:
        return (
            "for values up to 255, save them as integers: x.astype('uint8'); otherwise divide by the largest possible value"
            if is_float and high <= 255
            else f"divide by the largest possible value, for example x / {2 ** math.ceil(math.log2(float(high) + 1)) - 1} for "
            f"{math.ceil(math.log2(float(high) + 1))} bits"
            if not is_float
            else "divide by the largest possible value"
        )
    if low >= -1 and high <= 1:
        return "if -1 is black and 1 is white: (x + 1) / 2"
    if low >= -128 and high <= 127 and not is_float:
        return "if the bytes were read as signed numbers: x.astype('uint8'), without another change"
    return "if they were standardised, undo that: x * deviation + mean; otherwise (x - x.min()) / (x.max() - x.min())"


def _check_label_shape(key, y, n):
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        hint = "; for one-hot labels, take y.argmax(axis=1)" if y.ndim == 2 and len(y) == n else ""
        raise DatasetError(f"{key} has shape {y.shape}; expected ({n},), one label for each of the {n} examples{hint}")
    if y.dtype.kind in "US":
        return y.astype(str)
    if y.dtype.kind in "iub":
        return y.astype(np.int64)
    if y.dtype.kind == "f" and np.all(y == np.floor(y)):
        return y.astype(np.int64)
    raise DatasetError(
        f"{key} has dtype {y.dtype}, not whole numbers; expected a class for each example, as a whole number or a text"
    )


def _number_labels(y, names):
    """Number the labels from 0. Return them with the names of the classes."""
    known, numbered = np.unique(y, return_inverse=True)
    if names is None:
        if y.dtype.kind != "U" and known[0] >= 0 and known[-1] < len(known):  # 0, 1, 2, ...
            return y, tuple(map(str, known))
        return numbered, tuple(map(str, known))  # in the order of the values
    if y.dtype.kind == "U":
        if unknown := sorted(set(known) - set(names)):
            raise DatasetError(
                f"labels {', '.join(unknown[:5])} are not in class_names; expected some of {', '.join(names[:20])}"
            )
        return np.array([names.index(name) for name in known])[numbered], tuple(names)
    if known[0] >= 0 and known[-1] < len(names):
        return y, tuple(names)
    if len(names) == len(known):
        return numbered, tuple(names)
    raise DatasetError(
        f"class_names holds {len(names)} names, but there are {len(known)} different labels from {known[0]} to {known[-1]}; "
        f"expected {len(known)} names, or labels from 0 to {len(names) - 1}"
    )


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
