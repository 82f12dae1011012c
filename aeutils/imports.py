"""Make a ``.npz`` file for `load_dataset` from a reader's own pictures or table, and take a first look at it."""

import csv
import hashlib
import math
import os
import re
import stat
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aeutils.datasets import FEW
from aeutils.errors import UserError
from aeutils.files import replacing, write_whole
from aeutils.progress import Progress

N_SHOWN = 10  # names that are printed for each reason; the report holds all
FEW_IN_CLASS = 20  # examples; with fewer in a class, `describe` warns
N_COMPARED = 2000  # test pictures of which near copies are looked for
_SPLIT_FOLDERS = {"train", "training", "test", "testing", "val", "valid", "validation"}


class DataImportError(UserError, ValueError):
    """The pictures or the table cannot be used, or the file cannot be written. The message says what to do."""


@dataclass(frozen=True)
class LeftOut:
    """A file or a row that is not in the result.

    Attributes
    ----------
    name : str
        Path below the folder, or line of the table.
    reason : str
        The same text for all that are left out for one reason.
    detail : str
        What is special about this one; may be empty.
    """

    name: str
    reason: str
    detail: str = ""

    def __str__(self):
        return f"{self.name} ({self.detail})" if self.detail else self.name


@dataclass(frozen=True)
class ImportResult:
    """What `import_folder` or `import_table` did. As text: everything that is left out, and notes.

    Attributes
    ----------
    path : pathlib.Path
        The ``.npz`` file.
    n_seen : int
        Number of files or rows that were looked at.
    unit : str
        ``"files"`` or ``"rows"``.
    left_out : tuple of LeftOut
    notes : tuple of str
        How the source was read, and what looks wrong in it.
    names : dict of str to tuple of str
        For ``"train"`` and ``"test"``: the name of each example, in the order of ``x_train`` and ``x_test``.
    """

    path: Path
    n_seen: int
    unit: str
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    names: dict[str, tuple[str, ...]]

    def __str__(self):
        lines = list(self.notes)
        if self.left_out:
            lines += [f"Left out: {len(self.left_out):,} of {self.n_seen:,} {self.unit}"]
            lines += [*_group(self.left_out), f"All of them are listed in {_report_path(self.path)}"]
        else:
            lines.append(f"All {self.n_seen:,} {self.unit} were used.")
        return "\n".join(lines)


def _group(left_out):
    """One line for each reason, with at most N_SHOWN names."""
    groups = {}
    for item in left_out:
        groups.setdefault(item.reason, []).append(str(item))
    return [f"  {reason} ({len(names):,}): {_list(names, N_SHOWN)}" for reason, names in groups.items()]


def _list(names, n):
    more = f" and {len(names) - n:,} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def _report_path(out):
    return out.with_name(f"{out.stem}_left_out.txt")


def _picture_path(out):
    return out.with_suffix(".png")


# ---- Pictures ----


def import_folder(folder, out, size=32, *, grey=False, seed=0, test_share=0.2, force=False):
    """Read the pictures of a folder and write them into one ``.npz`` file.

    Each sub-folder is a class; its own sub-folders belong to it. A folder with pictures and without sub-folders has no
    labels. Hidden files and folders are passed over. A picture is turned upright (EXIF), put on white where it is
    transparent, cropped to the central square and resized. What cannot be read is left out, and so is a picture with the
    same bytes as an earlier one, because it could be in training and in test. If the same bytes are in two classes, none
    of the copies is used.

    Parameters
    ----------
    folder : path
        Its pictures may have any format that Pillow reads: JPEG, PNG, GIF (first frame), BMP, TIFF, WebP, ...
    out : path
        File to write; its name ends in ``.npz``. It is written as a whole or not at all. If something is left out,
        ``OUT_left_out.txt`` beside it names every file.
    size : int
        Height and width of the stored pictures, in pixels, from 4 to 1024.
    grey : bool
        Store one channel instead of three.
    seed : int
        Seed of the choice of the test pictures. The same seed gives the same file, byte for byte.
    test_share : float
        Share of each class that becomes the test part, above 0 and below 1. Classes of fewer than 3 pictures are for
        training only.
    force : bool
        Replace an earlier `out`.

    Returns
    -------
    ImportResult

    Notes
    -----
    Arrays in the file: ``x_train``, ``x_test``, uint8, shape (n, size, size, 3), or (n, size, size, 1) if `grey`; with
    sub-folders also ``y_train``, ``y_test``, int64, shape (n,), counted from 0, and ``class_names``, the names of the
    sub-folders in sorted order. Whole numbers as names are sorted as numbers.

    Raises
    ------
    DataImportError
        There is no such folder, it has too few pictures, an argument is out of range, `out` exists or cannot be written.
    """
    folder, out = Path(folder), Path(out)
    _check_arguments(out, folder, seed, test_share, force)
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 4 <= size <= 1024:
        raise DataImportError(f"size={size!r}: expected a whole number of pixels from 4 to 1024, for example 32")
    if not folder.is_dir():
        raise DataImportError(f"{folder} is not a folder; expected a folder of pictures. {_suggest_source(folder)}")

    files, left_out = _list_files(folder)
    classes = {file.parts[0] for file in files if len(file.parts) > 1}
    if len(classes) > 1 and {name.lower() for name in classes} <= _SPLIT_FOLDERS:
        raise DataImportError(
            f"{folder} has the sub-folders {_list(sorted(classes), 5)}; expected one sub-folder for each class, but these names "
            f"look like parts of a data set. Import one of them: {folder / sorted(classes)[-1]}. This command makes the parts "
            "itself. If they are your classes, give them other names."
        )
    pictures, examples, n_enlarged = _read_pictures(folder, files, size, grey, left_out)
    left_out.sort(key=lambda item: item.name)
    n_seen = len(examples) + len(left_out)
    if not examples:
        found = "\n".join(_group(left_out)) or "  it has no files that are not hidden"
        raise DataImportError(
            f"{folder} has no picture that can be used; expected pictures in it, or one sub-folder of pictures for each class. "
            f"What was found:\n{found}"
        )

    class_names, y, notes = (), None, []
    if len(examples[0].parts) > 1:
        class_names = _sort_names({file.parts[0] for file in examples})
        y = np.array([class_names.index(file.parts[0]) for file in examples], np.int64)
        if empty := sorted(classes - set(class_names)):
            notes.append(f"Note: no picture of the sub-folders {_list([_printable(name) for name in empty], N_SHOWN)} was used.")
        if len(class_names) == 1:
            notes.append(
                f"Note: there is one class only, {_printable(class_names[0])}. If its sub-folders are the classes, import "
                f"{folder / class_names[0]}."
            )
    if n_enlarged:
        notes.append(f"Note: pictures with fewer than {size} pixels in height or width, which were enlarged: {n_enlarged:,}.")
    train, test, warned = _split(y, len(examples), class_names, test_share, seed, "pictures")
    arrays = {"x_train": pictures[train], "x_test": pictures[test]}
    if y is not None:
        arrays |= {"y_train": y[train], "y_test": y[test], "class_names": np.array([_printable(name) for name in class_names])}
    _write(out, arrays, left_out)
    names = [_printable(file.as_posix()) for file in examples]
    return _make_result(out, n_seen, "files", left_out, notes + warned, names, train, test)


def _list_files(folder):
    """Paths below a folder, relative and sorted; and folders that are left out. Links to folders are followed once."""
    files, left_out, seen = [], [], set()

    def refuse(error):
        name = _printable(os.path.relpath(error.filename, folder))
        left_out.append(LeftOut(name, "folder that cannot be opened", error.strerror or ""))

    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        here = os.stat(place)
        relative = Path(place).relative_to(folder)
        if (here.st_dev, here.st_ino) in seen:  # a link to a folder above it would never end
            folders.clear()
            left_out.append(LeftOut(_printable(relative.as_posix()), "link to a folder that was read already"))
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [relative / name for name in names if not name.startswith(".")]
    return sorted(files, key=lambda file: file.parts), left_out


def _read_pictures(folder, files, size, grey, left_out):
    """Read pictures in sub-folders; if there are none, those directly in the folder.

    Return an array of pictures, their paths, and how many were enlarged. What is not used is appended to `left_out`.
    """
    shape = (len(files), size, size, 1 if grey else 3)
    try:
        pictures = np.empty(shape, np.uint8)
    except MemoryError:
        raise DataImportError(
            f"{len(files):,} pictures of {size}x{size} pixels need {np.prod(shape, dtype=float) / 1e9:.1f} GB of memory, more than "
            "there is; choose a smaller --size"
        ) from None
    examples, first, removed, enlarged = [], {}, set(), []
    bar = Progress(len(files), "Pictures", "file")
    try:
        for file in sorted(files, key=lambda file: len(file.parts) == 1):  # those in sub-folders first
            bar.update()
            name = _printable(file.as_posix())
            if len(file.parts) == 1 and examples and len(examples[0].parts) > 1:
                left_out.append(LeftOut(name, "beside the class folders, so without a class"))
                continue
            try:
                picture, digest, is_enlarged = _read_picture(folder / file, size, grey)
            except _BadPictureError as error:
                left_out.append(LeftOut(name, *error.args))
                continue
            if digest in first:
                _leave_out_copy(file, first[digest], examples, removed, left_out)
                continue
            first[digest] = len(examples)
            pictures[len(examples)] = picture
            examples.append(file)
            enlarged.append(is_enlarged)
    finally:
        bar.close()
    kept = [k for k in range(len(examples)) if k not in removed]
    pictures = pictures[: len(examples)] if not removed else pictures[kept]
    return pictures, [examples[k] for k in kept], sum(enlarged[k] for k in kept)


def _leave_out_copy(file, k, examples, removed, left_out):
    """Leave out a file with the bytes of example `k`; and the example too, if it is in another class."""
    name, other = (_printable(path.as_posix()) for path in (file, examples[k]))
    contradiction = "same bytes in two classes, so no copy is used"
    if len(file.parts) == 1 or file.parts[0] == examples[k].parts[0]:
        left_out.append(LeftOut(name, contradiction if k in removed else "same bytes as another picture", f"= {other}"))
        return
    left_out.append(LeftOut(name, contradiction, f"= {other}"))
    if k not in removed:
        removed.add(k)
        left_out.append(LeftOut(other, contradiction, f"= {name}"))


class _BadPictureError(Exception):
    """A file that is left out; the arguments are reason and detail."""


def _read_picture(path, size, grey):
    """Read one picture. Return it as uint8 (size, size, channels), the hash of its file, and whether it was enlarged."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe could wait for ever
            raise _BadPictureError("not a regular file")
        if status.st_size == 0:
            raise _BadPictureError("empty file")
        with path.open("rb") as stream:
            picture, is_enlarged = _decode(stream, path.suffix.lower(), size, grey)
            stream.seek(0)
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
        return picture, digest.digest(), is_enlarged
    except FileNotFoundError:
        raise _BadPictureError("broken link" if path.is_symlink() else "vanished while the folder was read") from None
    except PermissionError:
        raise _BadPictureError("no permission to read") from None
    except OSError as error:
        raise _BadPictureError("cannot be read from the disk", error.strerror or str(error)) from None


def _decode(stream, suffix, size, grey):
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about pictures that it reads all the same
            with Image.open(stream) as picture:
                if picture.format in ("EPS", "WMF"):  # Pillow would start another program
                    raise _BadPictureError("a drawing, not a picture", "save it as PNG")
                is_enlarged = min(picture.size) < size
                picture.draft(None, (3 * size, 3 * size))  # a large JPEG is decoded at a fraction of its size
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
                flat = _to_grey_or_rgb(picture, "L" if grey else "RGB")
                square = ImageOps.fit(flat, (size, size), Image.Resampling.LANCZOS)
                return np.asarray(square).reshape(size, size, -1), is_enlarged
    except _BadPictureError:
        raise
    except UnidentifiedImageError:
        heic = "save HEIC photographs as JPEG" if suffix in (".heic", ".heif") else ""
        raise _BadPictureError("not a picture that can be read", heic) from None
    except Image.DecompressionBombError:
        limit = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        raise _BadPictureError("too many pixels", f"more than {limit:,.0f} million; make it smaller first") from None
    except Exception as error:  # a damaged file can raise anything in Pillow
        raise _BadPictureError("damaged or cut off", " ".join(str(error).split())[:100] or type(error).__name__) from None


def _to_grey_or_rgb(picture, mode):
    """Convert a picture of any mode to 8 bits, "L" or "RGB"; what is transparent becomes white."""
    from PIL import Image

    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _to_eight_bits(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif picture.mode == "CMYK" and picture.info.get("icc_profile"):
        picture = _convert_inks(picture)
    return picture.convert(mode)


def _to_eight_bits(picture):
    """Convert grey values of 16 bits, or floats from 0 to 1, to 8 bits."""
    from PIL import Image

    values = np.asarray(picture).astype(np.float64)
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        if isinstance(clear := picture.info.get("transparency"), int):
            values[values == clear] = 65535
        top = 65535
    elif picture.mode == "F" and values.min() >= 0 and values.max() <= 1:
        top = 1
    else:
        raise _BadPictureError(
            "values of 32 bits, of which black and white are not known", "save it with 8 or 16 bits, or as floats from 0 to 1"
        )
    return Image.fromarray(np.round(values * (255 / top)).astype(np.uint8))


def _convert_inks(picture):
    """Convert CMYK to RGB with the colour profile of the file; if the profile is damaged, leave the picture as it is."""
    import io

    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        return ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture


# ---- Tables ----

_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", r"\s+": "blanks"}  # in order of preference
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
_LONGEST_LINE = 1 << 24  # characters
_RANGE_FACTOR = 20  # between columns; above it, the columns hardly have one unit


def import_table(path, out, *, label=None, kind="series", seed=0, test_share=0.2, force=False):
    """Read a table from a text file (CSV) and write its rows into one ``.npz`` file.

    Values are separated by commas, semicolons, tabs or blanks; in files without separating commas, a comma may be the
    decimal point. There is a header line unless the first line fits the lines below it. Rows with a value that is missing
    or not a number are left out.

    Parameters
    ----------
    path : path
        Text file in UTF-8 or UTF-16. Every column but the label holds numbers.
    out : path
        As in `import_folder`.
    label : str or int, optional
        Column of the classes (texts or numbers): its name, or its number counted from 0, or -1 for the last column.
    kind : str
        ``"series"``: all values of a row have one unit, for example a curve over time. ``"table"``: every column has its
        own unit. `load_dataset` scales accordingly.
    seed, test_share, force
        As in `import_folder`.

    Returns
    -------
    ImportResult

    Notes
    -----
    Arrays in the file: ``x_train``, ``x_test``, float32, shape (n, length), in the original units; ``kind``; with a label
    also ``y_train``, ``y_test``, int64, shape (n,), counted from 0, and ``class_names``: the sorted texts or numbers of
    the label column.

    Raises
    ------
    DataImportError
        The file is not such a table, a column has no numbers, there is no column `label`, fewer than two columns or no
        rows remain, an argument is out of range, `out` exists or cannot be written.
    """
    path, out = Path(path), Path(out)
    _check_arguments(out, path, seed, test_share, force)
    if kind not in ("series", "table"):
        raise DataImportError(f"kind={kind!r}: expected 'series' (one unit for all values) or 'table' (a unit for each column)")
    if not path.is_file():
        raise DataImportError(f"{path} is not a file; expected a table (CSV). {_suggest_source(path)}")

    form = _find_form(path)
    column = None if label is None else form.find_column(label)
    frame, lines, left_out = _read_frame(path, form, column)
    columns = [k for k in range(form.n_columns) if k != column]
    x, columns, bad, is_blank = _read_numbers(frame, columns, form, column)
    class_names, y = (), None
    if column is not None:
        class_names, y = _number_classes(frame[column])
        bad.update({row: ("no label", "") for row in np.flatnonzero(y < 0) if row not in bad})
    left_out += [LeftOut(f"line {lines[row]}", *bad[row]) for row in sorted(bad) if not is_blank[row]]
    left_out.sort(key=lambda item: int(item.name.split()[1]))
    kept = np.array([row for row in range(len(x)) if row not in bad and not is_blank[row]], int)
    n_seen = len(kept) + len(left_out)
    if not len(kept):
        found = "".join(f"\n{line}" for line in _group(left_out))
        raise DataImportError(f"{path} has no row that can be used; expected rows of numbers below the column names{found}")
    x, lines, y = x[kept], lines[kept], None if y is None else y[kept]
    if y is not None:  # some classes may have been in rows that are left out
        known, y = np.unique(y, return_inverse=True)
        class_names, y = [class_names[k] for k in known], y.astype(np.int64)
        if len(class_names) > max(2, len(y) / 3):
            raise DataImportError(
                f"{form.describe(column)} has {len(class_names):,} different values in {len(y):,} rows; expected classes, each "
                "with several rows. Name another column with --label, or leave --label out"
            )
    notes = [form.summary, *_find_odd_columns(x, columns, form, kind)]
    train, test, warned = _split(y, len(x), class_names, test_share, seed, "rows")
    arrays = {"x_train": x[train], "x_test": x[test], "kind": np.array(kind)}
    if y is not None:
        arrays |= {"y_train": y[train], "y_test": y[test], "class_names": np.array([_printable(name) for name in class_names])}
    _write(out, arrays, left_out)
    return _make_result(out, n_seen, "rows", left_out, notes + warned, [f"line {line}" for line in lines], train, test)


@dataclass(frozen=True)
class _Form:
    """How a table is written."""

    separator: str
    decimal: str
    encoding: str
    n_columns: int
    n_skipped: int  # lines before the first row
    names: tuple[str, ...] | None  # None without a header line

    def describe(self, k):
        return f"column {self.names[k]!r}" if self.names and self.names[k] else f"column {k} (counted from 0)"

    def option(self, k):
        return f"--label {_quote(self.names[k]) if self.names and self.names[k] else k}"

    @property
    def summary(self):
        decimal = ", decimal commas" if self.decimal == "," else ""
        names = f"column names {_list(self.names, N_SHOWN)}" if self.names else "no column names"
        return f"Read {self.n_columns:,} columns, separated by {_SEPARATORS[self.separator]}{decimal}; {names}."

    def find_column(self, label):
        text = str(label).strip()
        if self.names and text in self.names:
            return self.names.index(text)
        if re.fullmatch(r"-1|\d+", text) and int(text) < self.n_columns:
            return int(text) % self.n_columns
        if self.names:
            raise DataImportError(f"there is no column {text!r}; expected one of {_list(self.names, 20)}")
        raise DataImportError(
            f"--label {text}: the file has no line of column names; expected the number of a column, counted from 0, so 0 to "
            f"{self.n_columns - 1}, or -1 for the last one"
        )


def _find_form(path):
    """Find separator, decimal point, encoding and header from the first lines."""
    lines, encoding = _read_first_lines(path)
    rows = {k: line for k, line in enumerate(lines) if line.strip()}
    if not rows:
        raise DataImportError(f"{path} is empty; expected a table: column names, and a row of numbers for each example")
    for separator in _SEPARATORS:
        fields = {k: _cut(line, separator) for k, line in rows.items()}
        n_columns, n_lines = Counter(map(len, fields.values())).most_common(1)[0]
        if n_columns > 1 and n_lines > len(fields) / 2:
            break
        if n_columns > 1 and len(fields) == 2 and abs(np.diff([len(row) for row in fields.values()])[0]) == 1:
            n_columns = max(map(len, fields.values()))
            break
    else:
        shown = next(iter(rows.values())).strip()[:60]
        raise DataImportError(
            f"{path} is not a table of two or more columns: its first line is {_printable(shown)!r}. Expected in every line the same "
            "number of values, separated by commas, semicolons, tabs or blanks. Remove any lines above the column names"
        )
    values = [field for row in fields.values() for field in row]
    has_comma = any(re.fullmatch(r"[+-]?\d+,\d+", field) for field in values)
    has_point = any(re.fullmatch(r"[+-]?\d*\.\d+", field) for field in values)
    decimal = "," if has_comma and not has_point and separator != "," else "."
    start, first = next(iter(fields.items()))
    below = [row for row in list(fields.values())[1:] if len(row) == n_columns]
    if len(first) == n_columns - 1 and below:  # R writes no name above the names of the rows
        first = ["", *first]
    elif len(first) != n_columns:
        raise DataImportError(
            f"line {start + 1} of {path} has {len(first)} values, most others have {n_columns}; expected the same number in every "
            "line. Remove any lines above the column names"
        )
    names = tuple(field.strip("# ") for field in first) if _is_header(first, below, decimal) else None
    if names and len(set(filter(None, names))) < len(list(filter(None, names))):
        twice = next(name for name, n in Counter(filter(None, names)).items() if n > 1)
        raise DataImportError(f"two columns of {path} are called {twice!r}; expected different names: rename one")
    return _Form(separator, decimal, encoding, n_columns, start + 1 if names else start, names)


def _read_first_lines(path, n=50):
    try:
        with path.open("rb") as stream:
            beginning = stream.read(4096)
        encoding = "utf-16" if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        if encoding != "utf-16" and b"\0" in beginning:
            raise DataImportError(f"{path} is not a text file; expected a table (CSV). {_suggest_source(path)}")
        with path.open(encoding=encoding, newline=None) as stream:
            lines = [stream.readline(_LONGEST_LINE) for _ in range(n)]
    except UnicodeError:
        raise DataImportError(_say_encoding(path)) from None
    except OSError as error:
        raise DataImportError(f"{path} cannot be read ({error.strerror or error}); expected a file that you may read") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines, encoding


def _say_encoding(path):
    return f"{path} is not text in UTF-8; expected a table (CSV) in UTF-8. {_suggest_source(path)}"


def _cut(line, separator):
    if separator == r"\s+":
        line, separator = " ".join(line.split()), " "
    try:
        return [field.strip() for field in next(csv.reader([line.rstrip("\r\n")], delimiter=separator, skipinitialspace=True))]
    except csv.Error:  # a value of more than 131,072 characters
        return [line]


def _is_header(first, below, decimal):
    """Whether the first line does not fit the lines below it."""

    def is_number(field):
        return bool(_NUMBER.fullmatch(field.replace(",", ".") if decimal == "," else field))

    def may_be_number(field):
        return field.lower() in _MISSING or is_number(field)

    if all(map(may_be_number, first)) and any(map(is_number, first)):
        return False
    if not below or (first[0] == "" and not any(map(is_number, first))):  # a column of row names without a name
        return True
    if sum(field == str(k) for k, field in enumerate(first)) >= max(3, len(first) - 2):  # 0, 1, 2, ..., label
        return True
    numeric = [all(map(may_be_number, column)) and any(map(is_number, column)) for column in zip(*below)]
    return not any(numeric) or any(is_numeric and not may_be_number(field) for is_numeric, field in zip(numeric, first))


def _read_frame(path, form, label):
    """Read the rows. Return a data frame, the line of each row (from 1), and rows with too many values."""
    import pandas as pd

    missing = sorted({case(text) for text in _MISSING for case in (str, str.upper, str.capitalize)} | {"NaN"})
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame = pd.read_csv(
                path,
                sep=form.separator,
                decimal=form.decimal,
                encoding=form.encoding,
                header=None,
                names=range(form.n_columns),
                index_col=False,
                skiprows=form.n_skipped,
                skip_blank_lines=False,  # so that rows can be counted as lines
                skipinitialspace=True,
                low_memory=False,
                dtype={} if label is None else {label: str},
                keep_default_na=False,  # "NA" and "None" may be classes
                na_values={k: missing for k in range(form.n_columns) if k != label},
                on_bad_lines="warn",
            )
    except pd.errors.EmptyDataError:
        frame, caught = pd.DataFrame(columns=range(form.n_columns), dtype=str), []
    except UnicodeError:
        raise DataImportError(_say_encoding(path)) from None
    except (pd.errors.ParserError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataImportError(
            f"{path} cannot be read as a table ({reason}); expected the same number of values in every line"
        ) from error
    if label is not None:
        frame[label] = frame[label].fillna("").str.strip()
    told = " ".join(str(warning.message) for warning in caught)
    long = {int(line): int(n) for line, n in re.findall(r"Skipping line (\d+): expected \d+ fields, saw (\d+)", told)}
    lines = np.setdiff1d(np.arange(form.n_skipped + 1, form.n_skipped + 1 + len(frame) + len(long)), list(long))
    left_out = [LeftOut(f"line {line}", "too many values", f"{n} instead of {form.n_columns}") for line, n in long.items()]
    return frame, lines, left_out


def _read_numbers(frame, columns, form, label):
    """Convert columns to float32.

    Return the array, the columns that are in it, a dict of bad rows (row to reason and detail), and which rows are blank.
    """
    import pandas as pd

    x = np.empty((len(frame), len(columns)), np.float32)
    bad, lacking = {}, np.zeros((len(frame), len(columns)), bool)
    texts = {}
    for place, k in enumerate(columns):
        values = frame[k]
        if not pd.api.types.is_numeric_dtype(values):
            text = values.fillna("").astype(str).str.strip()
            number = pd.to_numeric(text.str.replace(",", ".") if form.decimal == "," else text, errors="coerce")
            lacking[:, place] = text.str.lower().isin(_MISSING)
            texts[place] = text.to_numpy()
            values = number
        else:
            lacking[:, place] = values.isna()
        with np.errstate(over="ignore"):
            x[:, place] = values.to_numpy(np.float64).astype(np.float32)
    has_label = label is not None
    is_blank = lacking.all(axis=1) & ((frame[label] == "").to_numpy() if has_label else True)
    is_bad = ~np.isfinite(x) & ~is_blank[:, None]
    _check_columns(x, is_bad, lacking, is_blank, texts, columns, form, has_label)

    n_rows = np.count_nonzero(~is_blank)
    used = [place for place in range(len(columns)) if not n_rows or not (lacking[:, place] | is_blank).all()]
    if len(used) < 2:
        raise DataImportError(
            f"the table has {len(used)} columns of values{' beside the label' if has_label else ''}; expected 2 or more, because an "
            "autoencoder looks for what the values of a row have in common"
        )
    for row, position in zip(*np.nonzero(is_bad[:, used])):
        if row not in bad:
            place = used[position]
            name = form.describe(columns[place])
            if lacking[row, place]:
                bad[row] = ("missing value", name)
            else:
                shown = texts[place][row] if place in texts else x[row, place]
                bad[row] = ("not a finite number", f"{name}: {_printable(str(shown))[:30]!r}" if place in texts else name)
    return x[:, used] if len(used) < len(columns) else x, [columns[place] for place in used], bad, is_blank


def _check_columns(x, is_bad, lacking, is_blank, texts, columns, form, has_label):
    """Refuse columns that hold texts, or hold nothing in most rows. A column without a name and without values is passed over."""
    n_rows = np.count_nonzero(~is_blank)
    problems, best = [], None
    for place, k in enumerate(columns):
        n_bad, n_lacking = is_bad[:, place].sum(), (lacking[:, place] & ~is_blank).sum()
        if n_bad <= n_rows / 2 or (n_lacking == n_rows and not (form.names and form.names[k])):
            continue
        if n_lacking == n_rows:
            problems.append(f"{form.describe(k)} is empty")
        elif place in texts and n_bad > n_lacking:
            wrong = texts[place][is_bad[:, place] & ~lacking[:, place]]
            examples = _list([repr(_printable(text)[:30]) for text in dict.fromkeys(wrong[:1000])], 3)
            share = "no numbers" if n_bad == n_rows else f"no number in {n_bad:,} of {n_rows:,} rows"
            problems.append(f"{form.describe(k)} has {share} (for example {examples})")
            best = k if best is None or len(set(wrong)) <= n_rows / 3 else best
        else:
            problems.append(f"{form.describe(k)} has no usable value in {n_bad:,} of {n_rows:,} rows")
    if problems:
        hint = (
            f"If it holds the classes, add {form.option(best)}. Otherwise remove"
            if best is not None and not has_label
            else "Remove"
        )
        raise DataImportError(
            f"{'; '.join(problems[:5])}{f'; and {len(problems) - 5} more' if len(problems) > 5 else ''}. Expected numbers in every "
            f"column{' but the label' if has_label else ''}. {hint} {'it' if len(problems) == 1 else 'these columns'} from the file."
        )


def _number_classes(texts):
    """Class names, sorted, and the number of each row's class; -1 where there is none."""
    import pandas as pd

    lower = texts.str.lower()
    numbers = pd.to_numeric(texts.where(~lower.isin(_MISSING)), errors="coerce")
    if numbers.notna().any() and (numbers.notna() | lower.isin(_MISSING)).all():
        known = np.unique(numbers.dropna())
        y = np.where(numbers.notna(), np.searchsorted(known, numbers.fillna(known[0])), -1)
        return [str(int(value)) if value == np.floor(value) else repr(float(value)) for value in known], y
    is_missing = lower.isin({"", "nan"})  # "none" may be a class
    known = sorted(set(texts[~is_missing]))
    y = texts.map({name: k for k, name in enumerate(known)}).fillna(-1).to_numpy(int)
    return known, np.where(is_missing, -1, y)


def _find_odd_columns(x, columns, form, kind):
    notes = []
    for place, k in enumerate(columns):
        if len(x) >= 10 and (np.diff(x[:, place]) == 1).all():
            notes.append(f"Note: {form.describe(k)} counts the rows. If it is only a number of the row, remove it from the file.")
    extent = x.max(axis=0) - x.min(axis=0)
    varying = np.flatnonzero(extent > 0)
    if kind == "series" and len(varying):
        small, large = (columns[varying[f(extent[varying])]] for f in (np.argmin, np.argmax))
        low, high = extent[varying].min(), extent[varying].max()
        if high > _RANGE_FACTOR * low:
            notes.append(
                f"Warning: {form.describe(large)} has a range of {high:.3g}, {form.describe(small)} one of {low:.3g}. Each row is taken "
                "as one curve, with one unit for all values. If the columns have different units, add --table: then each "
                "column is scaled by itself."
            )
    return notes


# ---- Both ----


def _check_arguments(out, source, seed, test_share, force):
    """Refuse what cannot work, before anything is read."""
    if not 0 < test_share < 1:
        raise DataImportError(f"test_share={test_share!r}: expected a share above 0 and below 1, for example 0.2")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise DataImportError(f"seed={seed!r}: expected a whole number, 0 or more")
    if out.suffix != ".npz":
        raise DataImportError(f"{out}: expected a file name that ends in .npz, for example {out.stem or 'mine'}.npz")
    if not source.exists():
        raise DataImportError(f"there is no {source}; expected a folder of pictures or a table (CSV). Check the name")
    if not out.parent.is_dir():
        raise DataImportError(f"{out}: there is no folder {out.parent}; expected an existing folder. Make it first")
    if not os.access(out.parent, os.W_OK):
        raise DataImportError(f"{out}: you may not write into {out.parent}; choose another folder")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise DataImportError(
            f"{out} would be inside {source}, and its picture {_picture_path(out).name} would be imported next time; choose a place "
            "outside"
        )
    for path in (out, _picture_path(out), _report_path(out)):
        if path.is_dir():
            raise DataImportError(f"{path} is a folder; expected a name that is free. Choose another name")
        if path.exists() and not force:
            raise DataImportError(f"{path} exists already; choose another name, or add --force to replace it")


def _suggest_source(path):
    suffix = path.suffix.lower()
    if path.is_dir():
        return "For a folder of pictures, use import_folder"
    if suffix in (".xlsx", ".xls", ".ods", ".numbers"):
        return "Save the sheet as CSV UTF-8 in your spreadsheet program"
    if suffix in (".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".xz"):
        return "Unpack it first"
    if suffix in (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic"):
        return "For pictures, name their folder"
    if suffix in (".csv", ".txt", ".tsv", ".data"):
        return "In a spreadsheet program, save it as CSV UTF-8"
    return "Check the name"


def _split(y, n, class_names, test_share, seed, unit):
    """Draw the test part from each class. Return sorted indices of training and test, and warnings."""
    rng = np.random.default_rng(seed)
    groups = [np.arange(n)] if y is None else [np.flatnonzero(y == k) for k in range(len(class_names))]
    small = [f"{_printable(class_names[k])} ({len(group)})" for k, group in enumerate(groups) if len(group) < 3 and y is not None]
    test = []
    for group in groups:
        if len(group) >= 3:
            test.append(rng.permutation(group)[: min(max(1, round(len(group) * test_share)), len(group) - 1)])
    test = np.sort(np.concatenate([np.empty(0, int), *test]))
    train = np.setdiff1d(np.arange(n), test)
    if not len(test) or len(train) < 3:
        raise DataImportError(
            f"{n} usable {unit}{f' in {len(groups)} classes' if y is not None else ''} become {len(train)} for training and {len(test)} "
            f"for test; expected at least 3 and 1, and 3 {unit} in some class. Add more{', or lower --test-share' if len(test) else ''}"
        )
    warned = []
    if small:
        warned.append(
            f"Warning: classes with fewer than 3 {unit}: {_list(small, N_SHOWN)}. They are used for training only, so nothing tests "
            "them. Add more, or remove the class."
        )
    return train, test, warned


def _write(out, arrays, left_out):
    try:
        with replacing(out) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        if left_out:
            rows = (f"{item.name}\t{item.reason}{f': {item.detail}' if item.detail else ''}\n" for item in left_out)
            write_whole(_report_path(out), "".join(rows))
        else:
            _report_path(out).unlink(missing_ok=True)  # that of the file before
    except OSError as error:
        raise DataImportError(_say_unwritten(out, error, sum(array.nbytes for array in arrays.values()))) from error


def _say_unwritten(path, error, size):
    return (
        f"{path} could not be written ({error.strerror or error}). Expected a folder that you may write into, with up to "
        f"{math.ceil(size / 1e6):,} MB free. Make room, or choose another folder"
    )


def _make_result(out, n_seen, unit, left_out, notes, names, train, test):
    parts = {"train": tuple(names[k] for k in train), "test": tuple(names[k] for k in test)}
    return ImportResult(out, n_seen, unit, tuple(left_out), tuple(notes), parts)


def _sort_names(names):
    """Sort as texts, or as numbers if all of them are whole numbers."""
    numeric = all(re.fullmatch(r"[0-9]+", name) for name in names)
    return sorted(names, key=lambda name: (int(name) if numeric else 0, name))


def _printable(text):
    """Replace what a terminal or a file in UTF-8 cannot hold: control characters, and bytes that are not text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def _quote(text):
    return f'"{text}"' if re.search(r"[^\w./\\:+=@-]", str(text)) else str(text)


# ---- A first look ----

_KOREAN_FONTS = ("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic")


def describe(path, names=None):
    """Describe a file that `import_folder` or `import_table` wrote, and draw examples beside it.

    The picture has the name of the file with ``.png``. It shows eight training examples of each of at most ten classes,
    drawn at random; rows are drawn as curves, those of a table with each column scaled to 0 to 1.

    Parameters
    ----------
    path : path
        The ``.npz`` file.
    names : dict of str to sequence of str, optional
        ``ImportResult.names``, so that warnings can name files or lines. Default: places such as ``x_train[3]``.

    Returns
    -------
    str
        Examples of each part and class, shape, range of values, warnings, and the next command.

    Raises
    ------
    DataImportError
        The picture cannot be written.
    """
    path = Path(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    x_train, x_test = arrays["x_train"], arrays["x_test"]
    has_images = x_train.ndim == 4
    if has_images:
        what = f"pictures of {x_train.shape[1]}x{x_train.shape[2]} pixels, {'grey' if x_train.shape[3] == 1 else 'RGB'}"
    else:
        what = f"rows of {x_train.shape[1]} values, taken as a {arrays['kind']}"
    low, high = min(x_train.min(), x_test.min()), max(x_train.max(), x_test.max())
    lines = [f"{path}: {len(x_train) + len(x_test):,} {what}; {x_train.dtype} from {low:g} to {high:g}", ""]
    lines += _tabulate(arrays)
    if found := _find_warnings(arrays, names or {}):
        lines += ["", "Warnings", *(f"- {text}" for text in found)]
    _draw(arrays, _picture_path(path))
    question = "Is every picture upright, and in its class?" if has_images else "Do the curves look as you expect?"
    lines += ["", f"Examples are drawn in {_picture_path(path)}. Look at them before the first training. {question}"]
    lines += [f"Next: python -m aeutils run 01 -p dataset {_quote(path)}"]
    return "\n".join(lines)


def _tabulate(arrays, n_rows=20):
    """A line for each class with its numbers of training and test examples, and a line for all."""
    rows = []
    if "y_train" in arrays:
        class_names = arrays["class_names"]
        counts = [np.bincount(arrays[y], minlength=len(class_names)) for y in ("y_train", "y_test")]
        rows = [(str(name), *row) for name, *row in zip(class_names, *counts)]
        if len(rows) > n_rows:
            rest = np.array([row[1:] for row in rows[n_rows:]]).sum(axis=0)
            rows = [*rows[:n_rows], (f"{len(rows) - n_rows} more classes", *rest)]
    rows.append(("all" if rows else "no labels", len(arrays["x_train"]), len(arrays["x_test"])))
    width = max(len(row[0]) for row in rows)
    head = f"{'class' if len(rows) > 1 else '':<{width}}  {'training':>8}  {'test':>8}"
    return [head, *(f"{name:<{width}}  {train:>8,}  {test:>8,}" for name, train, test in rows)]


def _find_warnings(arrays, names):
    x_train, x_test = arrays["x_train"], arrays["x_test"]
    has_images = x_train.ndim == 4
    unit = "pictures" if has_images else "rows"

    def name(part, k):
        return names[part][k] if part in names else f"x_{part}[{k}]"

    found = []
    if len(x_train) < FEW:
        found.append(
            f"There are fewer than {FEW} training {unit} ({len(x_train)}). Results depend much on chance: compare several seeds."
        )
    if "y_train" in arrays:
        found += _find_class_warnings(arrays, unit)
    flat = [
        name(part, k)
        for part in ("train", "test")
        for k in np.flatnonzero(np.ptp(arrays[f"x_{part}"].reshape(len(arrays[f"x_{part}"]), -1), axis=1) == 0)
    ]
    if flat:
        found.append(
            f"{unit.capitalize()} with one value everywhere: {len(flat):,} ({_list(flat, 5)}). Is there anything in them?"
        )
    if has_images:
        found += _find_picture_warnings(x_train, x_test, name)
    else:
        constant = [f"{k}" for k in np.flatnonzero(np.ptp(x_train, axis=0) == 0)]
        if constant:
            found.append(
                f"Columns with one value in all training rows: {len(constant):,} ({_list(constant, N_SHOWN)}, counted from 0, without "
                "the label). They tell nothing; you can remove them."
            )
        known = {row.tobytes(): k for k, row in enumerate(x_train)}
        same = [(k, known[row.tobytes()]) for k, row in enumerate(x_test) if row.tobytes() in known]
        if same:
            found.append(
                f"Test rows that are also training rows: {len(same):,} of {len(x_test):,} (for example {name('test', same[0][0])} = "
                f"{name('train', same[0][1])}). Results on the test part look better than they are."
            )
    return found


def _find_class_warnings(arrays, unit):
    class_names, found = arrays["class_names"], []
    counts = np.bincount(np.concatenate([arrays["y_train"], arrays["y_test"]]), minlength=len(class_names))
    small = [f"{class_names[k]} ({counts[k]})" for k in np.flatnonzero(counts < FEW_IN_CLASS)]
    if small:
        found.append(f"Classes with fewer than {FEW_IN_CLASS} {unit}: {_list(small, 5)}. Results for them are uncertain.")
    if counts.max() > 10 * counts.min():
        found.append(
            f"Class {class_names[counts.argmax()]} has {counts.max():,} {unit}, class {class_names[counts.argmin()]} {counts.min():,}. A "
            "network learns mostly the large classes. Look at the results of each class, not only at their mean."
        )
    return found


def _find_picture_warnings(x_train, x_test, name):
    found, mean = [], x_train.mean() / 255
    if mean < 0.04 or mean > 0.96:
        found.append(
            f"The pictures are almost {'black' if mean < 0.5 else 'white'}: their mean is {mean:.3f} (0 is black, 1 is white). "
            "Pictures of 16 bits that use only a part of the range become dark: stretch the range before the import."
        )
    if x_train.shape[3] == 3 and all((x_train[..., k] == x_train[..., 0]).all() for k in (1, 2)):
        found.append("No picture has colours. With --grey the file is a third of the size and training is faster.")
    if pairs := _find_near_copies(x_train, x_test):
        listed = _list([f"{name('test', t)} and {name('train', k)}" for t, k in pairs], 3)
        found.append(
            f"Test pictures that are nearly the same as a training picture: {len(pairs):,} of {min(len(x_test), N_COMPARED):,} "
            f"({listed}). Results on the test part look better than they are. Keep one picture of each scene."
        )
    return found


def _find_near_copies(x_train, x_test, share=0.01):
    """Pairs of a test and a training picture whose squared difference is below a share of the variance of the pictures.

    Small grey versions find the nearest training picture for each of the first N_COMPARED test pictures.
    """
    from sklearn.metrics import pairwise_distances_argmin

    edges = np.linspace(0, x_train.shape[1], min(8, x_train.shape[1]) + 1).astype(int)[:-1]

    def reduce(x):
        small = []
        for start in range(0, len(x), 1000):  # floats of all pictures at once could fill the memory
            part = x[start : start + 1000].mean(axis=3, dtype=np.float32)
            small.append(np.add.reduceat(np.add.reduceat(part, edges, axis=1), edges, axis=2).reshape(len(part), -1))
        return np.concatenate(small)

    x_test = x_test[:N_COMPARED]
    nearest = pairwise_distances_argmin(reduce(x_test), reduce(x_train))
    variance = np.mean(x_train[:: -(-len(x_train) // 1000)].std(axis=0, dtype=np.float32) ** 2)
    pairs = []
    for t, k in enumerate(nearest):
        difference = x_test[t].astype(np.float32) - x_train[k]
        if np.mean(difference**2) < share * variance:
            pairs.append((t, int(k)))
    return pairs


def _draw(arrays, path, n_classes=10, n_examples=8):
    import matplotlib.pyplot as plt
    from matplotlib import font_manager

    from aeutils.plots import plot_images

    rng = np.random.default_rng(0)
    x_train, is_table = arrays["x_train"], str(arrays.get("kind")) == "table"

    def scale(x):
        if x.ndim == 4:
            return x / np.float32(255)
        low, extent = x_train.min(axis=0), np.ptp(x_train, axis=0)
        return (x - low) / np.where(extent > 0, extent, 1) if is_table else x

    known = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(font for font in _KOREAN_FONTS if font in known)]
    glyphs = set().union(*(font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in families))
    rows = {}
    if "y_train" in arrays:
        class_names, y_train = arrays["class_names"], arrays["y_train"]
        for k in np.unique(y_train)[:n_classes]:
            members = np.flatnonzero(y_train == k)
            text = str(class_names[k]) if set(map(ord, str(class_names[k]))) <= glyphs else f"class {k}"
            text = text if len(text) <= 20 else f"{text[:19]}\N{HORIZONTAL ELLIPSIS}"
            text = text.replace("$", r"\$")  # no formula
            label = f"{text} ({len(members):,})"
            while label in rows:  # two long names that begin alike
                label += " "
            rows[label] = scale(x_train[rng.permutation(members)[:n_examples]])
        some = f", {len(rows)} of {len(class_names)} classes" if len(class_names) > n_classes else ""
        title = f"training examples, {n_examples} of each class{some}"
    else:
        chosen = rng.permutation(len(x_train))[: 4 * n_examples]
        for start in range(0, len(chosen), n_examples):
            rows[" " * (1 + start // n_examples)] = scale(x_train[chosen[start : start + n_examples]])
        title = "training examples"
    if x_train.ndim == 2:
        title += ", each column from 0 to 1" if is_table else ", all with the same vertical axis"
    with plt.rc_context({"font.family": families}):
        ax = plot_images(rows, columns=n_examples)
        if "y_train" not in arrays and x_train.ndim == 2:
            for curve in ax.lines:
                curve.set_color("black" if len(curve.get_xdata()) == x_train.shape[1] else "0.85")  # or a line between curves
        try:
            ax.set_title(title, fontsize=10, loc="left")
            with replacing(path) as temporary:
                ax.figure.savefig(temporary, format="png", bbox_inches="tight", pad_inches=0.15, facecolor="white")
        except OSError as error:
            raise DataImportError(_say_unwritten(path, error, 1e6)) from error
        finally:
            plt.close(ax.figure)
