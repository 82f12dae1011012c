import os

import numpy as np
import pytest
from PIL import Image

from aeutils import imports, load_dataset
from aeutils.__main__ import main
from aeutils.imports import DataImportError, describe, import_folder, import_table


def _contains_all(message, *parts):
    missing = [part for part in parts if part not in str(message)]
    assert not missing, f"{missing} not in: {message}"


def _read(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _find(result, name):
    """The stored example with this name."""
    arrays = _read(result.path)
    (found,) = [arrays[f"x_{part}"][names.index(name)] for part, names in result.names.items() if name in names]
    return found


def _fill(folder, n=5, size=8, first=0):
    """Write different grey PNGs of one value each: `first`, `first` + 1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(first, first + n):
        Image.new("L", (size, size), k).save(folder / f"p{k:03}.png")
    return folder


@pytest.fixture
def classes(tmp_path):
    """A folder with two classes of ten pictures: cat 0 to 9, dog 100 to 109."""
    _fill(tmp_path / "photos" / "cat", 10)
    _fill(tmp_path / "photos" / "dog", 10, first=100)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "mine.npz"


def _import_picture(tmp_path, name, save, size=8, **options):
    """Import one picture with some others; return its array."""
    folder = _fill(tmp_path / "photos")
    save(folder / name)
    return _find(import_folder(folder, tmp_path / "mine.npz", size, force=True, **options), name)


# ---- One picture ----


def _save_palette(path):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(1, (4, 0, 8, 8))
    picture.save(path, transparency=0)


def _save_two_frames(path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


KINDS = {
    "grey.png": (lambda path: Image.new("L", (8, 8), 77).save(path), (77, 77, 77)),
    "bits.png": (lambda path: Image.new("1", (8, 8), 1).save(path), (255, 255, 255)),
    "sixteen.png": (lambda path: Image.fromarray(np.full((8, 8), 257 * 100, np.uint16)).save(path), (100, 100, 100)),
    "sixteen.tif": (lambda path: Image.fromarray(np.full((8, 8), 257 * 200, np.uint16)).save(path), (200, 200, 200)),
    "sixteen.pgm": (lambda path: path.write_bytes(b"P5 8 8 65535\n" + bytes([50, 50]) * 64), (50, 50, 50)),
    "float.tif": (lambda path: Image.fromarray(np.full((8, 8), 0.2, np.float32)).save(path), (51, 51, 51)),
    "inks.tif": (lambda path: Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path), (255, 0, 0)),
    "inks.jpg": (lambda path: Image.new("CMYK", (8, 8), (0, 0, 0, 55)).save(path, quality=100), (200, 200, 200)),
    "clear.png": (lambda path: Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(path), (255, 255, 255)),
    "half.png": (lambda path: Image.new("RGBA", (8, 8), (0, 255, 0, 51)).save(path), (204, 255, 204)),
    "half.webp": (lambda path: Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path, lossless=True), (255, 255, 255)),
    "greyclear.png": (lambda path: Image.new("LA", (8, 8), (0, 51)).save(path), (204, 204, 204)),
    "key.png": (lambda path: Image.new("RGB", (8, 8), (1, 2, 3)).save(path, transparency=(1, 2, 3)), (255, 255, 255)),
    "frames.gif": (_save_two_frames, (255, 0, 0)),
    "colour.bmp": (lambda path: Image.new("RGB", (8, 8), (9, 8, 7)).save(path), (9, 8, 7)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_becomes_rgb(tmp_path, name):
    save, colour = KINDS[name]
    picture = _import_picture(tmp_path, name, save)
    assert picture.dtype == np.uint8 and picture.shape == (8, 8, 3)
    assert np.array_equal(picture, np.broadcast_to(np.array(colour, np.uint8), (8, 8, 3)))


def test_palette_with_transparency(tmp_path):
    for name in ("palette.png", "palette.gif"):
        picture = _import_picture(tmp_path, name, _save_palette)
        assert (picture[:, :4] == 255).all() and (picture[:, 4:] == (0, 0, 255)).all()


def test_grey_has_one_channel_with_the_usual_weights(tmp_path):
    picture = _import_picture(tmp_path, "red.png", lambda path: Image.new("RGB", (8, 8), "red").save(path), grey=True)
    assert picture.shape == (8, 8, 1) and (picture == 76).all()  # 0.299 * 255


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif"])
def test_exif_orientation_is_honoured(tmp_path, name):
    def save(path):
        picture = Image.new("RGB", (32, 32), "white")
        picture.paste("black", (0, 0, 16, 32))  # the left half
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees, clockwise
        picture.save(path, exif=exif)

    picture = _import_picture(tmp_path, name, save, size=4)
    assert (picture[:2] < 30).all() and (picture[2:] > 225).all(), "the left half is on top"


def test_profile_of_inks_is_used_and_a_damaged_one_is_not(tmp_path):
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = _import_picture(tmp_path, "bad.tif", lambda path: picture.save(path, icc_profile=b"nonsense"))
    assert (red == (255, 0, 0)).all()


def test_square_is_cut_from_the_middle(tmp_path):
    def save(path):
        picture = Image.new("L", (14, 8), 0)
        picture.paste(255, (3, 0, 11, 8))
        picture.save(path)

    assert (_import_picture(tmp_path, "wide.png", save) == 255).all()
    assert (
        _import_picture(tmp_path, "high.png", lambda path: (save(path), Image.open(path).rotate(90, expand=True).save(path)))
        == 255
    ).all()


def test_resizing_averages_and_does_not_pick_pixels(tmp_path):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = _import_picture(tmp_path, "board.png", lambda path: Image.fromarray(board).save(path))
    assert np.abs(picture.astype(int) - 127.5).max() < 4


def test_large_jpeg_is_resized_like_a_png(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1))
    jpeg = _import_picture(tmp_path, "ramp.jpg", lambda path: Image.fromarray(ramp).save(path, quality=95))
    png = _import_picture(tmp_path, "ramp.png", lambda path: Image.fromarray(ramp).save(path))
    assert np.abs(jpeg.astype(int) - png).max() <= 4 and png[4, 7, 0] - png[4, 0, 0] > 150


# ---- Folders ----


def test_sub_folders_are_classes(classes, out):
    _fill(classes / "cat" / "more" / "deep", 5, first=50)
    result = import_folder(classes, out, 8, grey=True)
    arrays = _read(out)
    assert set(arrays) == {"x_train", "y_train", "x_test", "y_test", "class_names"}
    assert arrays["x_train"].shape == (20, 8, 8, 1) and arrays["x_test"].shape == (5, 8, 8, 1)
    assert arrays["x_train"].dtype == np.uint8 and arrays["y_train"].dtype == arrays["y_test"].dtype == np.int64
    assert arrays["class_names"].tolist() == ["cat", "dog"]
    for part in ("train", "test"):
        assert np.array_equal(arrays[f"y_{part}"], arrays[f"x_{part}"][:, 0, 0, 0] >= 100)
    assert np.bincount(arrays["y_test"]).tolist() == [3, 2], "a fifth of each class"
    assert "cat/more/deep/p050.png" in result.names["train"] + result.names["test"]
    assert str(result) == "All 25 files were used." and not result.left_out


def test_pictures_without_sub_folders_have_no_labels(tmp_path, out):
    (_fill(tmp_path / "photos", 10) / "empty").mkdir()
    result = import_folder(tmp_path / "photos", out, 8)
    assert set(_read(out)) == {"x_train", "x_test"} and len(result.names["train"]) == 8 and len(result.names["test"]) == 2


def test_sub_folder_without_a_picture_does_not_make_classes(tmp_path, out):
    (_fill(tmp_path / "photos", 5) / "notes").mkdir()
    (tmp_path / "photos" / "notes" / "a.txt").write_text("text")
    result = import_folder(tmp_path / "photos", out, 8)
    assert "y_train" not in _read(out) and [item.name for item in result.left_out] == ["notes/a.txt"]


def test_hidden_files_and_folders_are_passed_over(classes, out):
    _fill(classes / ".cache")
    _fill(classes / "cat" / ".thumbs")
    (classes / "cat" / ".DS_Store").write_bytes(b"x")
    result = import_folder(classes, out, 8)
    assert not result.left_out and _read(out)["class_names"].tolist() == ["cat", "dog"]


def test_whole_numbers_as_names_are_sorted_as_numbers(tmp_path, out):
    for k, name in enumerate(["10", "2", "1"]):
        _fill(tmp_path / "photos" / name, 3, first=10 * k)
    import_folder(tmp_path / "photos", out, 8)
    assert _read(out)["class_names"].tolist() == ["1", "2", "10"]


def test_class_without_a_usable_picture_is_no_class(classes, out):
    (classes / "cow").mkdir()
    (classes / "cow" / "a.jpg").write_bytes(b"")
    result = import_folder(classes, out, 8)
    assert _read(out)["class_names"].tolist() == ["cat", "dog"] and "no picture of the sub-folders cow was used" in str(result)


def test_one_class_and_enlarged_pictures_are_noted(tmp_path, out):
    _fill(tmp_path / "photos" / "train", 5)
    result = import_folder(tmp_path / "photos", out)
    _contains_all(result, "one class only, train", str(tmp_path / "photos" / "train"))
    _contains_all(result, "with fewer than 32 pixels in height or width, which were enlarged: 5.")


def test_small_classes_are_trained_on_and_named(classes, out):
    _fill(classes / "cow", 2, first=200)
    result = import_folder(classes, out, 8)
    arrays = _read(out)
    assert (arrays["y_train"] == 1).sum() == 2 and not (arrays["y_test"] == 1).any()
    assert arrays["class_names"].tolist() == ["cat", "cow", "dog"]
    assert "Warning: classes with fewer than 3 pictures: cow (2)" in str(result)


def test_link_to_a_folder_is_followed_once(classes, out, tmp_path):
    _fill(tmp_path / "elsewhere", 4, first=200)
    (classes / "cow").symlink_to(tmp_path / "elsewhere")
    (classes / "dog" / "up").symlink_to(classes)
    result = import_folder(classes, out, 8)
    assert _read(out)["class_names"].tolist() == ["cat", "cow", "dog"]
    assert [(item.name, item.reason) for item in result.left_out] == [("dog/up", "link to a folder that was read already")]


def test_same_seed_same_file(classes, tmp_path):
    paths = [tmp_path / name for name in ("a.npz", "b.npz", "c.npz")]
    for path, seed in zip(paths, (3, 3, 4)):
        import_folder(classes, path, 8, seed=seed)
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again and first != other


def test_load_dataset_reads_the_result(classes, out):
    import_folder(classes, out, 8, grey=True)
    data = load_dataset(out)
    assert data.class_names == ("cat", "dog") and data.image_shape == (8, 8, 1) and len(data.x_test) == 4
    assert np.array_equal(np.round(data.x_train[:, 0, 0, 0] * 255) >= 100, data.y_train == 1)


# ---- Files that are left out ----


def _cut_jpeg(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])


def _cut_png(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])


BROKEN = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "empty file", ""),
    "cut.jpg": (_cut_jpeg, "damaged or cut off", "truncated"),
    "cut.png": (_cut_png, "damaged or cut off", "truncated"),
    "text.txt": (lambda path: path.write_text("hello"), "not a picture that can be read", ""),
    "page.jpg": (lambda path: path.write_text("<html>log in</html>"), "not a picture that can be read", ""),
    "Thumbs.db": (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600)), "not a picture that can be read", ""),
    "phone.HEIC": (lambda path: path.write_bytes(b"\0\0\0\x18ftypheic"), "not a picture that can be read", "as JPEG"),
    "drawing.eps": (lambda path: Image.new("RGB", (8, 8)).save(path), "a drawing, not a picture", "save it as PNG"),
    "gone.png": (lambda path: path.symlink_to("nowhere.png"), "broken link", ""),
    "loop.png": (lambda path: path.symlink_to("loop.png"), "cannot be read from the disk", "symbolic links"),
    "pipe.png": (lambda path: os.mkfifo(path), "not a regular file", ""),
    "copy.png": (
        lambda path: path.write_bytes((path.parent / "p000.png").read_bytes()),
        "same bytes as another picture",
        "p000.png",
    ),
    "ints.tif": (lambda path: Image.new("I", (8, 8), 70000).save(path), "values of 32 bits", "save it with 8 or 16 bits"),
    "floats.tif": (lambda path: Image.new("F", (8, 8), 300.0).save(path), "values of 32 bits", "floats from 0 to 1"),
    "nan.tif": (lambda path: Image.new("F", (8, 8), float("nan")).save(path), "values of 32 bits", "floats from 0 to 1"),
    "bomb.png": (lambda path: Image.new("1", (60, 60)).save(path), "too many pixels", "make it smaller first"),
    "line\nbreak.png": (lambda path: path.write_bytes(b""), "empty file", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named_with_its_reason(tmp_path, out, monkeypatch, name):
    make, reason, detail = BROKEN[name]
    make(_fill(tmp_path / "photos") / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1700)  # a picture of more than 3400 pixels is a bomb
    result = import_folder(tmp_path / "photos", out, 8)
    (item,) = result.left_out
    # between p000 and its copy, the first in sorted order stays
    assert item.name == {"copy.png": "p000.png"}.get(name, name.replace("\n", "\\n"))
    assert item.reason.startswith(reason) and {"p000.png": "copy.png"}.get(detail, detail) in item.detail
    assert len(result.names["train"]) + len(result.names["test"]) == 5
    _contains_all(result, "Left out: 1 of 6 files", f"{item.reason} (1): {item}", str(tmp_path / "mine_left_out.txt"))
    report = (tmp_path / "mine_left_out.txt").read_text(encoding="utf-8")
    assert report == f"{item.name}\t{item.reason}" + (f": {item.detail}\n" if item.detail else "\n")


@pytest.mark.parametrize(
    "error, reason", [(PermissionError(13, "no"), "no permission to read"), (OSError(5, "I/O"), "from the disk")]
)
def test_unreadable_file_is_named(tmp_path, out, monkeypatch, error, reason):
    folder = _fill(tmp_path / "photos")
    opened = imports.Path.open

    def refuse(path, *arguments, **options):
        if path.name == "p003.png":
            raise error
        return opened(path, *arguments, **options)

    monkeypatch.setattr(imports.Path, "open", refuse)
    (item,) = import_folder(folder, out, 8).left_out
    assert item.name == "p003.png" and reason in item.reason


def test_file_that_vanishes_is_named(tmp_path, out, monkeypatch):
    listed = imports._list_files
    monkeypatch.setattr(imports, "_list_files", lambda folder: (listed(folder)[0] + [imports.Path("was.png")], []))
    (item,) = import_folder(_fill(tmp_path / "photos"), out, 8).left_out
    assert (item.name, item.reason) == ("was.png", "vanished while the folder was read")


def test_folder_that_cannot_be_opened_is_named(classes, out, monkeypatch):
    (classes / "secret").mkdir()
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    (item,) = import_folder(classes, out, 8).left_out
    assert str(item) == "secret (Permission denied)" and item.reason == "folder that cannot be opened"


def test_same_bytes_in_two_classes_are_all_left_out(classes, out):
    body = (classes / "cat" / "p000.png").read_bytes()
    for name in ("dog/a.png", "dog/b.png", "cat/z.png"):
        (classes / name).write_bytes(body)
    result = import_folder(classes, out, 8, grey=True)
    assert {item.reason.split(",")[0] for item in result.left_out if item.name != "cat/z.png"} == {"same bytes in two classes"}
    assert [item.name for item in result.left_out] == ["cat/p000.png", "cat/z.png", "dog/a.png", "dog/b.png"]
    assert result.left_out[0].detail == "= dog/a.png" and result.left_out[2].detail == "= cat/p000.png"
    arrays = _read(out)
    pixels = np.concatenate([arrays["x_train"], arrays["x_test"]])[:, 0, 0, 0]
    assert sorted(pixels) == [*range(1, 10), *range(100, 110)]
    for part in ("train", "test"):
        assert np.array_equal(arrays[f"y_{part}"], arrays[f"x_{part}"][:, 0, 0, 0] >= 100)


def test_pictures_beside_the_class_folders_are_left_out(classes, out):
    _fill(classes, 2, first=50)
    result = import_folder(classes, out, 8)
    assert [item.name for item in result.left_out] == ["p050.png", "p051.png"]
    assert {item.reason for item in result.left_out} == {"beside the class folders, so without a class"}


def test_ten_names_are_printed_and_the_report_holds_all(classes, out):
    for k in range(13):
        (classes / "cat" / f"e{k:02}.png").write_bytes(b"")
    result = import_folder(classes, out, 8)
    _contains_all(result, "Left out: 13 of 33 files", "empty file (13): cat/e00.png", "cat/e09.png and 3 more")
    assert "e10" not in str(result)
    assert len((out.parent / "mine_left_out.txt").read_text().splitlines()) == 13


def test_report_of_an_earlier_import_is_removed(classes, out):
    (classes / "cat" / "empty.png").write_bytes(b"")
    import_folder(classes, out, 8)
    (classes / "cat" / "empty.png").unlink()
    assert (out.parent / "mine_left_out.txt").exists()
    import_folder(classes, out, 8, force=True)
    assert not (out.parent / "mine_left_out.txt").exists()


# ---- Refusals ----


def _refuse_folder(out, folder, size=8, **options):
    before = sorted(path.name for path in out.parent.iterdir())
    with pytest.raises(DataImportError) as error:
        import_folder(folder, out, size, **options)
    assert sorted(path.name for path in out.parent.iterdir()) == before
    return error.value


@pytest.mark.parametrize(
    "options, parts",
    [
        ({"size": 2}, ["size=2", "from 4 to 1024"]),
        ({"size": 8.5}, ["size=8.5", "whole number"]),
        ({"test_share": 1.0}, ["test_share=1.0", "above 0 and below 1"]),
        ({"test_share": 0.0}, ["test_share=0.0", "above 0 and below 1"]),
        ({"seed": -1}, ["seed=-1", "0 or more"]),
        ({"test_share": 0.99}, ["20 usable pictures in 2 classes become 2 for training and 18 for test", "lower --test-share"]),
    ],
)
def test_arguments_out_of_range(classes, out, options, parts):
    _contains_all(_refuse_folder(out, classes, **options), *parts)


def test_sources_that_are_no_folder_of_pictures(tmp_path, out):
    _contains_all(_refuse_folder(out, tmp_path / "nothing"), "there is no", "nothing", "expected a folder of pictures or a table")
    (tmp_path / "empty").mkdir()
    _contains_all(_refuse_folder(out, tmp_path / "empty"), "no picture that can be used", "no files that are not hidden")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("text")
    _contains_all(_refuse_folder(out, tmp_path / "texts"), "What was found", "not a picture that can be read (1): a.txt")
    (tmp_path / "one.jpg").write_bytes(b"x")
    _contains_all(_refuse_folder(out, tmp_path / "one.jpg"), "not a folder", "For pictures, name their folder")
    _contains_all(
        _refuse_folder(out, _fill(tmp_path / "few", 3)), "3 usable pictures become 2 for training and 1 for test", "3 and 1"
    )
    for name in "abcd":
        _fill(tmp_path / "pairs" / name, 2, first=10 * ord(name) - 900)
    _contains_all(_refuse_folder(out, tmp_path / "pairs"), "8 usable pictures in 4 classes", "3 pictures in some class")


def test_parts_of_a_data_set_are_not_classes(tmp_path, out):
    _fill(tmp_path / "photos" / "train" / "cat", 3)
    _fill(tmp_path / "photos" / "Test" / "cat", 3, first=10)
    message = _refuse_folder(out, tmp_path / "photos")
    _contains_all(message, "Test, train", "expected one sub-folder for each class", str(tmp_path / "photos" / "train"))


@pytest.mark.parametrize(
    "name, parts",
    [
        ("mine.txt", ["ends in .npz", "mine.npz"]),
        ("no/folder/mine.npz", ["there is no folder", "Make it first"]),
        ("photos/mine.npz", ["would be inside", "mine.png would be imported next time", "outside"]),
        ("folder.npz", ["folder.npz is a folder"]),
        ("old.npz", ["old.npz exists already", "--force"]),
        ("picture.npz", ["picture.png exists already", "--force"]),
        ("report.npz", ["report_left_out.txt exists already", "--force"]),
    ],
)
def test_places_where_nothing_is_written(classes, tmp_path, name, parts):
    (tmp_path / "folder.npz").mkdir()
    for file in ("old.npz", "picture.png", "report_left_out.txt"):
        (tmp_path / file).write_text("precious")
    with pytest.raises(DataImportError) as error:
        import_folder(classes, tmp_path / name, 8)
    _contains_all(error.value, *parts)
    assert all((tmp_path / file).read_text() == "precious" for file in ("old.npz", "picture.png", "report_left_out.txt"))


def test_folder_that_may_not_be_written(classes, out, monkeypatch):
    monkeypatch.setattr(imports.os, "access", lambda *arguments: False)
    _contains_all(_refuse_folder(out, classes), "you may not write into", "choose another folder")


def test_too_little_memory_is_said(classes, out, monkeypatch):
    def refuse(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(imports.np, "empty", refuse)
    _contains_all(_refuse_folder(out, classes, size=1024), "20 pictures of 1024x1024 pixels need 0.1 GB", "smaller --size")


def test_full_disk_leaves_the_earlier_file(classes, out):
    resource = pytest.importorskip("resource")
    out.write_bytes(b"earlier")
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)
    Image.fromarray(noise).save(classes / "cat" / "noise.png")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # no file may be larger
    try:
        message = _refuse_folder(out, classes, size=99, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    _contains_all(message, str(out), "could not be written", "1 MB free", "choose another folder")
    assert out.read_bytes() == b"earlier"


# ---- Tables ----

HEADER = "a,b,c,kind\n"
ROWS = ["1,2,3,cat", "4,5,6,dog", "7,8,9,cat", "10,11,12,dog", "13,14,15,cat", "16,17,18,dog"]
EXPECTED = np.arange(1, 19, dtype=np.float32).reshape(6, 3)


def _table(out, text, encoding="utf-8", **options):
    """Import a table. Return the result and its rows in the order of the file."""
    path = out.parent / "data.csv"
    path.write_bytes(text.encode(encoding))
    result = import_table(path, out, force=True, **options)
    arrays = _read(out)
    x = np.concatenate([arrays["x_train"], arrays["x_test"]])
    lines = [int(name.removeprefix("line ")) for part in ("train", "test") for name in result.names[part]]
    return result, arrays, x[np.argsort(lines)], sorted(lines)


def test_table_with_a_label(out):
    result, arrays, x, lines = _table(out, HEADER + "\n".join(ROWS) + "\n", label="kind")
    assert set(arrays) == {"x_train", "y_train", "x_test", "y_test", "class_names", "kind"} and arrays["kind"] == "series"
    assert x.dtype == np.float32 and np.array_equal(x, EXPECTED) and lines == [2, 3, 4, 5, 6, 7]
    assert arrays["class_names"].tolist() == ["cat", "dog"] and arrays["y_train"].dtype == np.int64
    assert np.bincount(arrays["y_train"]).tolist() == [2, 2] and np.bincount(arrays["y_test"]).tolist() == [1, 1]
    assert all(np.array_equal(arrays[f"y_{part}"], (arrays[f"x_{part}"][:, 0] + 2) // 3 % 2 == 0) for part in ("train", "test"))
    assert str(result) == "Read 4 columns, separated by commas; column names a, b, c, kind.\nAll 6 rows were used."


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", "  "),
        lambda text: text.replace(",", ", "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n\n# " + text + "\n\n",
        lambda text: text.replace("cat", '"cat"').replace("a,", '"a",'),
        lambda text: text.replace("\n", ",\n"),
        lambda text: text.replace(",", ";").replace(";2;", ";2,0;"),
        lambda text: text.removesuffix("\n"),
    ],
    ids=["semicolons", "tabs", "blanks", "comma and blank", "Windows", "blank lines", "BOM", "lines around", "quotes", "last comma",
         "decimal comma", "no last line end"],
)  # fmt: skip
def test_ways_to_write_a_table(out, change):
    _, arrays, x, _ = _table(out, change(HEADER + "\n".join(ROWS) + "\n"), label="kind")
    assert np.array_equal(x, EXPECTED) and arrays["class_names"].tolist() == ["cat", "dog"]


def test_utf_16_and_korean(out):
    text = (HEADER + "\n".join(ROWS)).replace("cat", "고양이").replace("dog", "개")
    for encoding in ("utf-8", "utf-16"):
        _, arrays, x, _ = _table(out, text, encoding, label="kind")
        assert np.array_equal(x, EXPECTED) and arrays["class_names"].tolist() == ["개", "고양이"]
    _contains_all(_refuse_table(out, text, "cp949", label="kind"), "not text in UTF-8", "save it as CSV UTF-8")
    late = HEADER + "\n".join(ROWS * 20) + "\n1,2,3,고양이"
    _contains_all(_refuse_table(out, late, "cp949", label="kind"), "not text in UTF-8", "save it as CSV UTF-8")


@pytest.mark.parametrize("label, n_values", [("3", 3), (3, 3), ("-1", 3), (None, 3)])
def test_table_without_a_header(out, label, n_values):
    rows = ROWS if label else [row.rpartition(",")[0] for row in ROWS]
    result, arrays, x, lines = _table(out, "\n".join(rows), label=label)
    assert np.array_equal(x, EXPECTED) and lines == [1, 2, 3, 4, 5, 6] and "no column names" in str(result)
    assert ("y_train" in arrays) == (label is not None)


def test_label_of_a_table_with_a_header_may_be_a_number(out):
    assert _table(out, HEADER + "\n".join(ROWS), label="-1")[1]["class_names"].tolist() == ["cat", "dog"]
    renamed = "3,b,c,kind\n" + "\n".join(f"{k % 2},{k},{k + 1},{k}" for k in range(6))
    _, arrays, x, _ = _table(out, renamed, label="3")
    assert x.shape == (6, 3) and arrays["class_names"].tolist() == ["0", "1"], "a name goes before a number"


def test_header_of_counted_columns(out):
    rows = "0,1,2,kind\n" + "\n".join(ROWS)
    assert np.array_equal(_table(out, rows, label="kind")[2], EXPECTED)


def test_header_of_r_has_no_name_for_the_row_names(out):
    text = "x y\n" + "\n".join(f'"r{k % 2}" {k} {k + 1}.5' for k in range(6))
    _, arrays, x, _ = _table(out, text, label=0)
    assert np.array_equal(x, [[k, k + 1.5] for k in range(6)]) and arrays["class_names"].tolist() == ["r0", "r1"]


def test_numeric_labels_are_sorted_as_numbers(out):
    text = "a,b,y\n" + "\n".join(f"{k},{k * k},{[10, 9.0, 2.5][k % 3]}" for k in range(9))
    _, arrays, _, _ = _table(out, text, label="y")
    assert arrays["class_names"].tolist() == ["2.5", "9", "10"]
    x, y = (np.concatenate([arrays[f"{key}_train"], arrays[f"{key}_test"]]) for key in "xy")
    assert np.array_equal(y, np.array([2, 1, 0])[x[:, 0].astype(int) % 3])


def test_words_such_as_none_may_be_classes(out):
    text = "a,b,y\n" + "\n".join(f"{k},{k * k},{['none', 'NA', 'mild'][k % 3]}" for k in range(9))
    assert _table(out, text, label="y")[1]["class_names"].tolist() == ["NA", "mild", "none"]
    numbers = "a,b,y\n" + "\n".join(f"{k},{k * k},{['1', 'NA', '2'][k % 3]}" for k in range(9))
    result, arrays, _, _ = _table(out, numbers, label="y")
    assert arrays["class_names"].tolist() == ["1", "2"] and {item.reason for item in result.left_out} == {"no label"}


def test_rows_that_are_left_out_are_named_by_their_lines(out):
    rows = [
        *ROWS,
        "1,,3,cat",
        "1,x,3,cat",
        "inf,2,3,dog",
        "1e39,2,3,dog",
        "1,2,3,",
        "1,2,3,cat,5",
        "",
        "7,7,7,dog",
        "NA,?,nan,cat",
        "1,2",
    ]
    result, arrays, x, lines = _table(out, HEADER + "\n".join(rows), label="kind")
    assert np.array_equal(x, [*EXPECTED, [7, 7, 7]]) and lines == [2, 3, 4, 5, 6, 7, 15]
    assert [str(item) for item in result.left_out] == [
        "line 8 (column 'b')",
        "line 9 (column 'b': 'x')",
        "line 10 (column 'a')",
        "line 11 (column 'a')",
        "line 12",
        "line 13 (5 instead of 4)",
        "line 16 (column 'a')",
        "line 17 (column 'c')",
    ]
    _contains_all(
        result,
        "Left out: 8 of 15 rows",
        "missing value (3): line 8 (column 'b')",
        "not a finite number (3): line 9 (column 'b': 'x')",
        "no label (1): line 12",
        "too many values (1): line 13",
    )
    report = (out.parent / "mine_left_out.txt").read_text(encoding="utf-8").splitlines()
    assert len(report) == 8 and report[0] == "line 8\tmissing value: column 'b'"


def test_row_with_decimal_commas_and_a_word(out):
    text = "a;b\n" + "\n".join(f"{k},5;{k}" for k in range(6)) + "\nx;2"
    result, _, x, _ = _table(out, text)
    assert np.array_equal(x, [[k + 0.5, k] for k in range(6)]) and [item.name for item in result.left_out] == ["line 8"]
    assert "decimal commas" in str(result)


def test_table_kind_and_the_hint_to_it(out):
    text = "mass,size\n" + "\n".join(f"{1000 * (k % 7)},{k}" for k in range(12))
    result, arrays, _, _ = _table(out, text)
    _contains_all(result, "Warning: column 'mass' has a range of 6e+03, column 'size' one of 11", "add --table")
    assert arrays["kind"] == "series"
    result, arrays, _, _ = _table(out, text, kind="table")
    assert arrays["kind"] == "table" and "Warning" not in str(result)
    assert "Note: column 'size' counts the rows" in str(result)
    data = load_dataset(out)
    assert not data.has_images and np.array_equal(data.x_train.max(axis=0), [1, 1]), "each column is scaled by itself"


def test_tables_are_reproducible(out, tmp_path):
    paths = [tmp_path / name for name in ("a.npz", "b.npz", "c.npz")]
    (tmp_path / "data.csv").write_text("\n".join(f"{k},{k * k % 7}" for k in range(40)))
    for path, seed in zip(paths, (3, 3, 4)):
        import_table(tmp_path / "data.csv", path, seed=seed)
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again and first != other


def _refuse_table(out, text, encoding="utf-8", **options):
    path = out.parent / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    out.unlink(missing_ok=True)
    with pytest.raises(DataImportError) as error:
        import_table(path, out, force=True, **options)
    assert not out.exists() and not list(out.parent.glob("*.part"))
    return error.value


REFUSED = {
    "empty": ("", {}, ["is empty", "a row of numbers for each example"]),
    "blank": ("\n \n", {}, ["is empty"]),
    "no rows": (HEADER, {"label": "kind"}, ["no row that can be used"]),
    "no good rows": ("a,b\n1,\n,2\n", {}, ["no row that can be used", "missing value (2): line 2"]),
    "one column": ("a\n1\n2\n3\n", {}, ["not a table of two or more columns", "'a'", "separated by commas"]),
    "one value beside the label": ("a,b\n1,x\n2,y\n", {"label": "b"}, ["1 columns of values beside the label", "2 or more"]),
    "text": ("To whom it may concern,\nthis is a letter\n\nYours\n", {}, ["not a table", "'To whom it may concern,'"]),
    "lines above": (
        "made by me\na,b,c\n1,2,3\n4,5,6\n",
        {},
        ["line 1", "has 1 values, most others have 3", "Remove any lines above"],
    ),
    "binary": (b"PK\x03\x04\0\0\0", {}, ["not a text file"]),
    "words": (
        HEADER + "\n".join(ROWS),
        {},
        ["column 'kind' has no numbers (for example 'cat', 'dog')", "add --label kind", "remove it"],
    ),
    "words without a header": ("\n".join(ROWS), {}, ["column 3 (counted from 0) has no numbers", "add --label 3"]),
    "words beside a label": (
        "a,b,name,kind\n1,2,x,cat\n3,4,y,dog\n",
        {"label": "kind"},
        ["column 'name' has no numbers", "every column but the label", "Remove it from the file"],
    ),
    "name with a blank": ("a,b,the kind\n1,2,x\n3,4,x\n5,6,x\n", {}, ['--label "the kind"']),
    "mostly words": ("a,b,c\n1,2,x\n3,4,5\n5,6,z\n", {}, ["column 'c' has no number in 2 of 3 rows (for example 'x', 'z')"]),
    "empty column": ("a,b,c\n1,2,\n3,4,\n5,6,\n", {}, ["column 'c' is empty", "Remove it"]),
    "mostly missing": ("a,b,c\n1,2,\n3,4,1\n5,6,\n", {}, ["column 'c' has no usable value in 2 of 3 rows"]),
    "many bad columns": (
        ",".join("abcdefgh") + "\n" + "\n".join(["x,x,x,x,x,x,1,2"] * 4),
        {},
        ["column 'a'", "column 'e'", "and 1 more", "these columns"],
    ),
    "same names": ("a,b,a\n1,2,3\n", {}, ["two columns", "'a'", "rename one"]),
    "unknown label": (HEADER + "\n".join(ROWS), {"label": "species"}, ["no column 'species'", "expected one of a, b, c, kind"]),
    "unknown number": ("\n".join(ROWS), {"label": "4"}, ["--label 4", "0 to 3, or -1"]),
    "name without a header": ("\n".join(ROWS), {"label": "kind"}, ["--label kind", "no line of column names", "0 to 3, or -1"]),
    "measurements as label": (
        "a,b,y\n" + "\n".join(f"{k},{k},{k / 7}" for k in range(30)),
        {"label": "y"},
        ["column 'y' has 30 different values in 30 rows", "expected classes"],
    ),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', {}, ["cannot be read as a table", "EOF inside string"]),
    "kind": ("1,2\n", {"kind": "rows"}, ["kind='rows'", "'series'", "'table'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_table(out, case):
    text, options, parts = REFUSED[case]
    _contains_all(_refuse_table(out, text, **options), *parts)


@pytest.mark.parametrize(
    "name, hint",
    [("a.xlsx", "Save the sheet as CSV"), ("a.zip", "Unpack it first"), ("a.jpg", "name their folder"), ("a.bin", "Check")],
)
def test_other_files_are_no_tables(tmp_path, out, name, hint):
    (tmp_path / name).write_bytes(b"\x89PK\0\0")
    with pytest.raises(DataImportError) as error:
        import_table(tmp_path / name, out)
    _contains_all(error.value, name, "expected a table (CSV)", hint)


def test_folder_and_unreadable_file_are_no_tables(tmp_path, out, monkeypatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataImportError, match="not a file; expected a table"):
        import_table(tmp_path / "folder", out)

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.csv").write_text("1,2\n")
    monkeypatch.setattr(imports.Path, "open", refuse)
    with pytest.raises(DataImportError, match="Permission denied"):
        import_table(tmp_path / "a.csv", out)


# ---- The first look ----


def _save_arrays(path, x_train, x_test, **others):
    np.savez(path, x_train=x_train, x_test=x_test, **others)
    return path


def test_description_of_pictures(classes, out):
    result = import_folder(classes, out, 8)
    text = describe(out, result.names)
    lines = text.splitlines()
    assert lines[0] == f"{out}: 20 pictures of 8x8 pixels, RGB; uint8 from 0 to 109"
    assert [line.split() for line in lines[2:6]] == [
        ["class", "training", "test"],
        ["cat", "8", "2"],
        ["dog", "8", "2"],
        ["all", "16", "4"],
    ]
    _contains_all(
        text,
        "fewer than 500 training pictures (16)",
        "Classes with fewer than 20 pictures: cat (10), dog (10)",
        "Pictures with one value everywhere: 20 (cat/p",
        "No picture has colours. With --grey",
        f"Examples are drawn in {out.with_suffix('.png')}",
        f"python -m aeutils run 01 -p dataset {out}",
    )
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > 500 and picture.height > 100


def test_description_of_rows(out):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)).astype(np.float32)
    x[:, 3] = 2
    x_test = x[:100].copy()
    x_test[1:] += 1
    _save_arrays(out, x, x_test, kind=np.array("series"))
    text = describe(out)
    _contains_all(
        text,
        "700 rows of 5 values, taken as a series; float32",
        "no labels",
        "Columns with one value in all training rows: 1 (3, counted",
        "Test rows that are also training rows: 1 of 100 (for example x_test[0] = x_train[0])",
        "Do the curves look as you expect?",
    )
    assert "fewer than 500" not in text and out.with_suffix(".png").stat().st_size > 1000


def test_description_of_good_pictures_has_no_warnings(out):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (700, 8, 8, 3), dtype=np.uint8)
    y = np.arange(700) % 2
    _save_arrays(out, x[:600], x[600:], y_train=y[:600], y_test=y[600:], class_names=np.array(["cat", "dog"]))
    assert "Warnings" not in describe(out)


@pytest.mark.parametrize("value, word", [(2, "black"), (253, "white")])
def test_dark_and_bright_pictures_are_warned_of(out, value, word):
    x = np.full((20, 8, 8, 1), value, np.uint8)
    assert f"almost {word}: their mean is {value / 255:.3f}" in describe(_save_arrays(out, x[:15], x[15:]))


def test_unequal_classes_are_warned_of(out):
    x = np.random.default_rng(0).integers(0, 256, (280, 8, 8, 1), dtype=np.uint8)
    y = np.array([0] * 255 + [1] * 25)
    arrays = {"y_train": y[1:], "y_test": y[:1], "class_names": np.array(["many", "few"])}
    assert "Class many has 255 pictures, class few 25." in describe(_save_arrays(out, x[1:], x[:1], **arrays))


def test_near_copies_are_found_and_other_pictures_are_not(out):
    x = np.random.default_rng(0).integers(0, 230, (50, 16, 16, 3), dtype=np.uint8)
    x_test = x[:5].copy()
    x_test[:2] += 5  # a little brighter
    x_test[2:] = 255 - x_test[2:]
    text = describe(_save_arrays(out, x, x_test))
    assert "nearly the same as a training picture: 2 of 5 (x_test[0] and x_train[0], x_test[1] and x_train[1])" in text


def test_description_of_many_classes_is_short(out):
    n = 25
    x = np.random.default_rng(0).integers(0, 256, (4 * n, 8, 8, 1), dtype=np.uint8)
    names = np.array([f"a long name of a class with $ and _ that ends in {k}" for k in range(n - 1)] + ["가나다"])
    y = np.arange(4 * n) % n
    text = describe(_save_arrays(out, x[n:], x[:n], y_train=y[n:], y_test=y[:n], class_names=names))
    _contains_all(text, "5 more classes", "ends in 19  ")
    assert "ends in 20 " not in text
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.height < 900, "ten classes are drawn"


def test_glyphs_that_no_font_has_become_a_number(out, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(imports, "_KOREAN_FONTS", ())
    labels = []
    monkeypatch.setattr(plt, "close", lambda figure: labels.extend(text.get_text() for text in figure.axes[0].get_yticklabels()))
    x = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)
    y = np.arange(8) % 2
    describe(_save_arrays(out, x, x, y_train=y, y_test=y, class_names=np.array(["개", "$5"])))
    monkeypatch.undo()
    plt.close("all")
    assert labels == ["class 0 (4)", r"\$5 (4)"]


# ---- The command ----


def test_import_command(classes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (classes / "cat" / "empty.jpg").write_bytes(b"")
    assert main(["import", "photos", "mine.npz", "--size", "16", "--grey", "--seed", "1", "--test-share", "0.3"]) == 0
    streams = capsys.readouterr()
    _contains_all(
        streams.out,
        "Left out: 1 of 21 files",
        "empty file (1): cat/empty.jpg",
        "All of them are listed in mine_left_out.txt",
        "mine.npz: 20 pictures of 16x16 pixels, grey",
        "Next: python -m aeutils run 01 -p dataset mine.npz",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.npz", "mine.png", "mine_left_out.txt", "photos"]
    assert len(_read("mine.npz")["x_test"]) == 6 and load_dataset("mine.npz").image_shape == (16, 16, 1)
    assert main(["import", "photos", "mine.npz"]) == 2
    _contains_all(capsys.readouterr().err, "Nothing was written: mine.npz exists already", "--force")
    assert main(["import", "photos", "mine.npz", "--force"]) == 0
    assert load_dataset("mine.npz").image_shape == (32, 32, 3)


def test_import_command_with_a_table(tmp_path, capsys):
    path, out = tmp_path / "data.csv", tmp_path / "my data.npz"
    path.write_text(HEADER + "\n".join(ROWS))
    assert main(["import", str(path), str(out), "--label", "-1", "--table"]) == 0
    printed = capsys.readouterr().out
    _contains_all(printed, "column names a, b, c, kind", "6 rows of 3 values, taken as a table", f'-p dataset "{out}"')
    data = load_dataset(out)
    assert data.class_names == ("cat", "dog") and not data.has_images


def test_import_command_refuses_options_of_the_other_kind(classes, tmp_path, capsys):
    (tmp_path / "data.csv").write_text(HEADER + "\n".join(ROWS))
    for given in (["data.csv", "--size", "8"], ["data.csv", "--grey"], ["photos", "--label", "kind"], ["photos", "--table"]):
        assert main(["import", str(tmp_path / given[0]), str(tmp_path / "mine.npz"), *given[1:]]) == 2
        _contains_all(capsys.readouterr().err, "Nothing was written", given[1], given[0])
    assert main(["import", str(tmp_path / "nothing"), str(tmp_path / "mine.npz")]) == 2
    _contains_all(capsys.readouterr().err, "there is no", "nothing")
    assert not (tmp_path / "mine.npz").exists()


@pytest.mark.parametrize("place", ["_decode", "_write", "_draw"])
def test_ctrl_c_leaves_no_half_file(classes, out, capsys, monkeypatch, place):
    original, calls = getattr(imports, place), []

    def stop(*arguments):
        calls.append(place)
        if place != "_decode" or len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(imports, place, stop)
    assert main(["import", str(classes), str(out), "--size", "8"]) == 130
    message = capsys.readouterr().err
    left = sorted(path.name for path in out.parent.iterdir())
    if place == "_draw":
        assert f"Stopped; {out} is complete." in message and left == ["mine.npz", "photos"]
        assert len(_read(out)["x_train"]) == 16
    else:
        assert "Stopped; nothing was written." in message and left == ["photos"]


def test_picture_that_cannot_be_written_is_said(classes, out, capsys, monkeypatch):
    from matplotlib.figure import Figure

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    assert main(["import", str(classes), str(out), "--size", "8"]) == 2
    _contains_all(capsys.readouterr().err, f"{out} is complete, but: ", "mine.png could not be written (No space left on device)")
    assert sorted(path.name for path in out.parent.iterdir()) == ["mine.npz", "photos"]
