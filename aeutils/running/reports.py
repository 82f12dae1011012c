"""Reports on executed notebooks: pages of single notebooks, an index, and the table and plot of many runs."""

import base64
import io
import logging
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pandas as pd

from aeutils.errors import UserError
from aeutils.files import write_whole
from aeutils.plots import plot_means
from aeutils.results import format_value, read_record
from aeutils.running.execution import PARTIAL, Outcome, read_outcome
from aeutils.running.parameters import ParameterError, read_parameters
from aeutils.verdicts import read_notice

N_HEADLINES = 3  # the first recorded figures are the headline
ABOUT = ("run", "notebook", "label", "source")  # columns before the parameters
OUTCOME = ("seconds", "status", "error")  # columns after the metrics
N_SOURCE = 8  # digits of the source's digest that are shown


class ReportError(UserError, ValueError):
    """There is nothing to report, or no such metric."""


# ---- What an executed notebook says ----


@dataclass(frozen=True)
class Record:
    """What one executed notebook says about its run.

    Attributes
    ----------
    name : str
        The file's stem.
    outcome : aeutils.running.execution.Outcome
    given : dict
        Parameters that the run was given.
    parameters : dict
        All parameters, defaults included.
    dataset : str
        The data set that was really used.
    metrics : dict
        Everything else that was recorded, in the order of recording.
    seconds : float or None
        Kernel start included.
    notebook, label, source : str
        In a sweep: stem of the source notebook, label of its row, digest of its source.
    differs : dict
        Parameters in which the run differs from the one that the page's words describe, with their values.
    is_run : bool
        False if papermill has not executed this file.
    """

    name: str
    outcome: Outcome
    given: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)
    dataset: str = ""
    metrics: dict = field(default_factory=dict)
    seconds: float | None = None
    notebook: str = ""
    label: str = ""
    source: str = ""
    differs: dict = field(default_factory=dict)
    is_run: bool = True

    @property
    def headline(self):
        """The first figures that the notebook recorded, in one line."""
        return ", ".join(f"{name} {format_value(value)}" for name, value in list(self.metrics.items())[:N_HEADLINES])

    def flatten(self):
        """Split the record into the columns of a table: about, parameters, metrics, outcome (four dicts).

        A metric that is named like another column gets the prefix ``recorded_``.
        """
        metrics = self.metrics | ({"dataset": self.dataset} if self.dataset else {})
        taken = {*ABOUT, *OUTCOME, *self.parameters}
        return (
            {"run": self.name, "notebook": self.notebook, "label": self.label, "source": self.source[:N_SOURCE]},
            {name: value if isinstance(value, (int, float, str)) else repr(value) for name, value in self.parameters.items()},
            {f"recorded_{name}" if name in taken else name: value for name, value in metrics.items()},
            {
                "seconds": self.seconds,
                "status": "finished" if self.outcome.finished else "failed",
                "error": "" if self.outcome.finished else str(self.outcome),
            },
        )


def describe_run(name, notebook):
    """Make the record of an executed notebook.

    Parameters
    ----------
    name : str
        The stem of its file.
    notebook : nbformat.NotebookNode
    """
    papermill, sweep = notebook.metadata.get("papermill", {}), notebook.metadata.get("aeutils", {}).get("sweep", {})
    metrics, given = read_record(notebook), dict(papermill.get("parameters", {}))
    try:
        defaults = {name: parameter.default for name, parameter in read_parameters(notebook).items()}
    except ParameterError:
        defaults = {}
    return Record(
        name=name,
        outcome=read_outcome(notebook),
        given=given,
        parameters=defaults | given,
        dataset=metrics.pop("dataset", ""),
        metrics=metrics,
        seconds=papermill.get("duration"),
        notebook=sweep.get("notebook", Path(papermill.get("input_path") or "").stem),
        label=sweep.get("label", ""),
        source=sweep.get("source", ""),
        differs=read_notice(notebook),
        is_run="papermill" in notebook.metadata,
    )


def read_run(path):
    """Read the record of one executed notebook; a file that is no notebook gets an outcome of kind ``unreadable``."""
    path = Path(path)
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError):
        return Record(path.stem, Outcome("unreadable", message="not a readable notebook"))
    return describe_run(path.stem, notebook)


def read_runs(folder):
    """Read the records of all executed notebooks in a folder, whoever ran them with papermill.

    Returns
    -------
    list of Record
        Ordered by file name.
    """
    paths = sorted(path for path in Path(folder).glob("*.ipynb") if not path.name.endswith(PARTIAL))
    return [record for path in paths if (record := read_run(path)).is_run]


# ---- Pages ----


def write_html(path, notebook):
    """Render a notebook to a page beside `path`, where the notebook lies or will lie.

    Returns
    -------
    pathlib.Path
        The page.
    """
    from nbconvert import HTMLExporter

    logging.getLogger("traitlets").setLevel(logging.ERROR)  # otherwise it reports every figure without a text alternative
    body, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    page = path.with_suffix(".html")
    write_whole(page, body)
    return page


def render_page(title, paragraphs=(), **content):
    """Render the page that all reports share, ``report.html.j2``; every text in it is escaped.

    Parameters
    ----------
    title : str
    paragraphs : sequence of str
    **content
        As far as a page has it: ``failure`` (str), ``picture`` (dict of ``description`` and ``data``, PNG in base64),
        ``table_file`` (str), ``columns`` (list of str), ``rows`` (list of dict with ``name``, ``links``, ``failure``,
        ``cells``, ``seconds``) and ``reload`` (bool).

    Returns
    -------
    str
        HTML.
    """
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template("report.html.j2").render(title=title, paragraphs=paragraphs, **content)


def _format_seconds(seconds):
    return "" if seconds is None or pd.isna(seconds) else f"{seconds:.0f}"


def format_table(records):
    """Format records as a plain table for the terminal."""
    rows = [
        {
            "notebook": record.name,
            "data set": record.dataset,
            "seconds": _format_seconds(record.seconds),
            "headline metrics": record.headline if record.outcome.finished else f"FAILED: {record.outcome}",
        }
        for record in records
    ]
    table = pd.DataFrame(rows)
    width = {name: int(table[name].str.len().max()) for name in table}
    return table.to_string(index=False, justify="left", formatters={name: f"{{:<{w}}}".format for name, w in width.items()})


def write_index(out):
    """Write ``index.html``: every executed notebook of the folder with its page, data, figures, parameters and seconds.

    Returns
    -------
    pathlib.Path
        The page.
    """
    rows = []
    for record in read_runs(out):
        figures = [f"{name}: {format_value(value)}" for name, value in list(record.metrics.items())[:N_HEADLINES]]
        given = [f"{name} = {value!r}" for name, value in record.given.items()]
        rows.append(
            {
                "name": record.name,
                "links": [(record.name, f"{record.name}.html"), ("notebook", f"{record.name}.ipynb")],
                "failure": "" if record.outcome.finished else str(record.outcome),
                "notice": ", ".join(f"{name} = {value}" for name, value in record.differs.items()),
                "cells": [[record.dataset], figures, given or ["defaults"]],
                "seconds": _format_seconds(record.seconds),
            }
        )
    page = Path(out) / "index.html"
    columns = ["notebook", "data set", "headline figures", "parameters given"]
    explanation = "Each name leads to the executed notebook with its text and pictures."
    if any(row["notice"] for row in rows):
        explanation += (
            " Where a run differs from the one that a page's words describe, read its tables and plots, not its sentences."
        )
    write_whole(page, render_page("Autoencoder notebooks: results", [explanation], columns=columns, rows=rows))
    return page


# ---- Many runs: one table and one plot ----


def write_report(records, out, metric=None, left=0):
    """Write ``summary.csv`` and ``summary.html`` with a plot of one metric, each as a whole or not at all.

    Parameters
    ----------
    records : sequence of Record
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
        No records, or no finished run recorded that metric.
    OSError
        The files could not be written; earlier ones are unchanged.
    """
    if not records:
        raise ReportError(f"no executed notebooks in {out}; expected files that a sweep or papermill has written")
    parts = [record.flatten() for record in records]
    parameters, metrics = (list(dict.fromkeys(name for part in parts for name in part[k])) for k in (1, 2))
    columns = list(dict.fromkeys([*ABOUT, *parameters, *metrics, *OUTCOME]))
    rows = [about | given | recorded | outcome for about, given, recorded, outcome in parts]
    table = pd.DataFrame(rows, columns=columns).convert_dtypes()
    readable = table[[record.outcome.kind != "unreadable" for record in records]]
    varied = [name for name in ("notebook", "label", *parameters) if readable[name].nunique(dropna=False) > 1]
    table = table.sort_values([*varied, "run"], kind="stable", ignore_index=True, key=_sortable)
    finished = table[table["status"] == "finished"]
    numbers = [name for name in metrics if pd.api.types.is_numeric_dtype(finished[name]) and finished[name].notna().any()]
    if metric and len(finished) and metric not in numbers:
        raise ReportError(f"no finished run recorded a number called {metric!r}; recorded: {', '.join(numbers) or 'none'}")
    metric = metric or next(iter(numbers), None)
    factors = [name for name in varied if name != "seed"]
    if "label" in factors:  # a label stands for all parameters of its row
        factors = [name for name in factors if name == "label" or table.groupby("label", dropna=False)[name].nunique().max() > 1]
    figure = plot_means(finished.dropna(subset=[metric]), metric, factors) if metric in numbers else None
    write_whole(Path(out) / "summary.csv", table.to_csv(index=False))
    page = Path(out) / "summary.html"
    write_whole(page, _render_summary(table, Path(out), varied, metrics, metric, figure, left))
    return page


def _sortable(column):
    return column if pd.api.types.is_numeric_dtype(column) else column.astype(str)


def _render_summary(table, out, varied, metrics, metric, figure, left):
    n, failed = len(table), int((table["status"] == "failed").sum())
    facts, shown = [f"{n - failed} finished, {failed} failed" + (f", {left} to come" if left else "")], list(varied)
    if (n_sources := table["source"].nunique()) > 1:
        facts.append(f"These runs come from {n_sources} versions of the notebook (column source): do not compare across them.")
        shown.append("source")
    figures = [name for name in dict.fromkeys([metric, *metrics]) if name in metrics and name not in shown][: N_HEADLINES + 1]
    rows = [
        {
            "name": row["run"],
            "links": [("page", f"{row['run']}.html")] * (out / f"{row['run']}.html").exists()
            + [("notebook", f"{row['run']}.ipynb")],
            "failure": row["error"] if row["status"] == "failed" else "",
            "cells": [["" if pd.isna(row[name]) else format_value(row[name])] for name in [*shown, *figures]],
            "seconds": _format_seconds(row["seconds"]),
        }
        for row in table.to_dict("records")
    ]
    return render_page(
        f"{', '.join(table['notebook'].dropna().unique())}: {n} runs",
        facts,
        picture=None if figure is None else _embed(figure, f"{metric} by {', '.join(varied)}"),
        table_file="summary.csv",
        columns=["run", *shown, *figures],
        rows=rows,
        reload=bool(left),
    )


def _embed(figure, description):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return {"description": description, "data": base64.b64encode(buffer.getvalue()).decode()}
