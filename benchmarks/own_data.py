"""Own data: every lesson on three sets as a reader might bring them, and detectors on heartbeats.

``python -m benchmarks.own_data lessons [--lessons 01 03] [--out DIR]`` runs lessons at their default parameters and prints a
table of figures beside the sentences that each page computes (an hour on two cores for all).
``python -m benchmarks.own_data heartbeats [--dataset FILE --normal CLASS]`` prints the detectors' table (two minutes).
The pictures come from scikit-learn and scikit-image (`benchmarks/requirements.txt`).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "motorcycle", "retina", "rocket")
TEXTURES = ("brick", "grass", "gravel")
N_PHOTOGRAPHS, N_TEXTURES = 400, 1000  # crops of one picture
TEST_SHARE = 1 / 4  # of the width of a picture: test crops never overlap training crops


def _read_photographs():
    """Colour pictures by name: eight of scikit-image, two of scikit-learn."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    pictures = {name: getattr(skimage.data, name if name != "motorcycle" else "stereo_motorcycle")() for name in PHOTOGRAPHS}
    pictures["motorcycle"] = pictures["motorcycle"][0]
    return pictures | {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}


def _crop(picture, n, size, largest, rng):
    """`n` squares of random place and width (from `size` to `largest` pixels), reduced to `size` pixels."""
    crops = []
    for _ in range(n):
        width = int(rng.integers(size, min(largest, *picture.shape[:2]) + 1))
        top, left = (int(rng.integers(length - width + 1)) for length in picture.shape[:2])
        square = Image.fromarray(picture[top : top + width, left : left + width])
        crops.append(np.asarray(square.resize((size, size), Image.Resampling.BOX)))
    return crops


def _make_set(pictures, n, size, largest, rng):
    arrays = {"x_train": [], "y_train": [], "x_test": [], "y_test": []}
    for label, picture in enumerate(pictures.values()):
        edge = round(picture.shape[1] * (1 - TEST_SHARE))
        for part, region, count in (("train", picture[:, :edge], n), ("test", picture[:, edge:], n // 4)):
            arrays[f"x_{part}"] += _crop(np.ascontiguousarray(region), count, size, largest, rng)
            arrays[f"y_{part}"] += [label] * count
    return {name: np.array(values) for name, values in arrays.items()} | {"class_names": np.array(list(pictures))}


def make_own_sets(folder, seed=0):
    """Write the three sets as ``.npz`` files, if they are not there yet.

    - ``photographs``: 4,000 colour photographs of 32x32 pixels in ten classes, one class for each source picture.
    - ``textures``: 3,000 grey textures of 24x24 pixels (brick, grass, gravel).
    - ``small_digits``: scikit-learn's 1,797 handwritten digits at their own size, 8x8.

    Training and test crops come from different sides of a picture.

    Returns
    -------
    dict of str to pathlib.Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.npz" for name in ("photographs", "textures", "small_digits")}
    if not paths["photographs"].exists():
        arrays = _make_set(_read_photographs(), N_PHOTOGRAPHS, 32, 160, np.random.default_rng(seed))
        np.savez_compressed(paths["photographs"], **arrays)
    if not paths["textures"].exists():
        import skimage.data

        pictures = {name: getattr(skimage.data, name)() for name in TEXTURES}
        np.savez_compressed(paths["textures"], **_make_set(pictures, N_TEXTURES, 24, 64, np.random.default_rng(seed)))
    if not paths["small_digits"].exists():
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.round(digits.images / 16 * 255).astype(np.uint8)
        np.savez_compressed(paths["small_digits"], x_train=images, y_train=digits.target)
    return paths


# ---- Heartbeats: lesson 04's detectors beside the recipe of TensorFlow's tutorial ----


def run_tutorial(x_train, x_test, seed=0, epochs=20):
    """Train as TensorFlow's "Intro to Autoencoders" does on ECG5000: 140-32-16-8-16-32-140, mean absolute error, batch 512.

    Returns
    -------
    score_train, score_test : numpy.ndarray
        Mean absolute error of each row.
    """
    from aeutils.backend import keras

    keras.utils.set_random_seed(seed)
    dense = [keras.layers.Dense(units, activation="relu") for units in (32, 16, 8, 16, 32)]
    model = keras.Sequential([keras.Input(x_train.shape[1:]), *dense, keras.layers.Dense(x_train.shape[1], "sigmoid")])
    model.compile(optimizer="adam", loss="mae")
    model.fit(x_train, x_train, epochs=epochs, batch_size=512, verbose=0)
    return tuple(np.abs(model.predict(x, verbose=0) - x).mean(axis=1) for x in (x_train, x_test))


def run_heartbeats(dataset="ecg5000", normal="normal", n_splits=10):
    """AUROC, accuracy, precision and recall of detectors of heartbeats that are not normal; mean and deviation over splits.

    Every split draws four fifths of the rows for training; detectors see the normal ones among them. The tutorial's
    threshold is the mean of the training errors plus one standard deviation; all others flag 5% of held-out normal rows,
    a fifth of those for training.

    Returns
    -------
    dict of str to dict of str to (float, float)
        By detector and measure, where the anomalous rows are the positive ones.
    """
    from sklearn.decomposition import PCA
    from sklearn.metrics import precision_score, recall_score, roc_auc_score
    from sklearn.neighbors import NearestNeighbors

    from aeutils import load_dataset
    from aeutils.anomaly import AutoencoderDetector
    from aeutils.backend import keras
    from aeutils.datasets import find_label
    from aeutils.training import fit, plan_training

    data = load_dataset(dataset)
    x = np.concatenate([data.x_train, data.x_val, data.x_test])
    is_anomaly = np.concatenate([data.y_train, data.y_val, data.y_test]) != find_label(data, normal)
    measured = {}
    for seed in range(n_splits):
        order = np.random.default_rng(seed).permutation(len(x))
        train, test = order[len(x) // 5 :], order[: len(x) // 5]
        everything = x[train][~is_anomaly[train]]
        held_out, x_fit = np.split(everything, [len(everything) // 5])

        def score_by_pca(n_components, x_fit=x_fit, held_out=held_out, test=test):
            pca = PCA(n_components).fit(x_fit)
            return [np.square(part - pca.inverse_transform(pca.transform(part))).mean(axis=1) for part in (held_out, x[test])]

        def score_by_lesson(x_fit=x_fit, held_out=held_out, test=test, seed=seed):
            keras.utils.set_random_seed(seed)
            layers = [keras.layers.Dense(units, activation="relu") for units in (128, 32, 128)]
            model = keras.Sequential([keras.Input(x_fit.shape[1:]), *layers, keras.layers.Dense(x_fit.shape[1], "sigmoid")])
            epochs, rate = plan_training(x_fit, epochs=10, batch_size=64, learning_rate=0.005, min_steps=800)
            fit(model, x_fit, x_fit, epochs=epochs, learning_rate=rate, seed=seed, verbose=False)
            return [np.square(part - model.predict(part, verbose=0)).mean(axis=1) for part in (held_out, x[test])]

        nearest = NearestNeighbors(n_neighbors=1).fit(x_fit)
        detector = AutoencoderDetector(contamination=0, random_state=seed).fit(everything)
        scores = {
            "lesson 04's autoencoder": score_by_lesson(),
            "PCA, 8 components": score_by_pca(8),
            "PCA, 32 components": score_by_pca(32),
            "nearest neighbour": [nearest.kneighbors(part)[0].ravel() for part in (held_out, x[test])],
        }
        judged = {name: (score, score > np.quantile(calm, 0.95)) for name, (calm, score) in scores.items()}
        judged["AutoencoderDetector"] = (detector.decision_function(x[test]), detector.predict(x[test]).astype(bool))
        for name, epochs in (("TensorFlow's tutorial", 20), ("the same, 800 steps", -(-800 // -(-len(everything) // 512)))):
            score_train, score = run_tutorial(everything, x[test], seed, epochs)
            judged[name] = (score, score > score_train.mean() + score_train.std())
        for name, (score, flagged) in judged.items():
            truth = is_anomaly[test]
            figures = {
                "AUROC": roc_auc_score(truth, score),
                "accuracy": np.mean(flagged == truth),
                "precision": precision_score(truth, flagged, zero_division=0),
                "recall": recall_score(truth, flagged),
            }
            for measure, value in figures.items():
                measured.setdefault(name, {}).setdefault(measure, []).append(value)
    return {
        name: {measure: (float(np.mean(values)), float(np.std(values, ddof=1))) for measure, values in figures.items()}
        for name, figures in measured.items()
    }


# ---- Lessons on own data ----


def run_lessons(numbers, folder):
    """Run lessons on the three sets, and yield (lesson, set, outcome, headline figures, computed sentences) for each."""
    from aeutils.errors import UserError
    from aeutils.running import execution, parameters, reports, sources

    for source in sources.find_sources(numbers):
        for name, path in make_own_sets(folder / "sets").items():
            out = folder / f"{source.path.stem[:2]}_{name}"
            given = {"dataset": str(path.resolve())}
            if "normal_class" in source.parameters:
                with np.load(path) as arrays:
                    given["normal_class"] = str(arrays["class_names"][0]) if "class_names" in arrays else "3"
            try:
                parameters.check_values(source, given)
            except UserError as error:  # refused, with a message
                yield source.path.stem[:2], name, str(error), "", []
                continue
            outcome = execution.run_notebook(source, given, out)
            (record,) = reports.read_runs(out)
            yield source.path.stem[:2], name, str(outcome), record.headline, read_sentences(out / source.path.name)


def read_sentences(path):
    """The sentences that `aeutils.verdicts.say` put on an executed page."""
    import nbformat

    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    shown = [output["data"]["text/plain"] for output in outputs if "text/markdown" in output.get("data", {})]
    return [line for text in shown for line in text.splitlines() if line]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data", description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=("lessons", "heartbeats"))
    parser.add_argument("--lessons", nargs="+", default=[], metavar="NN", help="default: all")
    parser.add_argument("--out", type=Path, default=Path("runs/own_data"), metavar="DIR")
    parser.add_argument("--dataset", default="ecg5000", help="heartbeats: ecg5000, or an .npz of rows with labels")
    parser.add_argument("--normal", default="normal", help="heartbeats: the normal class")
    arguments = parser.parse_args(argv)
    if arguments.part == "heartbeats":
        for name, figures in run_heartbeats(arguments.dataset, arguments.normal).items():
            print(f"| {name} |", " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in figures.values()), "|", flush=True)
        return
    for lesson, name, outcome, headline, sentences in run_lessons(arguments.lessons, arguments.out):
        print(f"| {lesson} | {name} | {outcome} | {headline} | {'<br>'.join(sentences)} |", flush=True)


if __name__ == "__main__":
    main()
