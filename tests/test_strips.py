import numpy as np
import pytest

from aeutils.errors import UserError
from aeutils.plots import KOREAN_FONTS, find_fonts
from aeutils.strips import (
    END,
    PAD,
    START,
    Wording,
    compute_size,
    make_strips,
    number_to_words,
    split_combinations,
    words_to_number,
)

# Ten classes of full squares; the brightness tells the class, so a strip can be read back.
IMAGES = np.repeat(np.linspace(0.1, 1, 10, dtype=np.float32), 4)[:, None, None, None] * np.ones((1, 8, 8, 1), np.float32)
LABELS = np.repeat(np.arange(10), 4)
DIGITS = Wording("0123456789")

KNOWN = {
    0: ("zero", "영"),
    7: ("seven", "칠"),
    10: ("ten", "십"),
    11: ("eleven", "십일"),
    19: ("nineteen", "십구"),
    20: ("twenty", "이십"),
    42: ("forty two", "사십이"),
    100: ("one hundred", "백"),
    101: ("one hundred one", "백일"),
    110: ("one hundred ten", "백십"),
    111: ("one hundred eleven", "백십일"),
    207: ("two hundred seven", "이백칠"),
    325: ("three hundred twenty five", "삼백이십오"),
    900: ("nine hundred", "구백"),
    999: ("nine hundred ninety nine", "구백구십구"),
    1000: ("one thousand", "천"),
    1066: ("one thousand sixty six", "천육십육"),
    2000: ("two thousand", "이천"),
    10000: ("ten thousand", "만"),
    12345: ("twelve thousand three hundred forty five", "만이천삼백사십오"),
    20015: ("twenty thousand fifteen", "이만십오"),
    100000: ("one hundred thousand", "십만"),
    110001: ("one hundred ten thousand one", "십일만일"),
    999999: ("nine hundred ninety nine thousand nine hundred ninety nine", "구십구만구천구백구십구"),
}


@pytest.mark.parametrize("number", KNOWN)
def test_numbers_known_by_hand(number):
    english, korean = KNOWN[number]
    assert " ".join(number_to_words(number)) == english
    assert "".join(number_to_words(number, "korean")) == korean
    assert words_to_number(english.split()) == words_to_number(tuple(korean), "korean") == number


@pytest.mark.parametrize("language", ["english", "korean"])
def test_every_number_has_words_of_its_own_and_they_are_read_back(language):
    numbers = [*range(2000), *range(9990, 10200), *range(11, 1_000_000, 997)]
    words = [number_to_words(number, language) for number in numbers]
    assert len(set(words)) == len(set(numbers))
    assert [words_to_number(sentence, language) for sentence in words] == numbers


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("", "english"),
        ("hundred three", "english"),
        ("one two", "english"),
        ("twenty ten", "english"),
        ("five twenty", "english"),
        ("three hundred hundred", "english"),
        ("three hundred zero", "english"),
        ("three hundred and five", "english"),
        ("thousand", "english"),
        ("one thousand thousand", "english"),
        ("삼 백 이 십 영", "korean"),
        ("일 백", "korean"),
        ("일 만", "korean"),
        ("이 삼", "korean"),
        ("십 백", "korean"),
        ("three hundred", "korean"),
        ("삼 백", "english"),
    ],
)
def test_what_is_not_a_number_is_not_read(words, language):
    assert words_to_number(words.split(), language) is None


def test_words_know_their_digits():
    assert DIGITS.align((3, 2, 5)) == [("three", (0,)), ("hundred", (0,)), ("twenty", (1,)), ("five", (2,))]
    assert DIGITS.align((7, 1, 2)) == [("seven", (0,)), ("hundred", (0,)), ("twelve", (1, 2))]
    assert DIGITS.align((1, 0, 5, 0, 0)) == [("ten", (0, 1)), ("thousand", (0,)), ("five", (2,)), ("hundred", (2,))]
    korean = Wording("0123456789", "korean")
    assert korean.align((1, 1, 0)) == [("백", (0,)), ("십", (1,))]
    assert korean.align((1, 2, 0, 0, 4)) == [("만", (0,)), ("이", (1,)), ("천", (1,)), ("사", (4,))]


@pytest.mark.parametrize("language", ["english", "korean"])
def test_encoding_and_back(language):
    wording = Wording("0123456789", language)
    seen, unseen = split_combinations(wording, 3)
    everything = np.concatenate([seen, unseen])
    numbers = wording.encode(everything)
    assert numbers.dtype == np.int32 and (numbers[:, 0] == START).all() and ((numbers == END).sum(axis=1) == 1).all()
    assert numbers.max() < len(wording.vocabulary) and wording.vocabulary[:3] == ("<pad>", "<start>", "<end>")
    assert [wording.read(wording.decode(row)) for row in numbers] == [tuple(row) for row in everything.tolist()]
    assert wording.encode([[1, 0, 0]], 9)[0, -3:].tolist() == [PAD] * 3
    assert len(np.unique(numbers, axis=0)) == 900


def test_decode_stops_at_the_end_mark():
    row = DIGITS.encode([[3, 0, 5]])[0]
    assert DIGITS.decode([*row, *row]) == ("three", "hundred", "five")
    assert DIGITS.decode([END, 5]) == () and DIGITS.read(()) is None


def test_other_classes_are_named_from_left_to_right():
    wording = Wording(("bag", "ankle boot", "coat"), "korean")
    assert not wording.is_number and wording.vocabulary[3:] == ("bag", "ankle boot", "coat")
    assert wording.write((2, 1, 1)) == ("coat", "ankle boot", "ankle boot")
    assert wording.read(("coat", "bag")) == (2, 0) and wording.read(("coat", "shoe")) is None
    assert wording.join(("coat", "bag")) == "coat bag"
    assert Wording(("1", "0")).write((0, 1)) == ("1", "0"), "two classes are names, not a number"


def test_korean_is_joined_and_written_in_latin_letters():
    korean = Wording("0123456789", "korean")
    words = korean.write((1, 2, 3, 4, 5))
    assert korean.join(words) == "만이천삼백사십오"
    assert korean.join(words, roman=True) == "man i cheon sam baek sa sip o"
    assert DIGITS.join(DIGITS.write((3, 0, 5)), roman=True) == "three hundred five"


def test_fonts_are_installed_ones():
    assert find_fonts()[0] == "DejaVu Sans" and set(find_fonts()[1:]) <= set(KOREAN_FONTS)


@pytest.mark.parametrize("n_items", [2, 3, 4])
@pytest.mark.parametrize("wording", [DIGITS, Wording("0123456789", "korean"), Wording("abc")], ids=["english", "korean", "names"])
def test_what_is_kept_apart_is_new_only_as_a_combination(wording, n_items):
    seen, unseen = split_combinations(wording, n_items, seed=1)
    again, _ = split_combinations(wording, n_items, seed=1)
    other, _ = split_combinations(wording, n_items, seed=2)
    n = 9 * 10 ** (n_items - 1) if wording.is_number else 3**n_items
    assert len(seen) + len(unseen) == n and abs(len(unseen) - n / 10) <= 1
    assert not {*map(tuple, seen.tolist())} & {*map(tuple, unseen.tolist())}
    assert np.array_equal(seen, again) and not np.array_equal(seen, other)
    known = {part for row in seen.tolist() for part in wording.align(row)}
    assert all(part in known for row in unseen.tolist() for part in wording.align(row))
    if wording.is_number:
        assert seen[:, 0].min() == 1, "a number does not start with 0"


def test_teens_are_never_kept_apart_where_they_stand_alone():
    _, unseen = split_combinations(DIGITS, 2, share=0.9)
    assert not np.any(unseen[:, 0] == 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_items": 1}, "n_items=1: expected from 2 to 6"),
        ({"n_items": 7}, "n_items=7"),
        ({"share": 0}, "share=0: expected a number between 0 and 1"),
        ({"wording": Wording(map(str, range(62))), "n_items": 6}, "expected at most 2,000,000 combinations"),
    ],
)
def test_split_refuses(given, message):
    with pytest.raises(ValueError, match=message) as error:
        split_combinations(**{"wording": DIGITS, "n_items": 3, **given})
    assert isinstance(error.value, UserError)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: number_to_words(-1), "number=-1: expected a whole number from 0 to 999,999"),
        (lambda: number_to_words(1_000_000), "number=1000000"),
        (lambda: number_to_words(1.5), "number=1.5"),
        (lambda: number_to_words(1, "german"), "language='german': expected 'english' or 'korean'"),
        (lambda: words_to_number(["one"], "german"), "language='german'"),
        (lambda: Wording(("a",)), "class_names has 1 classes"),
        (lambda: Wording(("a", "a")), "expected two or more, all different"),
        (lambda: Wording("ab", "german"), "language='german'"),
        (lambda: DIGITS.encode([[3, 2, 5]], 4), "length=4: expected at least 6"),
    ],
)
def test_words_refuse(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert isinstance(error.value, UserError)


# ---- Strips ----


@pytest.mark.parametrize(("shape", "size"), [((28, 28, 1), (28, 84)), ((8, 8, 3), (8, 24)), ((9, 20, 1), (12, 60))])
def test_shapes_types_and_range(shape, size):
    images = np.random.default_rng(0).random((30, *shape))
    strips = make_strips(images, np.arange(30) % 3, [(0, 1, 2), (2, 2, 1)], 4)
    assert len(strips) == 4 and strips.x.shape == (4, *size, shape[2]) and strips.x.dtype == np.float32
    assert strips.x.min() >= 0 and strips.x.max() <= 1 and compute_size(shape[:2], 3) == size
    assert {*map(tuple, strips.classes.tolist())} <= {(0, 1, 2), (2, 2, 1)}
    assert f"4 strips ({size[0]}, {size[1]}, {shape[2]}) of 3 images" in repr(strips)


def test_same_seed_same_strips_and_images_untouched():
    before = IMAGES.copy()
    first, again, other = (make_strips(IMAGES, LABELS, [(1, 2, 3), (4, 5, 6)], 9, seed=(3, k)) for k in (1, 1, 2))
    assert np.array_equal(first.x, again.x) and np.array_equal(first.classes, again.classes)
    assert not np.array_equal(first.x, other.x) and np.array_equal(IMAGES, before)


def test_what_stands_on_a_strip_is_what_it_says_from_left_to_right():
    strips = make_strips(IMAGES, LABELS, split_combinations(DIGITS, 3)[0], 300, gap=(-0.1, 0.0))
    for x, classes, left in zip(strips.x[..., 0], strips.classes, strips.left):
        assert (np.diff(left) > 0).all()
        for k, start in zip(classes, left):
            middle = x[:, start + 3 : start + 5].max()
            assert np.isclose(middle, IMAGES[LABELS == k].max()), "in its middle no other image lies on it"


def test_places_and_heights_vary_and_nothing_leaves_the_strip():
    strips = make_strips(IMAGES, LABELS, [(9, 9, 9)], 300, jitter=0.2)
    assert len(np.unique(strips.left[:, 0])) > 3 and strips.left.min() == 0
    assert strips.left.max() + 8 <= strips.x.shape[2]
    tops = [int(np.argmax(x.max(axis=(1, 2)) > 0)) for x in strips.x]
    assert {0, 1} <= set(tops)
    level = make_strips(IMAGES, LABELS, [(9, 9, 9)], 50, gap=(0, 0), jitter=0)
    assert (level.x == 1).all() and (level.left == [0, 8, 16]).all(), "without jitter and gaps they fill the strip"


def test_where_images_overlap_the_brighter_pixel_is_seen():
    strips = make_strips(IMAGES, LABELS, [(9, 0)], 20, gap=(-0.5, -0.5), jitter=0)
    for x, left in zip(strips.x[..., 0], strips.left):
        assert left[1] - left[0] == 4 and np.isclose(x[0, left[0] : left[0] + 8], 1).all()


def test_a_class_without_images_is_left_out():
    some = LABELS != 3
    strips = make_strips(IMAGES[some], LABELS[some], [(3, 1), (1, 2)], 30)
    assert (strips.classes == [1, 2]).all()


def test_a_strip_may_be_larger_than_needed():
    strips = make_strips(IMAGES, LABELS, [(9, 9)], 30, size=(16, 40), jitter=0)
    assert strips.x.shape == (30, 16, 40, 1) and (strips.x[:, 4:12].max(axis=(1, 2, 3)) == 1).all()
    assert strips.x[:, :4].max() == 0 == strips.x[:, 12:].max(), "in the middle of the height"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": IMAGES[..., 0]}, r"images has shape \(40, 8, 8\); expected \(m, height, width, 1 or 3\)"),
        ({"images": 255 * IMAGES}, r"expected values in \[0, 1\]"),
        ({"labels": LABELS[:5]}, r"labels has shape \(5,\)"),
        ({"labels": LABELS.astype(float)}, "whole numbers"),
        ({"labels": LABELS - 1}, "labels are from -1 to"),
        ({"labels": LABELS + 2**16}, "expected from 0 to 65535"),
        ({"n": 0}, "n=0"),
        ({"combinations": [1, 2]}, r"combinations of shape \(2,\)"),
        ({"combinations": [(-1, 2)]}, "combinations has negative numbers"),
        ({"combinations": [(11, 12)]}, "there are images of the classes"),
        ({"gap": (0, -0.1)}, "gap="),
        ({"gap": (-1, 0)}, "gap="),
        ({"jitter": -0.1}, "jitter=-0.1"),
        ({"gap": (0.5, 0.5)}, "a strip of 8x16 pixels: expected at least 8x20"),
        ({"size": (6, 40)}, "a strip of 6x40 pixels"),
    ],
)
def test_refuses_what_cannot_work(changed, message):
    given = {"images": IMAGES, "labels": LABELS, "combinations": [(1, 2)], "n": 2, **changed}
    with pytest.raises(ValueError, match=message) as error:
        make_strips(**given)
    assert isinstance(error.value, UserError)
