import numpy as np
import pytest

from aeutils.retrieval import compute_precision, pack_bits, search_hamming


def test_packed_words_hold_every_bit_once():
    words = pack_bits(np.eye(70, dtype=bool))
    assert words.shape == (70, 2) and words.dtype == np.uint64
    assert np.array_equal(np.bitwise_count(words).sum(axis=1), np.ones(70))
    assert len(np.unique(words, axis=0)) == 70


def test_packing_takes_numbers_above_0_as_ones():
    assert np.array_equal(pack_bits(np.array([[0.5, -2.0, 0.0, 1.0]])), pack_bits(np.array([[1, 0, 0, 1]])))


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 2, 2)])
def test_packing_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"expected \(n, n_bits\), at least one bit"):
        pack_bits(np.zeros(shape))


@pytest.mark.parametrize("n_bits", [5, 64, 200])
def test_hamming_search_agrees_with_counting_bit_by_bit(n_bits):
    rng = np.random.default_rng(0)
    database, queries = rng.random((300, n_bits)) > 0.5, rng.random((7, n_bits)) > 0.5
    distance = (queries[:, None] != database[None]).sum(axis=2)
    expected = np.argsort(distance, axis=1, kind="stable")[:, :10]
    assert np.array_equal(search_hamming(pack_bits(database), pack_bits(queries), 10), expected)


def test_hamming_ties_come_in_the_order_of_the_database():
    same = pack_bits(np.ones((6, 8)))
    assert search_hamming(same, same[:2], 4).tolist() == [[0, 1, 2, 3]] * 2


def test_distances_beyond_255_bits_do_not_wrap_around():
    database = pack_bits(np.array([np.ones(400), np.r_[np.ones(200), np.zeros(200)], np.zeros(400)]))
    assert search_hamming(database, pack_bits(np.zeros((1, 400))), 3).tolist() == [[2, 1, 0]]


def test_search_refuses_what_does_not_fit():
    codes = pack_bits(np.ones((3, 8)))
    with pytest.raises(TypeError, match="queries has dtype float64; expected the uint64 words"):
        search_hamming(codes, codes.astype(float), 1)
    with pytest.raises(ValueError, match="made in the same way"):
        search_hamming(codes, pack_bits(np.ones((3, 80))), 1)
    for k in (0, 4):
        with pytest.raises(ValueError, match="expected 1 to 3"):
            search_hamming(codes, codes, k)


def test_precision_by_hand():
    neighbours, y_database = np.array([[0, 1], [2, 3], [0, 3]]), np.array([5, 5, 6, 7])
    assert compute_precision(neighbours, y_database, np.array([5, 6, 6]), per_query=True).tolist() == [1, 0.5, 0]
    assert compute_precision(neighbours, y_database, np.array([5, 6, 6])) == 0.5


@pytest.mark.parametrize("neighbours, y", [(np.zeros((2, 3), int), [1]), (np.zeros(2, int), [1, 1]), (np.zeros((0, 3), int), [])])
def test_precision_refuses_other_shapes(neighbours, y):
    with pytest.raises(ValueError, match="expected \\(m, k\\) and m labels, at least one"):
        compute_precision(neighbours, np.zeros(4), np.array(y))
