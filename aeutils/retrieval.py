"""Retrieval with binary codes: packing bits into words, nearest neighbours by Hamming distance, and precision."""

import numpy as np


def pack_bits(bits):
    """Pack binary codes into 64-bit words, the format of `search_hamming`.

    Parameters
    ----------
    bits : numpy.ndarray
        Shape (n, n_bits), bool or numbers. Values above 0 count as 1, all others as 0.

    Returns
    -------
    numpy.ndarray
        uint64, shape (n, n_words), where n_words is n_bits / 64, rounded up. Unused bits of the last word are 0.

    Raises
    ------
    ValueError
        `bits` does not have two axes, or has no bits.

    References
    ----------
    Salakhutdinov, Hinton 2009, Semantic hashing. Introduced in notebook 07.

    Examples
    --------
    >>> pack_bits(np.ones((2, 70))).shape
    (2, 2)
    """
    bits = np.asarray(bits)
    if bits.ndim != 2 or bits.shape[1] == 0:
        raise ValueError(f"bits has shape {bits.shape}; expected (n, n_bits), at least one bit")
    n_bytes = 8 * -(-bits.shape[1] // 64)
    packed = np.zeros((len(bits), n_bytes), np.uint8)
    packed[:, : -(-bits.shape[1] // 8)] = np.packbits(bits > 0, axis=1)
    return packed.view(np.uint64)


def search_hamming(database, queries, k):
    """Find the `k` codes of the database with the smallest Hamming distance to each query, nearest first.

    The Hamming distance of two codes is the number of bits that differ. Codes at the same distance are returned in the
    order of the database. Shuffle the database first, because otherwise ties favour the codes at its start. (The
    training images of `load_dataset` are already shuffled.) The search needs about 17 bytes of memory per code, and a
    copy of the database if the codes have more than one word.

    Parameters
    ----------
    database, queries : numpy.ndarray
        uint64, shapes (n, n_words) and (m, n_words), from `pack_bits`.
    k : int
        Number of neighbours, from 1 to n.

    Returns
    -------
    numpy.ndarray
        Indices into the database, int64, shape (m, k).

    Raises
    ------
    TypeError
        The codes are not uint64 words.
    ValueError
        The codes of database and queries have different numbers of words, or `k` is out of range.

    References
    ----------
    Norouzi, Punjani, Fleet 2012, Fast search in Hamming space with multi-index hashing, section 1 (the linear scan).
    Introduced in notebook 07.

    Examples
    --------
    >>> database = pack_bits([[0, 0, 0], [0, 1, 1], [1, 1, 1]])
    >>> search_hamming(database, pack_bits([[1, 1, 1]]), k=2)
    array([[2, 1]])
    """
    for name, codes in (("database", database), ("queries", queries)):
        if codes.dtype != np.uint64:
            raise TypeError(f"{name} has dtype {codes.dtype}; expected the uint64 words that pack_bits gives")
    if np.ndim(database) != 2 or np.ndim(queries) != 2 or database.shape[1] != queries.shape[1]:
        raise ValueError(
            f"database has shape {database.shape} and queries {queries.shape}; "
            "expected (n, n_words) and (m, n_words), made in the same way"
        )
    if not 1 <= k <= len(database):
        raise ValueError(f"k={k!r}: expected 1 to {len(database)}, as many as the database has")
    words = np.ascontiguousarray(database.T)  # one contiguous row for each word of the codes
    neighbours = np.empty((len(queries), k), np.int64)
    for i, query in enumerate(queries):  # one query at a time: little memory, and it fits into the processor's cache
        distance = np.bitwise_count(words[0] ^ query[0])
        if len(query) > 1:
            distance = distance.astype(np.uint16)
        for word, part in zip(words[1:], query[1:]):
            distance += np.bitwise_count(word ^ part)
        neighbours[i] = np.argsort(distance, kind="stable")[:k]  # NumPy uses a radix sort for integers of 8 and 16 bits
    return neighbours


def compute_precision(neighbours, y_database, y_queries, per_query=False):
    """Compute the precision at k: the fraction of each query's k neighbours that have the label of the query.

    Parameters
    ----------
    neighbours : numpy.ndarray
        Indices into the database, shape (m, k).
    y_database, y_queries : numpy.ndarray
        Labels, shapes (n,) and (m,).
    per_query : bool
        False: the mean over the queries. True: one value per query.

    Returns
    -------
    float, or numpy.ndarray of shape (m,)
        From 0 to 1. Randomly chosen neighbours give, on average, the fraction of the database with the query's label.

    Raises
    ------
    ValueError
        `neighbours` does not have shape (m, k) with one row per query label, or it is empty.

    References
    ----------
    Manning, Raghavan, Schütze 2008, Introduction to Information Retrieval, section 8.4. Introduced in notebook 07.

    Examples
    --------
    >>> compute_precision(np.array([[0, 2]]), y_database=[7, 7, 1], y_queries=[7])
    0.5
    """
    if np.ndim(neighbours) != 2 or len(neighbours) != len(y_queries) or np.size(neighbours) == 0:
        raise ValueError(
            f"neighbours has shape {np.shape(neighbours)} and there are {len(y_queries)} labels of queries; "
            "expected (m, k) and m labels, at least one"
        )
    hits = np.asarray(y_database)[neighbours] == np.asarray(y_queries)[:, None]
    return hits.mean(axis=1) if per_query else float(hits.mean())
