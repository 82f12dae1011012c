"""Execution of notebooks with papermill, and how a run ended."""

import logging
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat

from aeutils.files import write_whole
from aeutils.running.parameters import read_described
from aeutils.running.sources import read_source

PARTIAL = ".partial.ipynb"  # ending of a notebook that is still running
KINDS = ("finished", "cell", "kernel", "disk", "worker", "unfinished", "unreadable", "other")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    kind : str
        ``finished``; or what failed: ``cell`` (a cell raised an error), ``kernel`` (it died or did not start), ``disk``
        (something could not be written), ``worker`` (a Dask worker failed); or ``unfinished``, ``unreadable``, ``other``
        for a notebook that was found like this.
    place : str
        Where it failed, such as ``cell In [3]``; may be empty.
    message : str
        What happened, in one line; empty if finished.
    """

    kind: str
    place: str = ""
    message: str = ""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}: expected one of {', '.join(KINDS)}")

    @property
    def finished(self):
        return self.kind == "finished"

    def __str__(self):
        if self.finished:
            return "ok"
        return f"{self.place}: {self.message}" if self.place else self.message


FINISHED = Outcome("finished")


def read_outcome(notebook):
    """How the run of an executed notebook ended, from its metadata."""
    stored = notebook.metadata.get("aeutils", {})
    if "outcome" in stored:
        try:
            return Outcome(**stored["outcome"])
        except (TypeError, ValueError):  # written by another version
            return Outcome("other", message=str(stored["outcome"]))
    if "failure" in stored:  # as the first edition wrote it
        return Outcome("other", message=stored["failure"])
    papermill = notebook.metadata.get("papermill", {})
    if papermill.get("exception"):
        return Outcome("cell", message="a cell failed")
    return FINISHED if papermill.get("end_time") else Outcome("unfinished", message="not finished")


def run_notebook(source, parameters, out):
    """Execute one notebook and render it; an earlier result stays until this run has ended.

    Parameters
    ----------
    source : aeutils.running.sources.Source
        Its file is not changed.
    parameters : dict
        Checked values for its `parameters` cell.
    out : path
        Folder for ``NAME.ipynb`` (after a failure: executed up to the failing cell) and ``NAME.html``.

    Returns
    -------
    Outcome

    Raises
    ------
    OSError
        The page could not be written (the executed notebook was).
    """
    from aeutils.running.reports import write_html

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    partial, final = out / f"{source.path.stem}{PARTIAL}", out / f"{source.path.stem}.ipynb"
    outcome = execute(source.path, parameters, partial, progress_bar=True)
    if partial.exists() and outcome.kind != "disk":  # after a full disk an earlier result stays
        notebook = nbformat.read(partial, as_version=4)
        finish(notebook, source.path.resolve().parent, out, outcome)
        nbformat.write(notebook, partial)
        os.replace(partial, final)
        write_html(final, notebook)
    return outcome


def execute(path, parameters, target, progress_bar=False):
    """Execute one notebook with papermill.

    Parameters
    ----------
    path, target : path
        The notebook, which is not changed, and where the executed one is written, cell by cell.
    parameters : dict
        Checked values for its `parameters` cell.
    progress_bar : bool

    Returns
    -------
    Outcome
        Errors of a cell or a kernel are returned, never raised.
    """
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        papermill.execute_notebook(
            str(path), str(target), parameters, progress_bar=progress_bar, log_output=False, extra_arguments=["--log-level=ERROR"]
        )
    except papermill.PapermillExecutionError as error:
        last_line = (str(error.evalue).strip().splitlines() or [""])[-1]
        message = f"{error.ename}: {last_line}" if last_line else error.ename
        return Outcome("cell", f"cell In [{error.exec_count}]", message)
    except OSError as error:  # a full disk: what was written is not complete
        return Outcome("disk", f"writing {target}", str(error))
    except Exception as error:  # a kernel that dies or does not start raises errors of many types
        return Outcome("kernel", message=f"{type(error).__name__}: {' '.join(str(error).split())}")
    return FINISHED


def refresh_notebook(path):
    """Execute a notebook in place, so that its outputs can be committed.

    The page shows the run that its words describe: if the notebook's call of `show_notice` names other values than the
    `parameters` cell, such as ``n_seeds=5``, it is executed with these. The parameters cell itself is not changed.

    Parameters
    ----------
    path : path
        Written as a whole, and only if every cell ran.

    Raises
    ------
    ParameterError
        `show_notice` names a parameter that the notebook does not have.
    nbclient.exceptions.CellExecutionError
        A cell failed; the file is unchanged.
    """
    from nbconvert.preprocessors import ExecutePreprocessor

    source = read_source(path)
    path, notebook = source.path, source.notebook
    longer = read_described(source)
    clear_outputs(notebook)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            parameters, declared = cell, cell.source
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in longer.items())
    executor = ExecutePreprocessor(timeout=None, record_timing=False, extra_arguments=["--log-level=ERROR"])
    executor.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    if longer:
        parameters.source = declared
    write_whole(path, nbformat.writes(notebook) + "\n")


def clear_outputs(notebook):
    """Remove all outputs and execution counts from a notebook, in place."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def finish(notebook, origin, out, outcome):
    """Store the outcome of a run in its notebook, and make links relative to `origin` work from the folder `out`."""
    if not outcome.finished:
        notebook.metadata.setdefault("aeutils", {})["outcome"] = asdict(outcome)

    def repoint(link):
        target = origin / link[1]
        try:
            return f"]({Path(os.path.relpath(target, Path(out).resolve())).as_posix()})" if target.exists() else link[0]
        except ValueError:  # another drive
            return link[0]

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\(([^)\s:]+)\)", repoint, cell.source)
