"""Figures for the notebooks.

A `plot_` function with a parameter `ax` draws on these axes, or on a new figure if `ax` is None, and returns the axes.
"""

import itertools

import matplotlib
import matplotlib.figure
import matplotlib.font_manager
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

COLOURS = matplotlib.color_sequences["petroff10"]  # also for colour-blind readers: Petroff 2021, arXiv:2107.02270
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = "os^Dv<>PX*"


def plot_images(rows, columns=10, scale=None, ax=None, tile=56):
    """Draw rows of images with one label per row. Grey values go from 0 (black) to 1 (white) in all images.

    Rows of values (signals, table rows) are drawn as curves that share one y axis.

    Parameters
    ----------
    rows : dict of str to numpy.ndarray
        Label to images of shape (n, height, width, 1 or 3), values in [0, 1] (clipped for display), or to rows of shape
        (n, length). Different labels may have different n.
    columns : int
        Maximum number of images per row.
    scale : int, optional
        Display pixels per image pixel, in each direction. Default: so many that an image is about `tile` pixels high.
    ax : matplotlib.axes.Axes, optional
    tile : int
        Display pixels of the height of an image, approximately. Images of more than twice as many pixels are reduced.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        There are no rows, or the images do not all have one shape.
    """
    rows = {label: np.asarray(images)[:columns] for label, images in rows.items()}
    shapes = {images.shape[1:] for images in rows.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) not in (1, 3):
        raise ValueError(
            f"images have the shapes {sorted(shapes)}; expected rows of one shape, (height, width, channels) or (length,)"
        )
    if len(next(iter(shapes))) == 1:
        return _plot_curves(rows, ax, tile)
    height, width, channels = next(iter(shapes))
    if scale is None and height > 2 * tile:
        step = -(-height // (2 * tile))
        rows = {label: images[:, ::step, ::step] for label, images in rows.items()}
        height, width = -(-height // step), -(-width // step)
    scale = scale or max(1, round(tile / height))
    n = max(len(images) for images in rows.values())
    gap = max(1, height // 14)
    canvas = np.ones((len(rows) * (height + gap) - gap, n * (width + gap) - gap, channels), np.float32)
    for (r, images), c in itertools.product(enumerate(rows.values()), range(n)):
        if c < len(images):
            top, left = r * (height + gap), c * (width + gap)
            canvas[top : top + height, left : left + width] = images[c]
    canvas = np.repeat(np.repeat(np.clip(canvas, 0, 1), scale, axis=0), scale, axis=1)
    if ax is None:
        # One figure pixel per canvas pixel, so that nothing is resampled. The labels are to the left of the axes.
        ax = _make_axes(rows, *canvas.shape[:2])
    ax.imshow(canvas[..., 0] if channels == 1 else canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _label_rows(ax, rows, [(r * (height + gap) + height / 2) * scale for r in range(len(rows))])
    ax.set_xticks([])
    return ax


def _make_axes(rows, height, width):
    """Axes of `height` x `width` pixels on a new figure, with room for row labels to the left."""
    margin = 0.2 + 0.1 * max(map(len, rows))
    height, width = height / 80, width / 80
    fig = plt.figure(figsize=(margin + width, height), dpi=80)
    return fig.add_axes((margin / (margin + width), 0, width / (margin + width), 1))


def _label_rows(ax, rows, places):
    ax.set_yticks(places, list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _plot_curves(rows, ax, tile):
    """Draw rows of values as small curves in a grid, all with the same limits."""
    values = np.concatenate([np.ravel(curves) for curves in rows.values()])
    low, high = values.min(), values.max()
    extent = (high - low) or 1
    n = max(len(curves) for curves in rows.values())
    ax = ax or _make_axes(rows, round(1.15 * tile) * len(rows), round(1.5 * tile) * n)
    for r, curves in enumerate(rows.values()):
        places = np.linspace(0.03, 0.97, curves.shape[1])
        for c, curve in enumerate(curves):
            ax.plot(c + places, -r - 0.95 + 0.9 * (curve - low) / extent, color=COLOURS[r % len(COLOURS)], linewidth=1)
    ax.set(xlim=(0, n), ylim=(-len(rows), 0), xticks=[])
    for r in range(1, len(rows)):
        ax.axhline(-r, color="0.85", linewidth=0.8)
    for c in range(1, n):
        ax.axvline(c, color="0.85", linewidth=0.8)
    _label_rows(ax, rows, [-r - 0.5 for r in range(len(rows))])
    return ax


def plot_lines(x, lines, xlabel, ylabel, log="", ax=None):
    """Draw several curves over the same x values. Curves differ in colour, line style and marker.

    A curve of several runs is drawn as the mean of the runs with a band of one standard deviation to each side.

    Parameters
    ----------
    x : sequence of float
        Each value gets a tick on the x axis.
    lines : dict of str to array_like
        Label to y values, one for each x, or to an array of shape (n_runs, n_x).
    xlabel, ylabel : str
        Axis labels, with the unit.
    log : str
        Logarithmic axes: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(5.5 if len(lines) <= 3 else 7.5, 3.3), dpi=80, layout="constrained")
    for (label, y), colour, style, marker in zip(lines.items(), *map(itertools.cycle, (COLOURS, LINE_STYLES, MARKERS))):
        runs = np.atleast_2d(y)
        mean, spread = runs.mean(axis=0), runs.std(axis=0, ddof=1) if len(runs) > 1 else 0
        ax.plot(x, mean, color=colour, linestyle=style, marker=marker, label=label)
        if len(runs) > 1:
            ax.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.25, linewidth=0)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        if high / low < 100:  # powers of ten alone would be too few ticks
            ax.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
    if log:
        ax.minorticks_off()
    ax.set_xticks(list(x), [f"{value:g}" for value in x])
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(alpha=0.3)
    if len(lines) <= 3:
        ax.legend()
    else:
        ax.legend(bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return ax


def plot_tradeoff(curves, xlabel, ylabel, log="", ax=None):
    """Draw curves with separate x values, for example error against cost, with a marker at every point.

    Parameters
    ----------
    curves : dict of str to (array_like, array_like)
        Label to x values and y values, of the same length.
    xlabel, ylabel : str
        Axis labels, with the unit.
    log : str
        Logarithmic axes: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        There is no curve, or x and y of a curve are empty or have different lengths.
    """
    lengths = {label: (len(x), len(y)) for label, (x, y) in curves.items()}
    if not curves or any(n_x != n_y or n_x == 0 for n_x, n_y in lengths.values()):
        raise ValueError(f"curves have lengths (x, y) {lengths}; expected at least one curve, each with as many x as y")
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 3.8), dpi=80, layout="constrained")
    for (label, (x, y)), colour, style, marker in zip(curves.items(), *map(itertools.cycle, (COLOURS, LINE_STYLES, MARKERS))):
        ax.plot(x, y, color=colour, linestyle=style, marker=marker, label=label)
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        if name in log:
            axis.axes.set(**{f"{name}scale": "log"})
            axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(matplotlib.ticker.NullLocator())
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(alpha=0.3)
    ax.legend(bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return ax


def plot_code_map(z, labels=None, class_names=(), n=2000, seed=0, ax=None, images=None):
    """Draw a scatter plot of codes with two units, with one colour and marker per class and thumbnails of some images.

    The name of a class stands at the median of its points.

    Parameters
    ----------
    z : numpy.ndarray
        Codes, shape (n_images, 2).
    labels : numpy.ndarray or None
        Integer labels, shape (n_images,). With None, all points look the same.
    class_names : sequence of str
        Name of each label, for the legend, which shows the first 20. Default: the labels themselves.
    n : int
        Maximum number of points, drawn at random.
    seed : int
        Seed of the random choice of points.
    ax : matplotlib.axes.Axes, optional
    images : numpy.ndarray, optional
        Images of the codes, shape (n_images, height, width, 1 or 3), values in [0, 1]. Up to 40 are drawn, far from each other.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        The codes do not have two units.
    """
    if z.ndim != 2 or z.shape[1] != 2:
        raise ValueError(f"z has shape {z.shape}; expected (n, 2), codes of two units")
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 5.6), dpi=80, layout="constrained")
    chosen = np.random.default_rng(seed).permutation(len(z))[:n]
    z, labels = z[chosen], None if labels is None else labels[chosen]
    for place, k in enumerate([None] if labels is None else np.unique(labels)):
        points = z if k is None else z[labels == k]
        known = class_names[k] if k is not None and k < len(class_names) else k
        name, colour = (None, "0.3") if k is None else (known if place < 20 else None, COLOURS[k % len(COLOURS)])
        ax.scatter(*points.T, s=20, alpha=0.8, linewidths=0, marker=MARKERS[(k or 0) % len(MARKERS)], color=colour, label=name)
        if name is not None:
            box = {"facecolor": "white", "edgecolor": colour, "alpha": 0.85, "boxstyle": "round,pad=0.15"}
            ax.text(*np.median(points, axis=0), name, ha="center", va="center", fontsize=9, zorder=4, bbox=box)
    if images is not None and np.ndim(images) == 4:
        _draw_thumbnails(ax, z, images[chosen])
    ax.set_xlabel("code unit 1")
    ax.set_ylabel("code unit 2")
    if labels is not None:
        ax.legend(markerscale=2, bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return ax


def _draw_thumbnails(ax, z, images, n=40, pixels=26):
    """Draw up to `n` images at their codes, the first that is not near one drawn before."""
    places = (z - z.min(axis=0)) / np.maximum(np.ptp(z, axis=0), 1e-12)
    drawn = []
    for k, place in enumerate(places):
        if len(drawn) < n and all(np.linalg.norm(place - places[other]) > 0.09 for other in drawn):
            drawn.append(k)
            picture = images[k, ..., 0] if images.shape[-1] == 1 else images[k]
            thumbnail = OffsetImage(
                picture.clip(0, 1), zoom=pixels / max(picture.shape[:2]), cmap="gray", norm=plt.Normalize(0, 1)
            )
            ax.add_artist(AnnotationBbox(thumbnail, z[k], frameon=False, pad=0))


def plot_histograms(values, thresholds=None, xlabel="", bins=40, log=False, ax=None):
    """Draw histograms of several groups over the same bins, and thresholds as vertical lines.

    The height of a bar is the fraction of its group in the bin.

    Parameters
    ----------
    values : dict of str to array_like
        Group to its values. Groups may have different sizes.
    thresholds : dict of str to float, optional
        Label to threshold.
    xlabel : str
        Axis label, with the unit.
    bins : int
        Number of bins.
    log : bool
        Use a logarithmic x axis and logarithmic bins. All values must be positive.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        There are no values, or some are not finite, or some are not positive and `log` is true.
    """
    everything = np.concatenate([np.ravel(group) for group in values.values()]) if values else np.empty(0)
    if not everything.size or not np.isfinite(everything).all() or (log and everything.min() <= 0):
        raise ValueError(f"values of {list(values)}: expected at least one, all finite{' and above 0' if log else ''}")
    low, high = everything.min(), everything.max()
    edges = np.geomspace(low, high, bins + 1) if log and high > low else np.histogram_bin_edges(everything, bins)
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 3), dpi=80, layout="constrained")
    for (label, group), colour, style in zip(values.items(), itertools.cycle(COLOURS), itertools.cycle(LINE_STYLES)):
        weights = np.full(np.size(group), 1 / max(1, np.size(group)))
        share, _ = np.histogram(np.ravel(group), edges, weights=weights)
        ax.stairs(share, edges, fill=True, color=colour, alpha=0.25)
        ax.stairs(share, edges, color=colour, linestyle=style, linewidth=1.5, label=label)
    for (label, threshold), style in zip((thresholds or {}).items(), itertools.cycle(LINE_STYLES)):
        ax.axvline(threshold, color="black", linestyle=style, linewidth=1.2, label=label)
    if log:
        ax.set_xscale("log")
    ax.set_xlabel(xlabel)
    ax.set_ylabel("share in a bin")
    ax.legend(bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return ax


def plot_means(table, y, factors):
    """Draw one metric of many runs over the parameters that were varied.

    Each run is a small dot. The mean of the runs with the same setting (usually with different seeds) is a large marker
    with an error bar of one standard deviation to each side.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per run.
    y : str
        Column of the metric.
    factors : sequence of str
        Columns that were varied. They are sorted: numbers before text, then columns with many different values before
        columns with few. The first is the x axis, the second gets one panel per value, the third one line per value.
        The mean is taken over all others, which the title names. Without factors, the x axis is the column ``seed`` if
        there is one.

    Returns
    -------
    matplotlib.figure.Figure
        A new figure. pyplot does not know it, so no window opens.
    """
    order = sorted(factors, key=lambda name: (not _is_numeric(table[name]), -table[name].nunique()))
    x, panel, line = (order + [None] * 3)[:3]
    x = x or ("seed" if "seed" in table else None)
    numeric = bool(x) and _is_numeric(table[x])
    values = _sorted_values(table[x]) if x else ["all runs"]
    places = {value: value if numeric else place for place, value in enumerate(values)}
    panels = _sorted_values(table[panel]) if panel else [None]
    n_columns = min(4, len(panels))
    n_rows = -(-len(panels) // n_columns)
    fig = matplotlib.figure.Figure(figsize=(max(5.5, 3.0 * n_columns), 3.6 * n_rows), dpi=100, layout="constrained")
    axes = fig.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, value in zip(axes, panels):
        part = table[table[panel] == value] if panel else table
        groups = {f"{line} = {name}": rows for name, rows in part.groupby(line)} if line else {"": part}
        for (label, rows), colour, style, marker in zip(groups.items(), *map(itertools.cycle, (COLOURS, LINE_STYLES, MARKERS))):
            at = rows[x].map(places).to_numpy(float) if x else np.zeros(len(rows))
            runs = rows[y].astype(float).groupby(at)
            mean, spread = runs.mean(), runs.std().fillna(0)
            ax.plot(at, rows[y].to_numpy(float), ".", color=colour, alpha=0.4)
            style = style if numeric else "none"
            ax.errorbar(mean.index, mean, spread, color=colour, linestyle=style, marker=marker, capsize=3, label=label)
        if panel:
            ax.set_title(f"{panel} = {value}", fontsize=10)
        ax.set_xlabel(x or "")
        ax.grid(alpha=0.3)
    if numeric and values[0] > 0 and values[-1] >= 8 * values[0]:
        axes[0].set_xscale("log")
    shown = values[:: -(-len(values) // 12)]
    axes[0].set_xticks([places[value] for value in shown], [f"{value:g}" if numeric else str(value) for value in shown])
    for ax in axes:
        ax.minorticks_off()
        ax.tick_params("x", rotation=30 if sum(len(str(value)) for value in shown) > 40 else 0)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[::n_columns]:
        ax.set_ylabel(y)
    if line:
        axes[0].legend(fontsize=8)
    over = [name for name in ("seed", *order[3:]) if name in table and table[name].nunique() > 1 and name != x]
    spread = f" and one standard deviation over {', '.join(over)}" if over else ""
    fig.suptitle(f"small dots: runs; large: mean{spread}", fontsize=9)
    return fig


KOREAN_FONTS = (
    "NanumGothic",
    "Nanum Gothic",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "UnDotum",
)


def find_fonts():
    """Font families for text that may be Korean: matplotlib's usual ones, then a Korean font, if one is installed.

    Returns
    -------
    list of str
        For the argument `family` of matplotlib. The last one is among ``KOREAN_FONTS`` if Korean text can be drawn.
    """
    installed = {font.name for font in matplotlib.font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *[name for name in KOREAN_FONTS if name in installed][:1]]


def _is_numeric(column):
    return column.dtype.kind in "iuf"


def _sorted_values(column):
    return sorted(column.dropna().unique(), key=None if _is_numeric(column) else str)
