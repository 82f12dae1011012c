import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.offsetbox import AnnotationBbox

from aeutils.plots import plot_code_map, plot_histograms, plot_images, plot_lines, plot_means, plot_tradeoff


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_images_stand_in_labelled_rows():
    dark, light = np.zeros((3, 4, 5, 1)), np.ones((2, 4, 5, 1))
    ax = plot_images({"dark": dark, "light": light}, scale=1)
    canvas = ax.images[0].get_array()
    assert canvas.shape == (2 * 4 + 1, 3 * 5 + 2)
    assert canvas[0, 0] == 0 and canvas[5, 0] == 1 and canvas[0, 5] == 1, "image, image, gap"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dark", "light"]
    assert ax.images[0].get_clim() == (0, 1), "rows share one scale, whatever they hold"


def test_images_draw_on_given_axes_colour_and_out_of_range():
    _, given = plt.subplots()
    x = np.full((12, 3, 3, 3), 1.7)
    ax = plot_images({"rgb": x}, columns=10, scale=2, ax=given)
    assert ax is given and ax.images[0].get_array().shape == (6, (10 * 3 + 9) * 2, 3)
    assert ax.images[0].get_array().max() == 1


@pytest.mark.parametrize(
    "rows", [{}, {"a": np.zeros((1, 2, 2, 1)), "b": np.zeros((1, 3, 2, 1))}, {"a": np.zeros((3, 4)), "b": np.zeros((3, 5))}]
)
def test_images_of_other_shapes_are_refused(rows):
    with pytest.raises(ValueError, match="expected rows of one shape"):
        plot_images(rows)


def test_small_images_are_enlarged_and_large_ones_reduced():
    assert plot_images({"small": np.zeros((1, 8, 8, 1))}).images[0].get_array().shape == (56, 56)
    assert plot_images({"usual": np.zeros((1, 28, 28, 1))}).images[0].get_array().shape == (56, 56)
    assert plot_images({"usual": np.zeros((1, 28, 28, 1))}, tile=84).images[0].get_array().shape == (84, 84)
    assert plot_images({"large": np.zeros((2, 512, 512, 3))}).images[0].get_array().shape == (103, 2 * 103 + 7, 3)


def test_rows_of_values_are_curves_with_one_scale():
    ax = plot_images({"low": np.zeros((2, 5)), "high": np.full((3, 5), 2.0)})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["low", "high"]
    curves = [line for line in ax.lines if len(line.get_xdata()) == 5]
    assert len(curves) == 5
    assert curves[0].get_ydata()[0] == pytest.approx(-0.95) and curves[-1].get_ydata()[0] == pytest.approx(-1.05)
    assert np.all(np.diff(curves[1].get_xdata()) > 0) and 1 < curves[1].get_xdata()[0] < 2, "the second in its own column"


def test_lines_differ_by_style_and_marker():
    ax = plot_lines([2, 8, 32], {"a": [3, 2, 1], "b": [4, 3, 2]}, "units", "error", log="xy")
    first, second = ax.lines
    assert first.get_linestyle() != second.get_linestyle() and first.get_marker() != second.get_marker()
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "8", "32"]
    assert ax.get_xlabel() == "units" and ax.get_legend() is not None


def test_several_runs_become_mean_and_band():
    ax = plot_lines([1, 2], {"runs": [[1.0, 2.0], [3.0, 2.0]], "one": [1.0, 1.0]}, "epoch", "error", log="y")
    assert list(ax.lines[0].get_ydata()) == [2, 2] and len(ax.collections) == 1
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(2 - 2**0.5) and band.max() == pytest.approx(2 + 2**0.5)
    assert ax.get_xscale() == "linear" and ax.get_yscale() == "log"


def test_code_map_draws_each_class_and_at_most_n_points():
    z, labels = np.random.default_rng(0).random((100, 2)), np.arange(100) % 4
    ax = plot_code_map(z, labels, ("a", "b", "c", "d"), n=40)
    assert len(ax.collections) == 4 and sum(len(points.get_offsets()) for points in ax.collections) == 40
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c", "d"]


def test_code_map_without_class_names_and_with_many_classes():
    z = np.random.default_rng(0).random((100, 2))
    assert [text.get_text() for text in plot_code_map(z, np.arange(100) % 2).get_legend().get_texts()] == ["0", "1"]
    assert len(plot_code_map(z, np.arange(100) % 50, n=1000).get_legend().get_texts()) == 20


def test_code_map_names_classes_at_their_medians_and_draws_images_apart():
    z = np.array([[0.0, 0.0], [0.001, 0.0], [1.0, 1.0]])
    ax = plot_code_map(z, np.array([0, 0, 1]), ("a", "b"), images=np.zeros((3, 4, 4, 1)))
    assert [text.get_text() for text in ax.texts] == ["a", "b"]
    assert ax.texts[0].get_position() == (0.0005, 0.0)
    drawn = [artist for artist in ax.artists if isinstance(artist, AnnotationBbox)]
    assert len(drawn) == 2, "the second image lies on the first"


def test_code_map_without_labels():
    ax = plot_code_map(np.zeros((5, 2)))
    assert len(ax.collections) == 1 and ax.get_legend() is None


def test_code_map_needs_two_units():
    with pytest.raises(ValueError, match="expected \\(n, 2\\)"):
        plot_code_map(np.zeros((5, 3)))


def test_histograms_share_bins_and_show_shares_and_thresholds():
    ax = plot_histograms({"few": [0.0, 1.0], "many": np.linspace(0, 4, 1000)}, {"limit": 2.0}, xlabel="score", bins=4)
    few, many = [patch.get_data() for patch in ax.patches if patch.get_label() in ("few", "many")]
    assert list(few.values) == [0.5, 0.5, 0, 0] and list(few.edges) == list(many.edges) == [0, 1, 2, 3, 4]
    assert many.values.sum() == pytest.approx(1)
    assert list(ax.lines[0].get_xdata()) == [2, 2] and ax.get_xlabel() == "score"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["few", "many", "limit"]


def test_histograms_on_a_logarithmic_axis():
    ax = plot_histograms({"a": [0.01, 1.0, 100.0]}, bins=4, log=True)
    assert ax.get_xscale() == "log"
    np.testing.assert_allclose(ax.patches[0].get_data().edges, [0.01, 0.1, 1, 10, 100])


@pytest.mark.parametrize("values, log", [({}, False), ({"a": [np.nan]}, False), ({"a": [0.0, 1.0]}, True)])
def test_histograms_refuse_what_they_cannot_draw(values, log):
    with pytest.raises(ValueError, match="at least one, all finite"):
        plot_histograms(values, log=log)


def test_means_over_seeds_by_value_in_panels():
    table = pd.DataFrame(
        [(size, data, seed, 10.0 * size + seed) for size in (2, 8, 32) for data in ("a", "b") for seed in (0, 2)],
        columns=["size", "data", "seed", "loss"],
    )
    figure = plot_means(table, "loss", ["data", "size"])
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["data = a", "data = b"]
    assert (left.get_xlabel(), left.get_ylabel(), left.get_xscale()) == ("size", "loss", "log")
    means, bars = left.containers[0][0].get_xydata(), left.containers[0][2][0].get_segments()
    assert np.allclose(means, [[2, 21], [8, 81], [32, 321]])
    assert np.allclose([segment[1, 1] - segment[0, 1] for segment in bars], 2 * np.sqrt(2)), "one standard deviation to each side"
    assert "over seed" in figure.get_suptitle()


def test_means_of_words_and_of_seeds_alone():
    table = pd.DataFrame({"data": ["a", "b"], "seed": [0, 0], "loss": [1.0, 2.0]})
    (ax,) = plot_means(table, "loss", ["data"]).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"] and ax.containers[0][0].get_linestyle() == "None"
    (ax,) = plot_means(table.assign(seed=[0, 1]), "loss", []).axes
    assert ax.get_xlabel() == "seed"


def test_tradeoff_curves_have_their_own_x():
    ax = plot_tradeoff({"PCA": ([5, 50], [0.04, 0.01]), "one": ([30], [0.02])}, "active units", "error", log="xy")
    first, second = ax.lines
    assert list(first.get_xdata()) == [5, 50] and list(second.get_ydata()) == [0.02]
    assert first.get_marker() != second.get_marker() and first.get_linestyle() != second.get_linestyle()
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_xlabel() == "active units"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["PCA", "one"]


def test_tradeoff_draws_on_given_axes_with_plain_scales():
    _, given = plt.subplots()
    ax = plot_tradeoff({"a": ([0, 1], [1, 2])}, "x", "y", ax=given)
    assert ax is given and ax.get_xscale() == ax.get_yscale() == "linear"


@pytest.mark.parametrize("curves", [{}, {"a": ([1, 2], [1])}, {"a": ([], [])}])
def test_tradeoff_refuses_curves_without_pairs(curves):
    with pytest.raises(ValueError, match="expected at least one curve, each with as many x as y"):
        plot_tradeoff(curves, "x", "y")
