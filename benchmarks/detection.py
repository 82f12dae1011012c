"""The anomaly detector against PyOD's AutoEncoder, both at their default settings; beside them two simple detectors.

Quality: scikit-learn's tables, 70% of the normal rows for training (PyOD's AutoEncoder cannot be fitted to fewer rows than
one batch of 32), the rest and all anomalies for testing. Seconds: 500 to 50,000 benign rows of breast_cancer, drawn with
replacement and a little noise.
"""

import time

import numpy as np
from sklearn import datasets
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks import measure

DETECTORS = {
    "ours": "tensorflow",
    "PyOD AutoEncoder": "pyod",
    "IsolationForest": "sklearn",
    "norm of the standardised row": "sklearn",
}
ROWS = [500, 1500, 5000, 15_000, 50_000]


def run(splits=5, rows=ROWS, rounds=3):
    """Detectors take turns, split by split; a process per turn, so that each turn's first fit is a cold one."""
    installed = [name for name, package in DETECTORS.items() if measure.is_installed(package)]
    quality, growth = {name: [] for name in installed}, {name: [] for name in installed}
    for seed in range(splits):
        for name in installed:
            quality[name].append(measure.measure("detection", detector=name, what="quality", seed=seed))
            sets = quality[name][-1]["sets"]
            print(f"split {seed}, {name}: " + ", ".join(f"{s} {v['auroc']:.3f}" for s, v in sets.items()), flush=True)
    for seed in range(rounds):
        for name in installed:
            growth[name].append(measure.measure("detection", detector=name, what="growth", seed=seed, rows=rows))
            seconds = [f"{n:,} rows {fit:.2f} + {score:.2f} s" for n, fit, score, _ in growth[name][-1]["rows"]]
            print(f"round {seed}, {name}: " + ", ".join(seconds), flush=True)
    return {
        "quality": {
            name: {
                table: {figure: measure.summarize([turn["sets"][table][figure] for turn in turns]) for figure in figures}
                for table, figures in turns[0]["sets"].items()
            }
            for name, turns in quality.items()
        },
        "growth": {
            name: [
                {
                    "rows": n,
                    "fit_seconds": measure.summarize([turn["rows"][position][1] for turn in turns]),
                    "score_seconds": measure.summarize([turn["rows"][position][2] for turn in turns]),
                    "auroc": measure.summarize([turn["rows"][position][3] for turn in turns]),
                }
                for position, n in enumerate(rows)
            ]
            for name, turns in growth.items()
        },
        "first_fit_seconds": {
            name: measure.summarize([turn["first_fit_seconds"] for turn in turns]) for name, turns in growth.items()
        },
        "not installed": sorted(set(DETECTORS) - set(installed)),
    }


def load_tables():
    """name -> (normal rows, anomalous rows); a table with several classes gives one task a class."""
    cancer = datasets.load_breast_cancer()
    tables = {"breast_cancer": [(cancer.data[cancer.target == 1], cancer.data[cancer.target == 0])]}
    for name, loaded in (("wine", datasets.load_wine()), ("iris", datasets.load_iris()), ("digits", datasets.load_digits())):
        tables[name] = [(loaded.data[loaded.target == k], loaded.data[loaded.target != k]) for k in np.unique(loaded.target)]
    return tables


def build_detector(name, seed):
    if name == "ours":
        from aeutils.anomaly import AutoencoderDetector

        return AutoencoderDetector(random_state=seed)
    if name == "PyOD AutoEncoder":
        import torch
        from pyod.models.auto_encoder import AutoEncoder

        torch.set_num_threads(measure.CORES)
        return AutoEncoder(random_state=seed, verbose=0)
    if name == "IsolationForest":
        from sklearn.ensemble import IsolationForest

        return _Negated(IsolationForest(random_state=seed, n_jobs=measure.CORES))
    return _Norm()


class _Negated:
    """scikit-learn's sign turned to PyOD's: a higher score is more anomalous."""

    def __init__(self, detector):
        self.detector = detector

    def fit(self, x):
        self.detector.fit(x)
        return self

    def decision_function(self, x):
        return -self.detector.score_samples(x)


class _Norm:
    def fit(self, x):
        self.mean, self.scale = x.mean(axis=0), x.std(axis=0)
        self.scale = np.where(self.scale > 0, self.scale, 1)
        return self

    def decision_function(self, x):
        return np.linalg.norm((x - self.mean) / self.scale, axis=1)


def main(detector, what, seed, rows=ROWS):
    tables = load_tables()
    if what == "quality":
        return {"sets": {name: _rate(detector, tasks, seed) for name, tasks in tables.items()}}
    normal, anomalous = tables["breast_cancer"][0]
    train, x, truth = _split(normal, anomalous, seed)
    _, first_fit_seconds, _ = _fit_and_score(detector, seed, train, x)  # the process's first fit pays for tracing
    rng, measured = np.random.default_rng(seed), []
    for n in rows:
        drawn = train[rng.integers(len(train), size=n)]
        drawn = drawn + 0.1 * train.std(axis=0) * rng.standard_normal(drawn.shape)
        scores, fit_seconds, score_seconds = _fit_and_score(detector, seed, drawn, x[np.arange(n) % len(x)])
        measured.append([n, fit_seconds, score_seconds, float(roc_auc_score(truth[np.arange(n) % len(x)], scores))])
    return {"first_fit_seconds": first_fit_seconds, "rows": measured}


def _split(normal, anomalous, seed):
    """70% of the normal rows for training; the others and all anomalies, with 1 for an anomaly, for testing."""
    train, test = np.split(np.random.default_rng(seed).permutation(normal), [int(0.7 * len(normal))])
    x = np.concatenate([test, anomalous])
    return train, x, np.arange(len(x)) >= len(test)


def _fit_and_score(name, seed, train, x):
    detector = build_detector(name, seed)
    start = time.perf_counter()
    detector.fit(train)
    fitted = time.perf_counter()
    scores = detector.decision_function(x)
    return scores, fitted - start, time.perf_counter() - fitted


def _rate(name, tasks, seed):
    """AUROC and average precision, mean over the tasks of a table; seconds to fit and to score all of them."""
    turns = []
    for normal, anomalous in tasks:
        train, x, truth = _split(normal, anomalous, seed)
        scores, *seconds = _fit_and_score(name, seed, train, x)
        turns.append([roc_auc_score(truth, scores), average_precision_score(truth, scores), *seconds])
    auroc, precision, fit_seconds, score_seconds = np.transpose(turns)
    return {
        "auroc": float(auroc.mean()),
        "average_precision": float(precision.mean()),
        "fit_seconds": float(fit_seconds.sum()),
        "score_seconds": float(score_seconds.sum()),
    }
