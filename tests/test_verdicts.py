import math
import types

import nbformat
import pytest

from aeutils import verdicts
from aeutils.verdicts import compare, rank


def test_the_better_one_is_named_with_the_difference():
    verdict = compare({"autoencoder": [0.0071, 0.0073], "PCA": 0.0098}, "test MSE", lower_is_better=True, runs="seeds")
    assert (verdict.better, verdict.worse, verdict.clear) == ("autoencoder", "PCA", True)
    assert verdict.difference == pytest.approx(1 - 0.0072 / 0.0098)
    assert str(verdict) == (
        "Test MSE: autoencoder 0.0072 ± 0.00014 is 27% lower than PCA 0.0098, more than twice the standard deviation over 2 seeds."
    )
    assert verdict.favours("autoencoder") and not verdict.favours("PCA")


@pytest.mark.parametrize("swap", [False, True])
def test_the_usual_winner_is_not_named_when_it_loses(swap):
    results = {"U-Net": 14.6, "ridge": 18.7}
    verdict = compare(dict(reversed(results.items())) if swap else results, "test PSNR", difference="dB")
    assert verdict.better == "ridge" and verdict.difference == pytest.approx(4.1) and verdict.clear is None
    assert str(verdict) == "Test PSNR: ridge 18.70 is 4.1 dB higher than U-Net 14.60; one value each, so chance is not measured."
    assert not verdict.favours("U-Net")


def test_a_difference_within_the_spread_has_no_winner():
    verdict = compare({"a": [0.90, 0.94], "b": [0.91, 0.92]}, "accuracy", difference="points")
    assert verdict.clear is False and not verdict.favours("a") and not verdict.favours("b")
    assert "no clear winner" in str(verdict) and "0.5 percentage points, is within twice" in str(verdict)
    assert compare({"a": [0.90, 0.92], "b": 0.95}, "accuracy").clear is True, "0.04 is more than twice 0.014"


def test_pairs_are_compared_pair_by_pair():
    results = {"a": [0.90, 0.80, 0.70], "b": [0.92, 0.82, 0.73]}
    assert compare(results, "AUROC").clear is False
    verdict = compare(results, "AUROC", paired=True, runs="splits")
    assert verdict.favours("b") and "twice the standard deviation of the pairs' differences over 3 splits" in str(verdict)
    with pytest.raises(ValueError, match="paired results have 2 and 3 values"):
        compare({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}, "AUROC", paired=True)


def test_equal_and_diverged_results():
    verdict = compare({"a": 0.5, "b": 0.5}, "accuracy")
    assert verdict.difference == 0 and "are equal" in str(verdict) and not verdict.favours("a") and not verdict.favours("b")
    verdict = compare({"a": [0.1, math.nan], "b": 0.5}, "error", lower_is_better=True)
    assert verdict.better == "b" and str(verdict) == "Error: a gave no number; a training diverged."
    assert not compare({"a": math.nan, "b": math.inf}, "error").favours("a")


def test_compare_wants_two_results_with_values():
    with pytest.raises(ValueError, match="expected two names with values"):
        compare({"a": 1.0}, "accuracy")
    with pytest.raises(ValueError, match="expected two names with values"):
        compare({"a": 1.0, "b": []}, "accuracy")


def test_rank_puts_the_best_first_and_the_diverged_last():
    assert rank({"a": [1.0, 3.0], "b": math.nan, "c": 4}, "accuracy") == "Accuracy, best first: c 4, a 2, b no number."


def _describe(**values):
    return types.SimpleNamespace(name=values.pop("name"), is_published=values.pop("is_published", True)), values


@pytest.fixture
def shown(monkeypatch):
    """The bundles that a cell displays."""
    import IPython.display

    bundles = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_the_run_of_the_page_gets_no_notice(shown):
    data, values = _describe(name="mnist", dataset="mnist", epochs=3)
    assert verdicts.show_notice(data, values, dataset="mnist", epochs=3)
    assert shown == []


@pytest.mark.parametrize(
    "name, is_published, dataset, epochs, differs",
    [
        ("digits", True, "digits", 3, {"dataset": "digits"}),
        ("digits", True, "mnist", 3, {"dataset": "digits"}),  # a fallback
        ("mine", False, "my/mine.npz", 3, {"dataset": "mine"}),
        ("mnist", False, "my/mnist.npz", 3, {"dataset": "my/mnist.npz (your own file)"}),
        ("mnist", True, "mnist", 1, {"epochs": "1"}),
    ],
)
def test_another_run_is_said_and_can_be_read_back(shown, name, is_published, dataset, epochs, differs):
    data, values = _describe(name=name, is_published=is_published, dataset=dataset, epochs=epochs)
    assert not verdicts.show_notice(data, values, dataset="mnist", epochs=3)
    (bundle,) = shown
    assert "The words of this page describe a run with" in bundle["text/plain"] and "<div" in bundle["text/html"]
    output = nbformat.v4.new_output("display_data", data=bundle)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    assert verdicts.read_notice(notebook) == differs
    assert verdicts.read_notice(nbformat.v4.new_notebook()) == {}


def test_sentences_are_text_of_the_page(shown):
    verdicts.say("code_size 2 * 3", ["first", compare({"a": 1.0, "b": 2.0}, "error", lower_is_better=True)])
    (bundle,) = shown
    markdown = bundle["text/markdown"]
    assert markdown.startswith("code\\_size 2 \\* 3\n\n- first\n- Error: a 1.00 is 50% lower than b 2.00")
    assert bundle["text/plain"].splitlines()[0] == "code_size 2 * 3"


def test_a_hundred_percent_is_written_out():
    text = str(compare({"PCA": 0.0, "network": 0.001}, "Test MSE", lower_is_better=True))
    assert "100% lower" in text and "e+" not in text
