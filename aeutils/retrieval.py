"""Search by codes: bits packed into words, nearest neighbours by Hamming distance, precision."""

import numpy as np


def pack_bits(bits):
    """Pack binary codes into 64-bit words, so that one XOR compares 64 bits.

    Parameters
    ----------
    bits : numpy.ndarray
        Shape (n, n_bits), bool or numbers of which those above 0 are ones.

    Returns
    -------
    numpy.ndarray
        uint64, shape (n, n_words), n_words the least that hold all bits; the rest of the last word is 0.

    Raises
    ------
    ValueError
        Not two axes, or no bits.

    References
    ----------
    Salakhutdinov, Hinton 2009, Semantic hashing. Introduced in notebook 06.
    """
    bits = np.asarray(bits)
    if bits.ndim != 2 or bits.shape[1] == 0:
        raise ValueError(f"bits has shape {bits.shape}; expected (n, n_bits), at least one bit")
    n_bytes = 8 * -(-bits.shape[1] // 64)
    packed = np.zeros((len(bits), n_bytes), np.uint8)
    packed[:, : -(-bits.shape[1] // 8)] = np.packbits(bits > 0, axis=1)
    return packed.view(np.uint64)


def search_hamming(database, queries, k):
    """Indices of the `k` codes in the database that differ from each query in the fewest bits, nearest first.

    One query at a time, so that the memory needed beside the database is about 17 bytes for each of its codes, and all
    of it stays close to the processor. Codes at the same distance come in the order of the database: shuffle it, or
    ties favour what stands first. (`load_dataset` has shuffled training images.)

    Parameters
    ----------
    database, queries : numpy.ndarray
        uint64, shapes (n, n_words) and (m, n_words), from `pack_bits`.
    k : int
        From 1 to n.

    Returns
    -------
    numpy.ndarray
        int64, shape (m, k).

    Raises
    ------
    TypeError
        Codes that are not uint64 words.
    ValueError
        Another number of words in database and queries, or `k` out of range.

    References
    ----------
    Norouzi, Punjani, Fleet 2012, Fast search in Hamming space with multi-index hashing, section 1 (the linear scan).
    Introduced in notebook 06.
    """
    for name, codes in (("database", database), ("queries", queries)):
        if codes.dtype != np.uint64:
            raise TypeError(f"{name} has dtype {codes.dtype}; expected the uint64 words that pack_bits gives")
    if np.ndim(database) != 2 or np.ndim(queries) != 2 or database.shape[1] != queries.shape[1]:
        raise ValueError(
            f"database has shape {database.shape} and queries {queries.shape}; expected (n, n_words) and (m, n_words), made in the same way"
        )
    if not 1 <= k <= len(database):
        raise ValueError(f"k={k!r}: expected 1 to {len(database)}, as many as the database has")
    words = np.ascontiguousarray(database.T)  # word by word
    neighbours = np.empty((len(queries), k), np.int64)
    for i, query in enumerate(queries):
        distance = np.bitwise_count(words[0] ^ query[0])
        if len(query) > 1:
            distance = distance.astype(np.uint16)
        for word, part in zip(words[1:], query[1:]):
            distance += np.bitwise_count(word ^ part)
        neighbours[i] = np.argsort(distance, kind="stable")[:k]  # of small integers: a radix sort
    return neighbours


def compute_precision(neighbours, y_database, y_queries, per_query=False):
    """Precision at k: the share of each query's k neighbours that have its label.

    Parameters
    ----------
    neighbours : numpy.ndarray
        Indices into the database, shape (m, k).
    y_database, y_queries : numpy.ndarray
        Labels, shapes (n,) and (m,).
    per_query : bool
        False: the mean over the queries. True: one value for each.

    Returns
    -------
    float, or numpy.ndarray of shape (m,)
        From 0 to 1; the share of the label in the database is what guessing gives.

    Raises
    ------
    ValueError
        Another number of queries and labels, or none.

    References
    ----------
    Manning, Raghavan, Schütze 2008, Introduction to Information Retrieval, section 8.4. Introduced in notebook 06.
    """
    if np.ndim(neighbours) != 2 or len(neighbours) != len(y_queries) or np.size(neighbours) == 0:
        raise ValueError(
            f"neighbours has shape {np.shape(neighbours)} and there are {len(y_queries)} labels of queries; "
            "expected (m, k) and m labels, at least one"
        )
    hits = np.asarray(y_database)[neighbours] == np.asarray(y_queries)[:, None]
    return hits.mean(axis=1) if per_query else float(hits.mean())
