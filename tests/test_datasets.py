import gzip
import hashlib
import http.server
import io
import struct
import threading
import time
import zipfile

import numpy as np
import pytest

from aeutils import Dataset, datasets, load_dataset
from aeutils.datasets import DatasetError, DatasetNotFoundError, find_label

from conftest import REPOSITORY

# ---- A small published set, so that the real search and download run without the real data ----


def _idx(array):
    return gzip.compress(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def tiny(folders, monkeypatch):
    """The set `tiny`: arrays, gzip files and a registered entry without mirrors."""
    rng = np.random.default_rng(1)
    arrays = {
        "x_train": rng.integers(0, 256, (30, 4, 4), dtype=np.uint8),
        "y_train": rng.integers(0, 3, 30, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (6, 4, 4), dtype=np.uint8),
        "y_test": rng.integers(0, 3, 6, dtype=np.uint8),
    }
    files = {datasets._IDX_FILES[key]: _idx(array) for key, array in arrays.items()}
    published = datasets._PublishedSet(
        mirrors=(),
        file_sha256={key: _sha256(files[file]) for key, file in datasets._IDX_FILES.items()},
        array_sha256={key: _sha256(array.tobytes()) for key, array in arrays.items()},
        class_names=("a", "b", "c"),
    )
    monkeypatch.setattr(datasets, "_PUBLISHED", {"tiny": published})
    monkeypatch.setattr(datasets, "NAMES", ("tiny", "digits"))
    return {"arrays": arrays, "files": files, "published": published, **folders}


def _set_mirrors(monkeypatch, tiny, *mirrors):
    changed = {**vars(tiny["published"]), "mirrors": mirrors}
    monkeypatch.setattr(datasets, "_PUBLISHED", {"tiny": datasets._PublishedSet(**changed)})


@pytest.fixture
def serve():
    """Start servers on 127.0.0.1 that answer from a dict of file name to bytes; count what they were asked for."""
    servers = []

    def start(files, delay=0.0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rsplit("/", 1)[-1]
                server.asked.append(name)
                time.sleep(delay)
                if name not in files:
                    self.send_error(404)
                    return
                body = files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except ConnectionError:
                    pass

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", server.asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _contains_all(message, *parts):
    missing = [part for part in parts if part not in str(message)]
    assert not missing, f"{missing} not in: {message}"


# ---- Places ----


def test_places_are_searched_in_order(tiny):
    for place, label in (("cache", "the cache"), ("repository", "data/ of the repository"), ("own", "AEUTILS_DATA_DIR")):
        np.savez_compressed(tiny[place] / "tiny.npz", **tiny["arrays"])
        assert load_dataset("tiny").source == f"tiny.npz from {label}"


def test_folder_of_published_files_is_read(tiny):
    (tiny["own"] / "tiny").mkdir()
    for file, body in tiny["files"].items():
        (tiny["own"] / "tiny" / file).write_bytes(body)
    data = load_dataset("tiny")
    assert np.array_equal(data.x_test[..., 0], tiny["arrays"]["x_test"] / np.float32(255))
    assert np.array_equal(data.y_test, tiny["arrays"]["y_test"])
    assert data.class_names == ("a", "b", "c")


def test_damaged_file_is_named_and_passed_over(tiny, capsys):
    wrong = {**tiny["arrays"], "x_train": tiny["arrays"]["x_train"].copy()}
    wrong["x_train"][0, 0, 0] ^= 1
    np.savez_compressed(tiny["own"] / "tiny.npz", **wrong)
    np.savez_compressed(tiny["repository"] / "tiny.npz", **tiny["arrays"])
    assert load_dataset("tiny").source == "tiny.npz from data/ of the repository"
    _contains_all(capsys.readouterr().out, str(tiny["own"] / "tiny.npz"), "x_train", "SHA-256")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "incomplete", "short body", "not a zip"])
def test_unsound_file_is_never_used(tiny, damage):
    path = tiny["own"] / "tiny.npz"
    np.savez(path, **tiny["arrays"])
    whole = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        at = whole.index(tiny["arrays"]["x_train"].tobytes()) + 5
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    elif damage == "not a zip":
        path.write_bytes(b"<html>please log in to this network</html>")
    else:
        path.unlink()
        (tiny["own"] / "tiny").mkdir()
        files = dict(tiny["files"])
        if damage == "incomplete":
            del files["t10k-labels-idx1-ubyte.gz"]
        else:
            body = gzip.decompress(files["train-images-idx3-ubyte.gz"])
            files["train-images-idx3-ubyte.gz"] = gzip.compress(body[:-7])
        for file, body in files.items():
            (tiny["own"] / "tiny" / file).write_bytes(body)
    with pytest.raises(DatasetNotFoundError) as error:
        load_dataset("tiny")
    _contains_all(error.value, str(tiny["own"] / "tiny"), ": incomplete: " if damage == "incomplete" else ": damaged")


def test_not_found_names_every_place_and_the_way_out(tiny, monkeypatch):
    _set_mirrors(monkeypatch, tiny, "http://127.0.0.1:9/")
    with pytest.raises(DatasetNotFoundError) as error:
        load_dataset("tiny")
    places = [str(tiny[place] / "tiny.npz") for place in ("own", "repository", "cache")]
    _contains_all(error.value, *places, "http://127.0.0.1:9/", "ConnectionError", "AEUTILS_DATA_DIR", "digits")


def test_fallback_says_so_in_one_line(tiny, monkeypatch, capsys):
    _set_mirrors(monkeypatch, tiny, "http://127.0.0.1:9/")
    data = load_dataset("tiny", fallback="digits", limit=50)
    printed = capsys.readouterr().out
    assert data.name == "digits" and len(data.x_train) == 50
    assert printed.count("\n") == 1
    _contains_all(printed, "tiny is not on this computer", "goes on with 'digits'", "tiny.npz", "data/")


# ---- Download ----


def test_download_is_kept_and_not_repeated(tiny, monkeypatch, serve):
    url, asked = serve(tiny["files"])
    _set_mirrors(monkeypatch, tiny, url)
    first = load_dataset("tiny")
    assert first.source == f"downloaded from {url}" and len(asked) == 4
    second = load_dataset("tiny")
    assert second.source == "tiny from the cache" and len(asked) == 4
    assert np.array_equal(first.x_train, second.x_train)
    assert sorted(path.name for path in (tiny["cache"] / "tiny").iterdir()) == sorted(tiny["files"])


def test_corrupted_download_is_refused_and_leaves_nothing(tiny, monkeypatch, serve):
    damaged = {file: body[:-1] + b"?" for file, body in tiny["files"].items()}
    url, _ = serve(damaged)
    _set_mirrors(monkeypatch, tiny, url)
    with pytest.raises(DatasetNotFoundError, match="hash of downloaded file"):
        load_dataset("tiny")
    assert not [path for path in (tiny["cache"] / "tiny").iterdir() if path.stat().st_size]


def test_second_mirror_mends_what_the_first_breaks_and_keeps_good_files(tiny, monkeypatch, serve):
    last = "t10k-labels-idx1-ubyte.gz"
    bad, _ = serve({**tiny["files"], last: b"broken"})
    good, asked = serve(tiny["files"])
    _set_mirrors(monkeypatch, tiny, bad, good)
    assert load_dataset("tiny").source == f"downloaded from {good}"
    assert asked == [last]


def test_interrupted_download_is_completed_without_a_word(tiny, monkeypatch, serve, capsys):
    (tiny["cache"] / "tiny").mkdir()
    (tiny["cache"] / "tiny" / "train-images-idx3-ubyte.gz").write_bytes(tiny["files"]["train-images-idx3-ubyte.gz"])
    url, asked = serve(tiny["files"])
    _set_mirrors(monkeypatch, tiny, url)
    assert len(load_dataset("tiny").x_test) == 6
    assert "train-images-idx3-ubyte.gz" not in asked and len(asked) == 3
    assert "Not used" not in capsys.readouterr().out


def test_damaged_cache_heals_itself(tiny, monkeypatch, serve, capsys):
    url, asked = serve(tiny["files"])
    _set_mirrors(monkeypatch, tiny, url)
    load_dataset("tiny")
    damaged = tiny["cache"] / "tiny" / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:20])
    del asked[:]
    load_dataset("tiny")
    assert asked == [damaged.name]
    _contains_all(capsys.readouterr().out, str(damaged.parent), damaged.name)


def test_silent_server_is_given_up(tiny, monkeypatch, serve):
    url, _ = serve(tiny["files"], delay=3)
    _set_mirrors(monkeypatch, tiny, url)
    monkeypatch.setattr(datasets, "DOWNLOAD_TIMEOUT", 0.2)
    start = time.perf_counter()
    with pytest.raises(DatasetNotFoundError, match="ReadTimeout"):
        load_dataset("tiny")
    assert time.perf_counter() - start < 2, "one time-out, not one for each file and not the server's delay"


def test_real_mirrors_and_hashes_are_complete():
    for name in ("mnist", "fashion_mnist"):
        published = datasets._PUBLISHED[name]
        assert len(published.mirrors) >= 2 and all(mirror.endswith("/") for mirror in published.mirrors)
        for hashes in (published.file_sha256, published.array_sha256):
            assert set(hashes) == set(datasets._IDX_FILES) and {len(value) for value in hashes.values()} == {64}
        assert len(published.class_names) == 10


def test_data_page_lists_the_same_mirrors_and_sums():
    page = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in page.partition("<!-- sums")[2].splitlines()
        if line.startswith("| `")
    ]
    assert rows == [
        [name, file, published.file_sha256[key], published.array_sha256[key]]
        for name, published in datasets._PUBLISHED.items()
        for key, file in datasets._IDX_FILES.items()
    ]
    _contains_all(page, *datasets._HEARTBEAT_MIRRORS, *datasets._HEARTBEAT_FILES, *datasets._HEARTBEAT_FILES.values())
    _contains_all(page, *(mirror for published in datasets._PUBLISHED.values() for mirror in published.mirrors))


# ---- Splits ----


def test_split_is_seeded_and_disjoint(folders):
    x = np.arange(100, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    path = folders["own"] / "hundred.npz"
    np.savez(path, x_train=x, x_test=x[:5])
    first, again, other = load_dataset(path), load_dataset(path), load_dataset(path, seed=1)
    assert len(first.x_train) == 90 and len(first.x_val) == 10
    together = np.concatenate([first.x_train, first.x_val])[:, 0, 0, 0]
    assert np.array_equal(np.sort(together), x[:, 0, 0] / np.float32(255))
    assert np.array_equal(first.x_val, again.x_val) and not np.array_equal(first.x_val, other.x_val)


def test_limit_draws_from_every_part(folders):
    y = np.repeat(np.arange(10), 30)  # sorted by class, as users' files often are
    x = (y[:, None, None] * np.ones((1, 2, 2))).astype(np.uint8)
    path = folders["own"] / "sorted.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    data = load_dataset(path, limit=20)
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (20, 20, 20)
    assert len(np.unique(data.y_train)) > 5 and len(np.unique(data.y_test)) > 5
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert np.array_equal(np.round(x[:, 0, 0, 0] * 255), y)
    assert len(load_dataset(path, limit=0).x_train) == 270


def test_digits_are_embedded_split_first_and_cached(folders):
    data = load_dataset("digits")
    assert (data.x_train.shape, data.x_val.shape, data.x_test.shape) == ((11646, 28, 28, 1), (144, 28, 28, 1), (359, 28, 28, 1))
    assert data.x_train.dtype == np.float32 and data.x_train.min() == 0 and data.x_train.max() == 1
    assert set(np.unique(data.y_test)) == set(range(10))
    built = folders["cache"] / "digits-1.npz"
    saved = built.stat().st_mtime_ns
    assert np.array_equal(load_dataset("digits").x_train, data.x_train) and built.stat().st_mtime_ns == saved
    built.write_bytes(built.read_bytes()[:1000])
    assert np.array_equal(load_dataset("digits").x_train, data.x_train), "a damaged cache is built again"


def test_no_warped_copy_crosses_the_split(folders):
    arrays = datasets._cached_digits()
    originals = {image.tobytes(): k for k, image in enumerate(arrays["x"][:, 0])}
    families = {image.tobytes(): k for k, family in enumerate(arrays["x"]) for image in family}
    data = load_dataset("digits")
    as_bytes = lambda x: [np.round(image[..., 0] * 255).astype(np.uint8).tobytes() for image in x]  # noqa: E731
    train = {families[key] for key in as_bytes(data.x_train)}
    val = {originals[key] for key in as_bytes(data.x_val)}
    assert len(train) == 1294 and len(val) == 144 and not train & val
    assert not set(as_bytes(data.x_test)) & set(families), "no test digit is a training digit or a copy of one"


def test_digits_work_where_the_cache_cannot_be_written(folders, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AEUTILS_CACHE_DIR", str(tmp_path / "file"))
    assert len(load_dataset("digits", limit=10).x_train) == 10


def test_dataset_is_frozen_and_prints_what_it_holds(folders):
    data = load_dataset("digits", limit=100)
    assert isinstance(data, Dataset)
    with pytest.raises(AttributeError):
        data.name = "other"
    _contains_all(
        repr(data), "digits", "(28, 28, 1)", "float32 from 0.00 to 1.00", "10 classes", "train 100 | validation 100 | test 100"
    )


# ---- The user's own files ----


def test_own_grey_file(folders, images):
    path = folders["own"] / "mine.npz"
    np.savez(
        path,
        x_train=images,
        y_train=np.arange(20) % 3,
        x_test=images[:4],
        y_test=np.zeros(4, int),
        class_names=["cat", "dog", "cow"],
    )
    data = load_dataset(str(path))
    assert data.name == "mine" and data.image_shape == (6, 5, 1) and data.class_names == ("cat", "dog", "cow")
    assert np.array_equal(data.x_test[..., 0], images[:4] / np.float32(255))
    assert data.y_train.dtype == np.int64 and len(data.y_train) == len(data.x_train) == 18


def test_own_colour_file_without_labels_or_test_part(folders):
    x = np.random.default_rng(0).random((60, 8, 9, 3))
    path = folders["own"] / "colour.npz"
    np.savez(path, x_train=x)
    data, other = load_dataset(path), load_dataset(path, seed=5)
    assert data.image_shape == (8, 9, 3) and data.y_train is data.y_val is data.y_test is None and data.class_names == ()
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (45, 5, 10)
    assert np.array_equal(data.x_test, other.x_test), "the test part does not move with the seed"
    assert "no labels" in repr(data)


@pytest.mark.parametrize(
    "stored, value",
    [
        (np.full((9, 2, 2), 51, np.int64), 0.2),
        (np.full((9, 2, 2), 0.25, np.float16), 0.25),
        (np.ones((9, 2, 2), bool), 1.0),
        (np.ones((9, 2, 2), np.uint8), 1.0),
    ],
)
def test_own_values_are_scaled(folders, stored, value):
    np.savez(folders["own"] / "values.npz", x_train=stored)
    assert np.allclose(load_dataset(folders["own"] / "values.npz").x_train, value)


def test_relative_path_is_found_in_the_data_folders(folders, images):
    np.savez(folders["repository"] / "mine.npz", x_train=images)
    assert load_dataset("mine.npz").name == "mine"


def _good(images):
    return {"x_train": images, "y_train": np.arange(20), "x_test": images[:5], "y_test": np.arange(5)}


BROKEN = {
    "no images": (lambda g: {"images": g["x_train"]}, ["no array 'x_train'", "expected x_train"]),
    "NaN": (
        lambda g: {"x_train": np.where(np.arange(20)[:, None, None] == 3, np.nan, g["x_train"] / 255.0)},
        ["x_train", "NaN", "1 of 20 examples"],
    ),
    "one pixel": (lambda g: {"x_train": g["x_train"][:, :1, :1]}, ["1x1 pixels", "at least 2x2", "reshape"]),
    "rank 1": (lambda g: {"x_train": np.arange(20)}, ["(20,)", "expected images, (n, height, width)", "rows, (n, length)"]),
    "rank 5": (lambda g: {"x_train": np.zeros((2, 2, 2, 2, 2))}, ["(2, 2, 2, 2, 2)", "expected images, (n, height, width)"]),
    "channels first": (lambda g: {"x_train": np.zeros((9, 3, 8, 8))}, ["(9, 3, 8, 8)", "channels", "moveaxis"]),
    "five channels": (lambda g: {"x_train": np.zeros((9, 8, 8, 5))}, ["5 channels", "expected 1 (grey) or 3 (RGB)"]),
    "labels too short": (lambda g: {**g, "y_train": np.arange(19)}, ["y_train", "(19,)", "expected (20,)"]),
    "one-hot labels": (lambda g: {**g, "y_train": np.eye(20)}, ["y_train", "(20, 20)", "argmax"]),
    "unknown word": (
        lambda g: {**g, "y_train": ["cat"] * 20, "y_test": ["dog"] * 5, "class_names": ["cat"]},
        ["labels dog", "class_names"],
    ),
    "four channels": (lambda g: {"x_train": np.zeros((9, 8, 8, 4))}, ["4 channels", "x[..., :3]"]),
    "labels as objects": (
        lambda g: {**g, "y_train": np.array(["a", 1] * 10, dtype=object)},
        ["y_train", "never unpickled", "dtype=str"],
    ),
    "unknown kind": (lambda g: {"x_train": np.zeros((9, 4)), "kind": "curve"}, ["'curve'", "'series'", "'table'"]),
    "labels of halves": (lambda g: {**g, "y_train": np.full(20, 0.5)}, ["y_train", "whole numbers"]),
    "labels of one part": (lambda g: {k: v for k, v in g.items() if k != "y_test"}, ["one part only"]),
    "labels without images": (lambda g: {"x_train": g["x_train"], "y_test": np.arange(5)}, ["y_test but no x_test"]),
    "too few names": (lambda g: {**g, "class_names": ["only one"]}, ["1 names", "20 different labels", "expected 20"]),
    "objects": (
        lambda g: {"x_train": np.array([g["x_train"][0], "x"], dtype=object)},
        ["x_train", "never unpickled", "savez_compressed"],
    ),
    "empty": (lambda g: {"x_train": g["x_train"][:0]}, ["x_train is empty", "at least one"]),
    "empty test": (lambda g: {**g, "x_test": g["x_train"][:0], "y_test": np.arange(0)}, ["x_test is empty"]),
    "too few": (lambda g: {"x_train": g["x_train"][:2]}, ["2 examples", "at least 3"]),
    "other test shape": (lambda g: {"x_train": g["x_train"], "x_test": g["x_train"][:, 1:]}, ["(6, 5)", "(5, 5)", "the same"]),
    "floats to 255": (lambda g: {"x_train": g["x_train"].astype(float)}, ["expected floats from 0 to 1", "x.astype('uint8')"]),
    "16 bit": (
        lambda g: {"x_train": g["x_train"].astype(np.uint16) * 256},
        ["expected integers from 0 to 255", "x / 65535 for 16 bits"],
    ),
    "minus one to one": (lambda g: {"x_train": g["x_train"] / 127.5 - 1}, ["ranges from -1 to 1", "(x + 1) / 2"]),
    "standardised": (lambda g: {"x_train": g["x_train"] / 50.0 - 2}, ["expected floats from 0 to 1", "x * deviation + mean"]),
    "signed bytes": (lambda g: {"x_train": g["x_train"].astype(np.int8)}, ["from -1", "signed", "x.astype('uint8')"]),
    "words": (lambda g: {"x_train": np.full((9, 2, 2), "a")}, ["dtype <U1", "expected integers 0 to 255"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_own_file_is_refused(folders, images, case):
    make, parts = BROKEN[case]
    path = folders["own"] / "broken.npz"
    np.savez(path, **make(_good(images)))
    with pytest.raises(DatasetError) as error:
        load_dataset(path, fallback="digits")
    _contains_all(error.value, str(path), *parts)


def test_truncated_own_file_is_refused(folders, images):
    path = folders["own"] / "cut.npz"
    np.savez(path, **_good(images))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DatasetError, match="damaged or not a .npz archive"):
        load_dataset(path)


def test_bare_array_is_refused(folders, images):
    buffer = io.BytesIO()
    np.save(buffer, images)
    (folders["own"] / "bare.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DatasetError, match="one bare array"):
        load_dataset(folders["own"] / "bare.npz")


def test_pickle_is_never_run(folders, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    np.savez(folders["own"] / "pickle.npz", x_train=np.array([Harmful()], dtype=object))
    with pytest.raises(DatasetError, match="never unpickled"):
        load_dataset(folders["own"] / "pickle.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "mnits"}, "unknown data set 'mnits': expected one of mnist, fashion_mnist, digits"),
        ({"name": "digits", "limit": -1}, "limit=-1: expected a whole number"),
        ({"name": "digits", "limit": True}, "limit=True: expected a whole number"),
        ({"name": "digits", "val_fraction": 1.0}, "val_fraction=1.0: expected a share between 0 and 1"),
        ({"name": "mnist", "fallback": "fashion_mnist"}, "only 'digits' never needs a network"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(**arguments)


def test_missing_own_file_names_where_it_looked(folders):
    with pytest.raises(DatasetNotFoundError) as error:
        load_dataset("nothing.npz", fallback="digits")
    _contains_all(error.value, "nothing.npz", str(folders["own"]), str(folders["repository"]))


# ---- Labels, rows, and what a notebook needs ----


def _save(folders, **arrays):
    path = folders["own"] / "mine.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "labels, given, names, first",
    [
        ([1, 2, 3, 1], None, ("1", "2", "3"), [0, 1, 2, 0]),
        ([0, 7, 100, 7], None, ("0", "7", "100"), [0, 1, 2, 1]),
        ([-1, 1, 1, -1], None, ("-1", "1"), [0, 1, 1, 0]),
        (["dog", "cat", "dog", "cow"], None, ("cat", "cow", "dog"), [2, 0, 2, 1]),
        (["dog", "cat", "dog", "cow"], ["dog", "cow", "cat", "owl"], ("dog", "cow", "cat", "owl"), [0, 2, 0, 1]),
        ([1, 2, 3, 1], ["a", "b", "c"], ("a", "b", "c"), [0, 1, 2, 0]),
        ([0, 2, 2, 0], ["a", "b", "c"], ("a", "b", "c"), [0, 2, 2, 0]),
        ([2.0, 1.0, 0.0, 1.0], None, ("0", "1", "2"), [2, 1, 0, 1]),
    ],
)
def test_labels_are_numbered_from_0(folders, images, labels, given, names, first):
    y = np.array(labels * 5)
    extra = {} if given is None else {"class_names": given}
    data = load_dataset(_save(folders, x_train=images, y_train=y, x_test=images[:4], y_test=y[:4], **extra))
    assert data.class_names == names and data.y_test.tolist() == first and data.y_test.dtype == np.int64


def test_black_and_white_test_images_beside_grey_ones_have_the_same_scale(folders, images):
    data = load_dataset(_save(folders, x_train=images, x_test=np.ones((3, 6, 5), np.uint8)))
    assert np.allclose(data.x_test, 1 / 255)


def test_rows_are_scaled_by_the_training_split(folders):
    x = np.random.default_rng(0).normal(5, [1, 100, 1], (200, 3))
    path = _save(folders, x_train=x, x_test=10 * x[:5])
    series = load_dataset(path)
    assert series.x_train.shape == (180, 3) and series.x_train.dtype == np.float32 and not series.has_images
    assert series.x_train.min() == 0 and series.x_train.max() == 1 and series.x_test.max() > 1
    assert np.ptp(series.x_train[:, 0]) < 0.05, "one scale for all columns"
    table = load_dataset(_save(folders, x_train=x, x_test=10 * x[:5], kind="table"))
    assert np.allclose(table.x_train.min(axis=0), 0) and np.allclose(table.x_train.max(axis=0), 1)
    _contains_all(repr(series), "rows of 3 values", "train 180")


def test_few_examples_are_said(folders, images):
    assert "Fewer than 500 training examples" in repr(load_dataset(_save(folders, x_train=images)))
    assert "Fewer" not in repr(load_dataset("digits"))


def test_what_a_notebook_needs_is_checked(folders, images):
    rows = _save(folders, x_train=np.random.default_rng(0).random((20, 49)))
    with pytest.raises(DatasetError, match=r"rows of 49 values.*flattened images, reshape them.*\(n, 7, 7\)"):
        load_dataset(rows, needs=("images",))
    assert load_dataset(rows).image_shape == (49,)
    path = _save(folders, x_train=images)
    with pytest.raises(DatasetError, match="has no labels; expected labels of two classes or more"):
        load_dataset(path, needs=("images", "labels"))
    with pytest.raises(DatasetError, match="images of 6x5 pixels; expected at least 8x8.*--size"):
        load_dataset(path, min_size=8)
    with pytest.raises(
        DatasetError, match=r"6x5x1 = 30 values; expected at most 16.*python -m aeutils import FOLDER out.npz --size 4"
    ):
        load_dataset(path, max_values=16)
    with pytest.raises(DatasetError, match=r"Keep every k-th value: x\[:, ::k\]"):
        load_dataset(_save(folders, x_train=np.zeros((20, 49))), max_values=16)
    path = _save(folders, x_train=images, y_train=["cat"] * 20)
    with pytest.raises(DatasetError, match=r"one class only \(cat\)"):
        load_dataset(path, needs=("labels",))
    with pytest.raises(ValueError, match="expected 'images', 'labels' or both, not pictures"):
        load_dataset("digits", needs=("pictures",))


def test_a_class_is_found_by_name_or_number(folders, images):
    data = load_dataset(_save(folders, x_train=images, y_train=["cat", "dog"] * 10))
    assert find_label(data, "dog") == find_label(data, 1) == 1
    with pytest.raises(DatasetError, match=r"no class '3' in mine.npz; expected one of cat \(\d+\), dog \(\d+\)"):
        find_label(data, "3")
    with pytest.raises(
        DatasetError, match=r"class 'dog' of mine.npz has \d training examples, fewer than 50; expected one of the"
    ):
        find_label(data, "dog", min_examples=50)
    with pytest.raises(DatasetError, match="no class 3"):
        find_label(data, 3)
    assert find_label(load_dataset("digits", limit=100), "7") == find_label(load_dataset("digits", limit=100), 7) == 7
    with pytest.raises(DatasetError, match="no class 'cat' in digits; expected one of 0"):
        find_label(load_dataset("digits", limit=100), "cat")
    with pytest.raises(DatasetError, match="mine.npz has no labels"):
        find_label(load_dataset(_save(folders, x_train=images)), "cat")


# ---- ECG5000 ----


@pytest.fixture
def heartbeats(monkeypatch):
    """Fifty made-up heartbeats of four values in the two files of ECG5000, with their checksums."""
    rng = np.random.default_rng(0)
    contents = {}
    for file, n in (("ECG5000_TRAIN.txt", 20), ("ECG5000_TEST.txt", 30)):
        lines = [f"  {1 + k % 5}.0e+00 " + " ".join(f"{value:.4e}" for value in rng.normal(size=4)) for k in range(n)]
        contents[file] = "\n".join(lines).encode()
    sums = {file: hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() for file, content in contents.items()}
    monkeypatch.setattr(datasets, "_HEARTBEAT_FILES", sums)
    monkeypatch.setattr(datasets, "_HEARTBEAT_MIRRORS", ("http://127.0.0.1:9/ECG5000.zip",))
    return contents


def _zip(contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, content in contents.items():
            archive.writestr(f"ECG5000/{file}", content)
    return buffer.getvalue()


def test_heartbeats_are_read_from_a_folder(folders, heartbeats):
    (folders["own"] / "ecg5000").mkdir()
    for file, content in heartbeats.items():
        (folders["own"] / "ecg5000" / file).write_bytes(content)
    data = load_dataset("ecg5000")
    assert data.image_shape == (4,) and data.is_published and data.class_names == datasets.HEARTBEATS
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (36, 4, 10)
    assert find_label(data, "normal") == 0 and data.y_train.min() == 0 and data.y_train.max() == 4
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    assert data.source == "ecg5000 from AEUTILS_DATA_DIR"


def test_heartbeats_are_downloaded_checked_and_kept(folders, heartbeats, monkeypatch, serve):
    url, requested = serve({"ECG5000.zip": _zip(heartbeats)})
    monkeypatch.setattr(datasets, "_HEARTBEAT_MIRRORS", (url + "ECG5000.zip",))
    first = load_dataset("ecg5000")
    assert first.source.startswith("downloaded from") and len(requested) == 1
    again = load_dataset("ecg5000")
    assert again.source == "ecg5000 from the cache" and len(requested) == 1
    assert np.array_equal(first.x_test, again.x_test)


def test_damaged_heartbeats_are_refused(folders, heartbeats, monkeypatch, serve, capsys):
    damaged = {file: content.replace(b"1", b"2", 1) for file, content in heartbeats.items()}
    (folders["own"] / "ecg5000").mkdir()
    for file, content in damaged.items():
        (folders["own"] / "ecg5000" / file).write_bytes(content)
    url, _ = serve({"ECG5000.zip": _zip(damaged), "other.zip": b"no archive"})
    monkeypatch.setattr(datasets, "_HEARTBEAT_MIRRORS", (url + "ECG5000.zip", url + "other.zip"))
    with pytest.raises(DatasetNotFoundError) as error:
        load_dataset("ecg5000")
    _contains_all(error.value, "damaged, or not ECG5000: ECG5000_TRAIN.txt", "BadZipFile", "data/ecg5000/")
    assert "Not used:" in capsys.readouterr().out
    assert not list(folders["cache"].rglob("*.txt"))
