"""Reports on a folder of executed notebooks: one table and one plot."""

import base64
import html
import io
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from aeutils import runs
from aeutils.plots import plot_means
from aeutils.results import format_value

ABOUT = ("run", "notebook", "label", "source")  # columns before the parameters
OUTCOME = ("seconds", "status", "error")  # and after the metrics
N_SOURCE = 8  # digits of the source's digest that are shown


class ReportError(ValueError):
    """There is nothing to report, or no such metric."""


def read_rows(out):
    """One row for every executed notebook of a folder, whoever ran it with papermill.

    Returns
    -------
    list of dict
        See `make_row`.
    """
    paths = sorted(path for path in Path(out).glob("*.ipynb") if not path.name.endswith(runs.PARTIAL))
    return [row for path in paths if (row := make_row(path))]


def make_row(path):
    """What an executed notebook says of itself, in one flat row.

    Returns
    -------
    dict or None
        ``run`` (file name), ``notebook``, ``label`` and ``source`` (digest of its cells), every parameter (the defaults too),
        every recorded metric, ``seconds``, ``status`` (finished or failed) and ``error``. A metric that is called like a
        parameter gets the prefix ``recorded_``. None for a notebook that papermill has not run.
    """
    run = runs.read_run(path)
    meta = run["metadata"]
    if "papermill" not in meta and run["status"] != runs.UNREADABLE:
        return None
    sweep = meta.get("aeutils", {}).get("sweep", {})
    stem = sweep.get("notebook", Path(meta.get("papermill", {}).get("input_path") or "").stem)
    try:
        parameters = {name: parameter.default for name, parameter in runs.read_parameters(path).items()} | run["parameters"]
    except runs.ParameterError:
        parameters = run["parameters"]
    metrics = run["metrics"] | ({"dataset": run["dataset"]} if run["dataset"] else {})
    taken = {*ABOUT, *OUTCOME, *parameters}
    failed = run["status"] != "ok"
    return {
        "run": run["notebook"],
        "notebook": stem,
        "label": sweep.get("label", ""),
        "source": sweep.get("source", "")[:N_SOURCE],
        **{name: value if isinstance(value, (int, float, str)) else repr(value) for name, value in parameters.items()},
        **{f"recorded_{name}" if name in taken else name: value for name, value in metrics.items()},
        "seconds": run["seconds"],
        "status": "failed" if failed else "finished",
        "error": run["status"] if failed else "",
        "_parameters": list(parameters),
        "_metrics": [f"recorded_{name}" if name in taken else name for name in metrics],
    }


def write_report(rows, out, metric=None, left=0):
    """Write ``summary.csv`` and ``summary.html`` with a plot of one metric, each whole or not at all.

    Parameters
    ----------
    rows : list of dict
        From `make_row`.
    out : path
    metric : str, optional
        The metric drawn; by default the first number that the notebook records.
    left : int
        Runs of a sweep that are still to come: the page then says so and reloads itself.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ReportError
        No rows, or no finished run recorded that metric.
    OSError
        The files could not be written; earlier ones are as they were.
    """
    if not rows:
        raise ReportError(f"no executed notebooks in {out}; expected files that a sweep or papermill has written")
    parameters = list(dict.fromkeys(name for row in rows for name in row["_parameters"]))
    metrics = list(dict.fromkeys(name for row in rows for name in row["_metrics"]))
    columns = list(dict.fromkeys([*ABOUT, *parameters, *metrics, *OUTCOME]))
    table = pd.DataFrame(rows, columns=columns).convert_dtypes()
    readable = table[table["error"] != runs.UNREADABLE]
    varied = [name for name in ("notebook", "label", *parameters) if readable[name].nunique(dropna=False) > 1]
    table = table.sort_values([*varied, "run"], kind="stable", ignore_index=True, key=_sortable)
    finished = table[table["status"] == "finished"]
    numbers = [name for name in metrics if pd.api.types.is_numeric_dtype(finished[name]) and finished[name].notna().any()]
    if metric and len(finished) and metric not in numbers:
        raise ReportError(f"no finished run recorded a number called {metric!r}; recorded: {', '.join(numbers) or 'none'}")
    metric = metric or next(iter(numbers), None)
    factors = [name for name in varied if name != "seed"]
    if "label" in factors:  # the parameters of a labelled row say nothing that the label does not
        factors = [name for name in factors if name == "label" or table.groupby("label", dropna=False)[name].nunique().max() > 1]
    figure = plot_means(finished.dropna(subset=[metric]), metric, factors) if metric in numbers else None
    runs.write_whole(Path(out) / "summary.csv", table.to_csv(index=False))
    page = Path(out) / "summary.html"
    table["page"] = [(Path(out) / f"{name}.html").exists() for name in table["run"]]
    runs.write_whole(page, _page(table, varied, metrics, metric, figure, left))
    return page


def _sortable(column):
    return column if pd.api.types.is_numeric_dtype(column) else column.astype(str)


def _page(table, varied, metrics, metric, figure, left):
    n, failed = len(table), int((table["status"] == "failed").sum())
    facts = [f"{n - failed} finished, {failed} failed" + (f", {left} to come" if left else "")]
    if table["source"].nunique() > 1:
        facts.append(
            f"These runs come from {table['source'].nunique()} versions of the notebook (column source): do not compare across them."
        )
    picture = ""
    if figure is not None:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        text = base64.b64encode(buffer.getvalue()).decode()
        picture = f'<img alt="{html.escape(metric)} by {html.escape(", ".join(varied))}" src="data:image/png;base64,{text}" style="max-width:100%">'
    shown = [*varied, *(["source"] if len(facts) > 1 else [])]
    figures = list(dict.fromkeys([name for name in [metric, *metrics] if name in metrics and name not in shown]))[
        : runs.N_HEADLINES + 1
    ]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ["run", *shown, *figures, "seconds"])
    body = []
    for row in table.to_dict("records"):
        name, link = html.escape(row["run"]), quote(row["run"])
        links = [f'<a href="{link}.html">page</a>'] * row["page"] + [f'<a href="{link}.ipynb">notebook</a>']
        cells = [html.escape("" if pd.isna(row[key]) else format_value(row[key])) for key in [*shown, *figures]]
        seconds = "" if pd.isna(row["seconds"]) else f"{row['seconds']:.0f}"
        error = f'<p class="failed">{html.escape(row["error"])}</p>' if row["status"] == "failed" else ""
        body.append(
            f'<tr title="{name}"><td>{" ".join(links)}{error}</td>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + f'<td class="seconds">{seconds}</td></tr>'
        )
    reload = '<meta http-equiv="refresh" content="20">' if left else ""
    title = html.escape(f"{', '.join(table['notebook'].dropna().unique())}: {n} runs")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{reload}<title>{title}</title><style>{runs.STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{'</p><p>'.join(map(html.escape, facts))}</p>{picture}"
        f'<p>All parameters and metrics: <a href="summary.csv">summary.csv</a></p><table><tr>{head}</tr>{"".join(body)}</table></body></html>\n'
    )
