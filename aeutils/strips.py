"""Strips of small images side by side, and the words that say what stands on them: data for reading with attention."""

from dataclasses import dataclass

import numpy as np

from aeutils.errors import UserError

DIGITS = tuple("0123456789")
LANGUAGES = ("english", "korean")
LARGEST = 999_999
MAX_COMBINATIONS = 2_000_000
PAD, START, END = 0, 1, 2  # numbers of the three marks, before the words

_ONES = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_KOREAN = tuple("영일이삼사오육칠팔구")
_PLACES = ("", "십", "백", "천")
_ROMAN = dict(zip((*_KOREAN, "십", "백", "천", "만"), "yeong il i sam sa o yuk chil pal gu sip baek cheon man".split()))


class StripError(UserError, ValueError):
    """Strips or their words cannot be made from this. The message says what was expected."""


def number_to_words(number, language="english"):
    """Write a whole number in words.

    English is written without "and" and without hyphens. In Korean every syllable is a word of its own, because each
    stands for a digit or a place. A one before a place is left out, and so is a zero, except for the number 0 itself.

    Parameters
    ----------
    number : int
        From 0 to 999,999.
    language : str
        ``"english"`` or ``"korean"``.

    Returns
    -------
    tuple of str

    Raises
    ------
    StripError
        The number is out of range, or the language is another one.

    Examples
    --------
    >>> " ".join(number_to_words(325))
    'three hundred twenty five'
    >>> "".join(number_to_words(325, "korean")), "".join(number_to_words(11110, "korean"))
    ('삼백이십오', '만천백십')
    """
    return tuple(word for word, _ in _spell(str(_check_number(number)), _check_language(language)))


def words_to_number(words, language="english"):
    """Read a number in words. It is the inverse of `number_to_words`.

    Parameters
    ----------
    words : sequence of str
    language : str

    Returns
    -------
    int or None
        None if the words are not the words of a number, for example ``("hundred", "three")``.

    Examples
    --------
    >>> words_to_number("three hundred twenty five".split()), words_to_number(["hundred", "three"])
    (325, None)
    """
    read = _read_english if _check_language(language) == "english" else _read_korean
    number = read(tuple(words))
    is_right = number is not None and number <= LARGEST and number_to_words(number, language) == tuple(words)
    return number if is_right else None


@dataclass(frozen=True)
class Wording:
    """The sentence for each sequence of classes, as words and as numbers of a vocabulary.

    If the classes are named 0 to 9, a sequence is a number, and the sentence is this number in words. Other classes (own
    data, Fashion-MNIST) are named one after the other: "bag coat sandal". Then the language makes no difference.

    Parameters
    ----------
    class_names : sequence of str
        Names of the classes 0, 1, ...
    language : str
        ``"english"`` or ``"korean"``.

    Raises
    ------
    StripError
        Fewer than two classes, two classes of one name, or an unknown language.

    Examples
    --------
    >>> wording = Wording("0123456789", "english")
    >>> wording.write((1, 0, 7)), wording.read(("one", "hundred", "seven"))
    (('one', 'hundred', 'seven'), (1, 0, 7))
    >>> Wording(("bag", "coat")).write((1, 0, 1))
    ('coat', 'bag', 'coat')
    """

    class_names: tuple[str, ...]
    language: str = "english"

    def __post_init__(self):
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        _check_language(self.language)
        n, n_names = len(self.class_names), len(set(self.class_names))
        if n < 2 or n_names < n:
            raise StripError(f"class_names has {n} classes with {n_names} different names; expected two or more, all different")

    @property
    def is_number(self):
        """Whether sentences are numbers in words."""
        return self.class_names == DIGITS

    @property
    def vocabulary(self):
        """All words that can occur, after the three marks ``<pad>``, ``<start>`` and ``<end>``."""
        if not self.is_number:
            words = self.class_names
        elif self.language == "english":
            words = (*_ONES, *_TEENS, *_TENS, "hundred", "thousand")
        else:
            words = (*_KOREAN, *_PLACES[1:], "만")
        return ("<pad>", "<start>", "<end>", *words)

    def write(self, classes):
        """The words for a sequence of classes, as a tuple."""
        return tuple(word for word, _ in self.align(classes))

    def align(self, classes):
        """Each word with the places in the sequence that it speaks of, the first being 0.

        Examples
        --------
        >>> Wording("0123456789").align((3, 1, 5))
        [('three', (0,)), ('hundred', (0,)), ('fifteen', (1, 2))]
        """
        if not self.is_number:
            return [(self.class_names[k], (place,)) for place, k in enumerate(classes)]
        return _spell("".join(map(str, classes)), self.language)

    def read(self, words):
        """The sequence of classes that a sentence speaks of, as a tuple; None if it is not a sentence of this wording."""
        if self.is_number:
            number = words_to_number(words, self.language)
            return None if number is None else tuple(map(int, str(number)))
        names = {name: k for k, name in enumerate(self.class_names)}
        return tuple(names[word] for word in words) if words and all(word in names for word in words) else None

    def join(self, words, roman=False):
        """The sentence as text. Korean numbers are written without spaces, or, with `roman`, in Latin letters.

        Examples
        --------
        >>> korean = Wording("0123456789", "korean")
        >>> korean.join(("삼", "백", "오")), korean.join(("삼", "백", "오"), roman=True)
        ('삼백오', 'sam baek o')
        """
        if self.is_number and self.language == "korean":
            return " ".join(_ROMAN.get(word, word) for word in words) if roman else "".join(words)
        return " ".join(words)

    def encode(self, sequences, length=None):
        """Numbers of the words, with ``<start>`` before them and ``<end>`` after them, filled up with ``<pad>``.

        Parameters
        ----------
        sequences : array_like of int
            Shape (n, n_classes of a strip).
        length : int, optional
            Columns of the result. Default: as many as the longest sentence needs.

        Returns
        -------
        numpy.ndarray
            int32, shape (n, length).

        Raises
        ------
        StripError
            A sentence is longer than `length`.
        """
        number = {word: k for k, word in enumerate(self.vocabulary)}
        rows = [[START, *(number[word] for word in self.write(classes)), END] for classes in np.asarray(sequences).tolist()]
        longest = max(map(len, rows), default=2)
        if length is not None and longest > length:
            raise StripError(f"length={length}: expected at least {longest}, for the longest sentence with its two marks")
        encoded = np.full((len(rows), length or longest), PAD, np.int32)
        for row, values in zip(encoded, rows):
            row[: len(values)] = values
        return encoded

    def decode(self, numbers):
        """The words of one encoded sentence, without marks, up to ``<end>``."""
        words = []
        for k in np.asarray(numbers).tolist():
            if k == END:
                break
            if k not in (PAD, START):
                words.append(self.vocabulary[k])
        return tuple(words)


def split_combinations(wording, n_items, share=0.1, seed=0):
    """Divide all sequences of classes into those for training and those that are kept for the test.

    Numbers do not start with 0. A sequence is kept only if each of its words still occurs, with the same place in the
    sequence, in a sequence for training: what is new is the combination, not a word.

    Parameters
    ----------
    wording : Wording
    n_items : int
        Length of a sequence: images on a strip, 2 or more.
    share : float
        Share that is kept, between 0 and 1. At least one sequence is kept.
    seed : int

    Returns
    -------
    seen, unseen : numpy.ndarray
        int64, shape (n, n_items), in ascending order.

    Raises
    ------
    StripError
        `n_items` below 2 (or above 6 for numbers), more than 2,000,000 sequences, `share` out of range, or no sequence
        can be kept.

    Examples
    --------
    >>> seen, unseen = split_combinations(Wording("0123456789"), 3)
    >>> len(seen), len(unseen)
    (810, 90)
    """
    n_classes = len(wording.class_names)
    most = len(str(LARGEST)) if wording.is_number else 20
    if not 2 <= n_items <= most:
        raise StripError(f"n_items={n_items}: expected from 2 to {most}")
    if n_classes**n_items > MAX_COMBINATIONS:
        raise StripError(f"{n_classes} classes, {n_items} of them on a strip: expected at most {MAX_COMBINATIONS:,} combinations")
    if not 0 < share < 1:
        raise StripError(f"share={share!r}: expected a number between 0 and 1, for example 0.1")
    everything = np.stack(np.unravel_index(np.arange(n_classes**n_items), (n_classes,) * n_items), axis=1)
    if wording.is_number:
        everything = everything[everything[:, 0] > 0]
    parts = [wording.align(classes) for classes in everything.tolist()]
    counts = {}
    for part in (part for row in parts for part in row):
        counts[part] = counts.get(part, 0) + 1
    wanted, kept = max(1, round(share * len(everything))), []
    for k in np.random.default_rng(seed).permutation(len(everything)):
        if len(kept) == wanted:
            break
        if all(counts[part] > 1 for part in parts[k]):
            kept.append(k)
            for part in parts[k]:
                counts[part] -= 1
    if not kept:
        raise StripError(f"{len(everything)} combinations: expected one whose words occur in others too; more items help")
    return np.delete(everything, kept, axis=0), everything[np.sort(kept)]


@dataclass(frozen=True, eq=False, repr=False)
class Strips:
    """Strips of images with what stands on them.

    Attributes
    ----------
    x : numpy.ndarray
        float32, shape (n, height, width, channels), values in [0, 1].
    classes : numpy.ndarray
        int64, shape (n, n_items), from left to right.
    left : numpy.ndarray
        int64, shape (n, n_items): the first column of each image.
    """

    x: np.ndarray
    classes: np.ndarray
    left: np.ndarray

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        n, *shape = self.x.shape
        return f"{n:,} strips {tuple(shape)} of {self.classes.shape[1]} images"


def make_strips(images, labels, combinations, n, *, gap=(-0.2, 0.0), jitter=0.07, size=None, seed=0):
    """Lay images side by side on a black strip, at random distances and heights.

    For each strip a combination is drawn, and for each of its classes an image of this class. Where two images lie on
    each other, the brighter pixel is seen. The row of images starts at a random column, so that a class has no fixed place.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (m, height, width, 1 or 3), values in [0, 1]: bright objects on a dark ground, as in MNIST.
    labels : numpy.ndarray
        Whole numbers from 0, shape (m,).
    combinations : array_like of int
        Shape (n_combinations, n_items): the sequences of classes that may occur, as `split_combinations` returns them.
        Those with a class that has no image are left out.
    n : int
        Number of strips.
    gap : tuple of float
        Smallest and largest distance between two images, in widths of an image. It is negative where images overlap:
        digits of MNIST have an empty border of a seventh on each side.
    jitter : float
        Largest shift upwards or downwards, in heights of an image. What leaves the strip is cut off.
    size : tuple of int, optional
        (height, width) of a strip. Default: see `compute_size`.
    seed : int or sequence of int
        Seed of the random numbers. The same arguments give the same strips.

    Returns
    -------
    Strips

    Raises
    ------
    StripError
        The images do not have four axes or leave [0, 1]; the labels do not fit them; no combination can be made of them;
        a setting is out of range; or the images do not fit on the strip.

    Examples
    --------
    >>> x = np.ones((2, 8, 8, 1), np.float32)
    >>> strips = make_strips(x, np.array([0, 1]), [(0, 1, 1)], 5)
    >>> strips.x.shape, strips.classes[0].tolist()
    ((5, 8, 24, 1), [0, 1, 1])
    """
    images, labels = _check_images(images, labels)
    combinations = np.asarray(combinations)
    if n < 1 or combinations.ndim != 2 or 0 in combinations.shape:
        raise StripError(
            f"n={n}, combinations of shape {combinations.shape}: expected 1 or more strips, (n_combinations, n_items)"
        )
    if not (len(gap) == 2 and -1 < gap[0] <= gap[1]) or not 0 <= jitter < 1:
        raise StripError(
            f"gap={gap!r}, jitter={jitter!r}: expected a smallest and a largest gap above -1, a jitter from 0 to below 1"
        )
    if combinations.min() < 0:
        raise StripError("combinations has negative numbers; expected classes, counted from 0")
    # images of class k: order[first[k] : first[k] + counts[k]]; sorting 16 bits is quick
    order = np.argsort(labels.astype(np.uint16), kind="stable")
    counts = np.bincount(labels, minlength=combinations.max() + 1)
    first = np.cumsum(counts) - counts
    possible = (counts[combinations] > 0).all(axis=1)
    if not possible.any():
        raise StripError(
            f"there are images of the classes {np.unique(labels).tolist()} only; expected all classes of a combination"
        )
    combinations = combinations[possible]

    height, width, channels = images.shape[1:]
    n_items = combinations.shape[1]
    rows, columns = size or compute_size((height, width), n_items)
    rng = np.random.default_rng(seed)
    classes = combinations[rng.integers(0, len(combinations), n)]
    steps = np.round(width * (1 + rng.uniform(*gap, (n, n_items)))).astype(np.int64)
    steps[:, 0] = 0
    left = np.maximum(np.cumsum(steps, axis=1), 0)
    free = columns - (left[:, -1] + width)
    if rows < height or free.min() < 0:
        raise StripError(
            f"a strip of {rows}x{columns} pixels: expected at least {height}x{columns - int(free.min())} for these images"
        )
    left += rng.integers(0, free + 1)[:, None]
    shift = int(jitter * height)
    top = (rows - height) // 2 + rng.integers(-shift, shift + 1, (n, n_items))
    chosen = order[first[classes] + rng.integers(0, counts[classes])]

    x = np.zeros((n, rows + 2 * shift, columns, channels), np.float32)  # with room above and below
    for strip, row, tops, lefts in zip(x, chosen.tolist(), top.tolist(), left.tolist()):
        for i, t, s in zip(row, tops, lefts):
            there = strip[shift + t : shift + t + height, s : s + width]
            np.maximum(there, images[i], out=there)
    return Strips(np.ascontiguousarray(x[:, shift : shift + rows]), classes, left)


def compute_size(image_size, n_items):
    """Height and width of a strip: both can be cut into square patches, four of them above each other.

    Examples
    --------
    >>> compute_size((28, 28), 3), compute_size((8, 8), 3), compute_size((30, 25), 2)
    ((28, 84), (8, 24), (32, 56))
    """
    patch = -(-image_size[0] // 4)
    return 4 * patch, -(-n_items * image_size[1] // patch) * patch


# ---- Numbers in words ----


def _spell(digits, language):
    """Words of a number, each with the places of the digits that it speaks of."""
    return (_spell_english if language == "english" else _spell_korean)(digits)


def _spell_english(digits):
    if not digits.strip("0"):
        return [("zero", (len(digits) - 1,))]
    words = []
    for start, end, name in ((0, len(digits) - 3, "thousand"), (max(0, len(digits) - 3), len(digits), "")):
        group = [(int(digit), place) for place, digit in enumerate(digits)][max(0, start) : max(0, end)]
        group = [(0, -1)] * (3 - len(group)) + group
        (hundreds, at_100), (tens, at_10), (ones, at_1) = group
        before = len(words)
        if hundreds:
            words += [(_ONES[hundreds], (at_100,)), ("hundred", (at_100,))]
        if tens == 1:
            words.append((_TEENS[ones], (at_10, at_1)))
        elif tens:
            words.append((_TENS[tens - 2], (at_10,)))
        if ones and tens != 1:
            words.append((_ONES[ones], (at_1,)))
        if name and len(words) > before:
            words.append((name, tuple(place for value, place in group if value)))
    return words


def _spell_korean(digits):
    if not digits.strip("0"):
        return [("영", (len(digits) - 1,))]
    words = []
    for start, end, name in ((0, len(digits) - 4, "만"), (max(0, len(digits) - 4), len(digits), "")):
        group = [(int(digit), place) for place, digit in enumerate(digits)][max(0, start) : max(0, end)]
        of_group = []
        for power, (value, place) in zip(reversed(range(len(group))), group):
            if value > 1 or (value == 1 and power == 0):
                of_group.append((_KOREAN[value], (place,)))
            if value and power:
                of_group.append((_PLACES[power], (place,)))
        if name and [word for word, _ in of_group] == ["일"]:
            of_group = []  # 만, not 일만
            words.append((name, tuple(place for value, place in group if value)))
        elif name and of_group:
            of_group.append((name, tuple(place for value, place in group if value)))
        words += of_group
    return words


def _read_english(words):
    values = {word: k for k, word in enumerate(_ONES)} | {word: 10 + k for k, word in enumerate(_TEENS)}
    values |= {word: 20 + 10 * k for k, word in enumerate(_TENS)}
    total = group = 0
    for word in words:
        if word in values:
            group += values[word]
        elif word == "hundred":
            group *= 100
        elif word == "thousand":
            total, group = total + 1000 * group, 0
        else:
            return None
    return total + group if words else None


def _read_korean(words):
    total = group = digit = 0
    for word in words:
        if word in _KOREAN:
            digit = _KOREAN.index(word)
        elif word in _PLACES[1:]:
            group, digit = group + max(1, digit) * 10 ** _PLACES.index(word), 0
        elif word == "만":
            total, group, digit = total + 10_000 * max(1, group + digit), 0, 0
        else:
            return None
    return total + group + digit if words else None


# ---- Checks ----


def _check_number(number):
    if not (isinstance(number, (int, np.integer)) and 0 <= number <= LARGEST):
        raise StripError(f"number={number!r}: expected a whole number from 0 to {LARGEST:,}")
    return int(number)


def _check_language(language):
    if language not in LANGUAGES:
        raise StripError(f"language={language!r}: expected 'english' or 'korean'")
    return language


def _check_images(images, labels):
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.size == 0:
        raise StripError(f"images has shape {images.shape}; expected (m, height, width, 1 or 3), at least one image")
    low, high = (float(f(images[:: 1 + len(images) // 100])) for f in (np.min, np.max))
    if not (low >= 0 and high <= 1):
        raise StripError(f"images has values from {low:g} to {high:g}; expected values in [0, 1]")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise StripError(f"labels has shape {labels.shape} and dtype {labels.dtype}; expected ({len(images)},) whole numbers")
    if not 0 <= labels.min() <= labels.max() < 2**16:
        raise StripError(f"labels are from {labels.min()} to {labels.max()}; expected from 0 to {2**16 - 1}")
    return images, labels
