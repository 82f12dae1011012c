"""Exact search by bits and by pixels: lesson 07's `search_hamming` and scikit-learn beside FAISS, what an engineer would use.

The codes and images are random: an exact linear search takes the same time whatever they hold. Each contender searches for the
same queries and must find the same distances.
"""

import time

import numpy as np

from aeutils.retrieval import pack_bits, search_hamming
from benchmarks import measure

N_BITS, N_PIXELS = 64, 784
CONTENDERS = {  # what is searched, and with what
    "bits": ("ours", "FAISS IndexBinaryFlat"),
    "pixels": ("scikit-learn, brute force", "FAISS IndexFlatL2"),
}
ONE_THREAD_ONLY = {"ours"}


def run(sizes=(54_000, 540_000), n_queries=500, k=100, rounds=5):
    """Milliseconds a query of each contender, with one thread and with all, in turns; pixels only for the first size."""
    kept = [name for names in CONTENDERS.values() for name in names if _is_there(name)]
    turns = {}
    for _ in range(rounds):
        for size in sizes:
            for what, names in CONTENDERS.items():
                for name in names if size == sizes[0] or what == "bits" else ():
                    for threads in sorted({1} if name in ONE_THREAD_ONLY else {1, measure.CORES}) if name in kept else ():
                        taken = measure.measure("hashing", contender=name, n=size, n_queries=n_queries, k=k, threads=threads)
                        turns.setdefault((what, size), {}).setdefault((name, threads), []).append(taken)
                        print(f"{name}, {size:,}, {threads} threads: {taken['milliseconds']:.2f} ms a query", flush=True)
    for by in turns.values():
        sums = {turn["sum_of_distances"] for taken in by.values() for turn in taken}
        assert max(sums) - min(sums) <= 1e-4 * max(sums), f"the contenders found different distances: {sums}"
    searches = [
        {
            "what": what,
            "n": size,
            "contender": name,
            "threads": threads,
            "milliseconds": measure.summarize(turn["milliseconds"] for turn in taken),
        }
        for (what, size), by in turns.items()
        for (name, threads), taken in by.items()
    ]
    missing = sorted({name for names in CONTENDERS.values() for name in names} - set(kept))
    return {"n_queries": n_queries, "k": k, "n_bits": N_BITS, "searches": searches, "not installed": missing}


def _is_there(name):
    return not name.startswith("FAISS") or measure.is_installed("faiss")


def main(contender, n, n_queries, k, threads):
    """One search in this process, after a short one to warm up."""
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    on_bits = contender in CONTENDERS["bits"]
    if on_bits:
        database, queries = (pack_bits(rng.integers(0, 2, (count, N_BITS))) for count in (n, n_queries))
    else:
        database, queries = (rng.random((count, N_PIXELS), np.float32) for count in (n, n_queries))
    search = _prepare(contender, database, k, threads)
    with threadpool_limits(threads):
        search(queries[:20])
        start = time.perf_counter()
        found = search(queries)
        seconds = time.perf_counter() - start
    return {"milliseconds": 1000 * seconds / n_queries, "sum_of_distances": _sum_distances(database, queries, found, on_bits)}


def _prepare(contender, database, k, threads):
    """A function from queries to the indices of their k nearest."""
    if contender == "ours":
        return lambda queries: search_hamming(database, queries, k)
    if contender.startswith("scikit-learn"):
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(database)
        return lambda queries: index.kneighbors(queries, return_distance=False)
    import faiss

    faiss.omp_set_num_threads(threads)
    as_faiss = (lambda x: x.view(np.uint8)) if contender == "FAISS IndexBinaryFlat" else (lambda x: x)
    index = faiss.IndexBinaryFlat(N_BITS) if contender == "FAISS IndexBinaryFlat" else faiss.IndexFlatL2(N_PIXELS)
    index.add(as_faiss(database))
    return lambda queries: index.search(as_faiss(queries), k)[1]


def _sum_distances(database, queries, found, on_bits):
    if on_bits:
        return float(sum(np.bitwise_count(database[row] ^ query).sum() for row, query in zip(found, queries)))
    return float(sum(np.square(database[row] - query).sum(axis=1).sum() for row, query in zip(found, queries)))
