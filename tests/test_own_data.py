"""Every lesson on own data where its usual winner loses: the page must not name the usual winner."""

import re

import nbformat
import numpy as np
import pytest

from aeutils.__main__ import main
from aeutils.results import read_record
from aeutils.running.sources import read_source
from aeutils.verdicts import read_notice

from conftest import NOTEBOOKS, SMOKE

LESSONS = [path for path in NOTEBOOKS if path.parent.name == "notebooks"]
by_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def contrary(tmp_path_factory):
    """Images on which linear methods are the best there are, and whose classes are lost in a code.

    They lie near a plane of 12 dimensions, with Gaussian coordinates, so PCA and ridge cannot be beaten. The class is a
    faint fine pattern on top: raw pixels show it, but it has too little variance for a code, and deforming destroys it.
    """
    rng = np.random.default_rng(0)
    n, n_test, side = 700, 200, 28
    blurred = rng.normal(size=(12, 7, 7)).repeat(4, axis=1).repeat(4, axis=2)
    plane = np.linalg.qr(blurred.reshape(12, -1).T)[0].T
    patterns = 0.03 * rng.choice([-1, 1], (3, side * side))
    y = rng.integers(0, 3, n + n_test)
    x = 0.5 + rng.normal(size=(n + n_test, 12)) @ plane * 1.2 + patterns[y] + 0.01 * rng.normal(size=(n + n_test, side * side))
    x = np.clip(x, 0, 1).astype(np.float32).reshape(-1, side, side)
    path = tmp_path_factory.mktemp("own") / "contrary.npz"
    np.savez(path, x_train=x[:n], y_train=y[:n], x_test=x[n:], y_test=y[n:], class_names=["a", "b", "c"])
    return path


# For each lesson: what usually wins and what it is compared with, as recorded; whether lower is better; how sentences name the
# two, and a text that stands in those sentences. On this set the usual winner of at least one row loses.
USUAL = {
    "01": [("test_mse", "pca_test_mse", "lower", "autoencoder", "PCA", "")],
    "02": [
        ("val_mse_relu_at_once", "val_mse_pretrained", "lower", "ReLU (He), at once", "sigmoid, pretrained", ""),
        ("val_mse_pretrained", "val_mse_at_once", "lower", "sigmoid, pretrained", "sigmoid, at once", ""),
        (
            "sigmoid_pretrained_few_labels",
            "sigmoid_scratch_few_labels",
            "higher",
            "sigmoid, pretrained",
            "sigmoid, from scratch",
            "",
        ),
    ],
    "03": [
        ("unet_test_psnr", "ridge_test_psnr", "higher", "U-Net", "ridge", ""),
        ("enlarged_test_psnr", "bicubic_test_psnr", "higher", "U-Net", "bicubic", ""),
    ],
    "04": [("one_network_mean_auroc", "pca_divided_mean_auroc", "higher", "one network", "PCA", "")],
    "05": [
        ("accuracy_scratch_deformed", "accuracy_scratch", "higher", "from scratch, deformed copies", "from scratch", ""),
        (
            "accuracy_pretrained_deformed",
            "accuracy_scratch_deformed",
            "higher",
            "pretrained, deformed copies",
            "from scratch, deformed copies",
            "",
        ),
    ],
    "06": [
        ("val_mse", "val_mse_pca", "lower", "autoencoder", "PCA", "alidation MSE"),
        (
            "logistic_invariant_60_labels",
            "logistic_raw_60_labels",
            "higher",
            "invariant code",
            "raw pixels",
            "logistic regression",
        ),
    ],
    "07": [("precision_long_bits", "precision_pixels", "higher", "semantic hashing", "raw pixels", "est precision@100")],
    "08": [("accuracy_top_k", "accuracy_pixels", "higher", "top-k", "raw pixels", "")],
    "09": [
        ("miou_unet", "miou_plain", "higher", "U-Net", "without skips", "Test mIoU: "),
        ("miou_unet", "miou_patches", "higher", "U-Net", "patch neighbours", "Test mIoU: "),
    ],
    "10": [("iw500_test", "nats_mixture_chosen", "higher", "VAE", "mixture of Bernoullis", "og-probability")],
    "11": [
        (
            "exact_parts",
            "exact_stem",
            "higher",
            "parts, nearest neighbours seen",
            "convolutional stem seen",
            "est, exact strips",
        )
    ],
    "12": [("test_mse", "pca_test_mse", "lower", "VQ-VAE", "PCA", "at the same size")],
}


def _sentences(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"]["text/plain"] for output in outputs if "text/markdown" in output.get("data", {})]
    return [line for text in shown for line in text.splitlines() if line]


def _says_that(sentence, first, direction, second):
    return re.search(rf": {re.escape(first)} [-\d.]+( ± \S+)? is [^;:]{{1,30}} {direction} than {re.escape(second)} ", sentence)


@by_lesson
@pytest.mark.slow
def test_no_false_verdict_where_the_usual_winner_loses(path, contrary, tmp_path):
    number = path.stem[:2]
    parameters = read_source(path).parameters
    given = {name: value for name, value in SMOKE.items() if name in parameters} | {"dataset": str(contrary)}
    given |= {"normal_class": "a"} if "normal_class" in parameters else {}
    options = [word for name, value in given.items() for word in ("-p", name, str(value))]
    assert main(["run", str(path), "--out", str(tmp_path), *options]) == 0
    notebook = nbformat.read(tmp_path / path.name, as_version=4)
    assert read_notice(notebook)["dataset"] == "contrary"
    assert "This run differs from the page" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "This run differs from the page" in (tmp_path / f"{path.stem}.html").read_text(encoding="utf-8")
    metrics, sentences = read_record(notebook), _sentences(notebook)
    lost = []
    for usual, rival, direction, name, rival_name, about_what in USUAL[number]:
        sign = -1 if direction == "lower" else 1
        about = [text for text in sentences if all(f" {part} " in text for part in (name, rival_name)) and about_what in text]
        about = [text for text in about if " best first: " not in text]
        assert about, (name, rival_name, sentences)
        wins = sign * metrics[usual] > sign * metrics[rival]
        better, worse = (name, rival_name) if wins else (rival_name, name)
        for text in about:
            assert not _says_that(text, worse, direction, better), (text, metrics)
        assert any(_says_that(text, better, direction, worse) or "no clear winner" in text for text in about), about
        lost += [] if wins else [usual]
    assert lost, f"nothing that usually wins loses on this set: {metrics}"


VERDICT = re.compile(r"\b(better|worse|best|beats?|wins?|won|by far|clearly|not luck|halves? the|superior|outperforms?)\b", re.I)
BOUND = re.compile(r"MNIST|digits|clothes|medical|this page|breast|\?|\bif\b|\bwhere\b|\bcell\b|\bcan\b|Exercise", re.I)


@by_lesson
def test_takeaways_claim_no_winner_that_a_run_could_contradict(path):
    """Words in Takeaways are true for every data set, or name the data set; winners are computed."""
    cells = nbformat.read(path, as_version=4).cells
    starts = [k for k, cell in enumerate(cells) if cell.cell_type == "markdown" and "## Takeaways" in cell.source]
    ends = [k for k, cell in enumerate(cells) if cell.cell_type == "markdown" and "## Exercises" in cell.source]
    assert starts and ends
    section = cells[starts[0] : ends[0]]
    assert any(cell.cell_type == "code" and "say(" in cell.source for cell in section), "verdicts are computed"
    for cell in section:
        for sentence in re.split(r"(?<=[.?!:])\s+|\n", cell.source) if cell.cell_type == "markdown" else []:
            assert not VERDICT.search(sentence) or BOUND.search(sentence), sentence
