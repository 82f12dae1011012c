"""True words about a run: comparisons computed from its figures, and a notice where a page's words describe another run."""

import html
import math
from dataclasses import dataclass

import numpy as np

NOTICE_TYPE = "application/vnd.aeutils.notice+json"


@dataclass(frozen=True)
class Verdict:
    """The outcome of `compare`. As text it is one or two sentences.

    Attributes
    ----------
    better, worse : str
        Names of the two; in the order given if they are equal.
    difference : float
        How much better, 0 or more: as a fraction of `worse` ("percent"), as a fraction of 1 ("points"), or in the unit.
    clear : bool or None
        Whether the difference is larger than twice the larger standard deviation. None: one value each, so chance is
        not measured.
    text : str
    """

    better: str
    worse: str
    difference: float
    clear: bool | None
    text: str

    def __str__(self):
        return self.text

    def favours(self, name):
        """Whether `name` is better and the difference is not within the spread."""
        return self.better == name and self.clear is not False and self.difference > 0


def compare(results, measure, *, lower_is_better=False, difference="percent", runs="trainings", paired=False):
    """Say which of two results is better, by how much, and whether the difference is larger than the spread.

    Parameters
    ----------
    results : dict of str to float or sequence of float
        Two names with their values: one value, or one for each training. NaN means that a training gave no number.
    measure : str
        What the values are, with the split: ``"test MSE"``.
    lower_is_better : bool
        True for errors.
    difference : str
        ``"percent"`` of the worse one (errors), percentage ``"points"`` (accuracies, shares), or a unit such as ``"dB"``.
    runs : str
        What the values of a sequence are, in the plural.
    paired : bool
        True if the k-th values of both belong together, for example to the same split of the data.

    Returns
    -------
    Verdict
        The rule for `clear`: the difference of the means is larger than twice the larger of the two standard deviations
        (n - 1), or, if `paired`, than twice the standard deviation of the pairs' differences. It is a rule of thumb for
        few values, not a statistical test.

    Raises
    ------
    ValueError
        Not two results, or one without values, or pairs of different numbers.

    Examples
    --------
    >>> print(compare({"autoencoder": [0.0071, 0.0073], "PCA": 0.0098}, "test MSE", lower_is_better=True))
    Test MSE: autoencoder 0.0072 ± 0.00014 is 27% lower than PCA 0.0098, more than twice the standard deviation over 2 trainings.
    >>> compare({"U-Net": 14.6, "ridge": 18.7}, "test PSNR", difference="dB").better
    'ridge'
    """
    values = {name: np.atleast_1d(np.asarray(value, float)) for name, value in results.items()}
    if len(values) != 2 or any(value.size == 0 for value in values.values()):
        raise ValueError(f"results has {[(name, value.size) for name, value in values.items()]}; expected two names with values")
    means = {name: value.mean() if np.isfinite(value).all() else math.nan for name, value in values.items()}
    start = measure[:1].upper() + measure[1:]
    if lost := [name for name, mean in means.items() if math.isnan(mean)]:
        better = next((name for name in values if name not in lost), lost[0])
        worse = next(name for name in values if name != better)
        text = f"{start}: {' and '.join(lost)} gave no number; a training diverged."
        return Verdict(better, worse, 0.0 if len(lost) == 2 else math.inf, None, text)
    better, worse = sorted(values, key=means.get, reverse=not lower_is_better)
    gap = abs(means[better] - means[worse])
    amount = gap / abs(means[worse]) if difference == "percent" and means[worse] else gap
    spread = max(np.std(value, ddof=1) if value.size > 1 else 0.0 for value in values.values())
    n = max(value.size for value in values.values())
    if paired:
        first, second = values.values()
        if first.size != second.size:
            raise ValueError(f"paired results have {first.size} and {second.size} values; expected the same number")
        spread = np.std(first - second, ddof=1) if n > 1 else 0.0
    clear = bool(gap > 2 * spread) if n > 1 else None
    first, second = (f"{name} {_format(values[name], gap)}" for name in (better, worse))
    by = {
        "percent": f"{100 * amount:.2g}%" if amount < 0.995 else f"{100 * amount:.0f}%",
        "points": f"{100 * gap:.1f} percentage points",
    }.get(difference, f"{gap:.3g} {difference}")
    deviation = "the standard deviation of the pairs' differences" if paired else "the standard deviation"
    if gap == 0:
        text = f"{start}: {first} and {second} are equal."
    elif clear is False:
        text = f"{start}: no clear winner. {first}, {second}: the difference, {by}, is within twice {deviation} over {n} {runs}."
    else:
        text = f"{start}: {first} is {by} {'lower' if lower_is_better else 'higher'} than {second}"
        text += f", more than twice {deviation} over {n} {runs}." if clear else "; one value each, so chance is not measured."
    return Verdict(better, worse, float(amount), clear, text)


def rank(results, measure, *, lower_is_better=False):
    """Name results from best to worst in one sentence, with the mean of each.

    Parameters are those of `compare`, for any number of results.

    Examples
    --------
    >>> rank({"PCA": 0.0098, "mean image": 0.087, "autoencoder": [0.0071, 0.0073]}, "test MSE", lower_is_better=True)
    'Test MSE, best first: autoencoder 0.0072, PCA 0.0098, mean image 0.087.'
    """
    means = {name: float(np.mean(value)) for name, value in results.items()}
    order = sorted(means, key=lambda name: (math.isnan(means[name]), means[name] if lower_is_better else -means[name]))
    listed = ", ".join(f"{name} {means[name]:.3g}" if math.isfinite(means[name]) else f"{name} no number" for name in order)
    return f"{measure[0].upper()}{measure[1:]}, best first: {listed}."


def say(*sentences):
    """Show sentences that a cell has computed as text of the page, one paragraph each; a list becomes bullets.

    Parameters
    ----------
    *sentences : str, Verdict, or list of these
    """
    from IPython.display import display

    blocks = [
        "\n".join(f"- {_escape(item)}" for item in block) if isinstance(block, (list, tuple)) else _escape(block)
        for block in sentences
    ]
    plain = "\n".join(str(item) for block in sentences for item in (block if isinstance(block, (list, tuple)) else [block]))
    display({"text/markdown": "\n\n".join(blocks), "text/plain": plain}, raw=True)


def show_notice(data, values, **described):
    """Print a notice if the data set or a parameter differs from those that the page's words describe.

    The notice is an output of the notebook, so it is in the executed notebook and in its page; ``index.html`` of
    ``python -m aeutils run`` shows it too. If nothing differs, nothing is shown.

    Parameters
    ----------
    data : aeutils.datasets.Dataset
        What was loaded, perhaps after a fallback.
    values : dict
        ``globals()`` of the notebook.
    **described
        Every parameter with its value in the run that the page shows.

    Returns
    -------
    bool
        Whether this run is the one that the words describe.
    """
    from IPython.display import display

    run = {name: values[name] for name in described}
    if "dataset" in described and data.name != described["dataset"]:
        run["dataset"] = data.name
    elif "dataset" in described:
        run["dataset"] = described["dataset"] if data.is_published else f"{run['dataset']} (your own file)"
    differing = [name for name, value in described.items() if run[name] != value]
    if not differing:
        return True
    page = ", ".join(f"{name} = {described[name]}" for name in differing)
    here = ", ".join(f"{name} = {run[name]}" for name in differing)
    text = (
        f"The words of this page describe a run with {page}. This run has {here}. Sentences about results may be wrong for it: "
        "read the tables, the plots and the sentences that a cell prints."
    )
    style = "border: 2px solid #b35900; border-radius: 4px; padding: 0.6em 1em; margin: 0.5em 0;"
    display(
        {
            NOTICE_TYPE: {"differs": {name: str(run[name]) for name in differing}},
            "text/html": f'<div style="{style}"><b>This run differs from the page.</b> {html.escape(text)}</div>',
            "text/plain": f"This run differs from the page. {text}",
        },
        raw=True,
    )
    return False


def read_notice(notebook):
    """The parameters in which an executed notebook differs from its words, by name; empty if there is no notice."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if notice := output.get("data", {}).get(NOTICE_TYPE):
                return dict(notice.get("differs", {}))
    return {}


def _format(values, gap):
    """Mean and standard deviation, with enough digits to show the gap."""
    digits = max(2, 1 - math.floor(math.log10(gap))) if 0 < gap < 1 else 2
    digits = min(digits, 6)
    text = f"{values.mean():.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text and digits > 2 else text
    return text + (f" ± {np.std(values, ddof=1):.2g}" if values.size > 1 else "")


def _escape(text):
    return str(text).replace("*", "\\*").replace("_", "\\_").replace("$", "\\$").replace("<", "&lt;")
