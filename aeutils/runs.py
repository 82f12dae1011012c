"""Runs of notebooks: parameters checked first, then papermill, an HTML page each, and one index and table over all."""

import ast
import html
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd

from aeutils.results import format_value, read_record

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
N_HEADLINES = 3  # the first recorded figures are the headline
PARTIAL = ".partial.ipynb"
UNREADABLE = "not a readable notebook"


class ParameterError(ValueError):
    """A parameter that the notebook does not have, or a value that does not fit it."""


class NotebookNotFoundError(FileNotFoundError):
    """No such notebook."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's `parameters` cell: ``name: type = default  # help``."""

    name: str
    type: str
    default: object
    help: str

    def __str__(self):
        return f"{self.name}: {self.type} = {self.default!r}" + (f"  ({self.help})" if self.help else "")


# ---- Parameters ----


def read_parameters(path):
    """Parameters of a notebook by name, as its cell tagged ``parameters`` declares them.

    Returns
    -------
    dict of str to Parameter

    Raises
    ------
    ParameterError
        Not a notebook, or a parameters cell with something else than one ``name: type = literal  # help`` a line.
    """
    from papermill import inspect_notebook

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    try:
        inspected = inspect_notebook(str(path))
        source = "\n".join(
            cell.source for cell in nbformat.read(path, as_version=4).cells if "parameters" in cell.metadata.get("tags", [])
        )
        assigned = {
            target.id
            for line in ast.parse(source).body
            for target in getattr(line, "targets", [getattr(line, "target", None)])
            if target
        }
    except (ValueError, SyntaxError, AttributeError, nbformat.ValidationError) as error:  # not JSON, no language, no Python
        raise ParameterError(
            f"{path} cannot be read as a Python notebook with one parameter a line ({type(error).__name__}: {error})"
        ) from error
    if lost := sorted(assigned - set(inspected)):
        raise ParameterError(
            f"{path}: papermill cannot read the line of parameter {', '.join(lost)}; is there a second '=' in it, perhaps in the comment?"
        )
    parameters = {}
    for name, found in inspected.items():
        try:
            default = ast.literal_eval(found["default"])
        except (ValueError, SyntaxError):
            raise ParameterError(
                f"{path}: the default of {name} is {found['default']!r}; expected one literal a line in the parameters cell"
            ) from None
        declared = found["inferred_type_name"]
        parameters[name] = Parameter(
            name, type(default).__name__ if declared in (None, "None") else declared, default, found["help"]
        )
    return parameters


def parse_value(parameter, text):
    """The value that `text`, from a command line, means for a parameter of that type.

    Raises
    ------
    ParameterError
        The text does not fit the type; the message says what came and what was expected.
    """
    container, _, element = parameter.type.partition("[")
    try:
        if container == "str":
            return text
        if container == "bool":
            return {"true": True, "false": False}[text.lower()]
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, KeyError, MemoryError, RecursionError):
        value = None
    if _fits(value, container):
        elements = value if container in ("list", "tuple") else []
        if not element or all(_fits(item, element.rstrip("]")) for item in elements):
            return float(value) if container == "float" else value
    example = {"bool": "true or false", "list": f"for example {parameter.default!r}, quoted"}.get(
        container, f"for example {parameter.default!r}"
    )
    raise ParameterError(f"parameter {parameter.name}: expected {parameter.type} ({example}), got {text!r}")


def _fits(value, type_name):
    if type_name == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    types = {"int": int, "bool": bool, "str": str, "list": list, "tuple": tuple, "dict": dict}
    if type_name not in types:
        return value is not None
    return isinstance(value, types[type_name]) and (type_name == "bool" or not isinstance(value, bool))


def assign_parameters(notebooks, given):
    """Check given parameters against all notebooks before any of them runs.

    Parameters
    ----------
    notebooks : sequence of path
    given : sequence of (str, str)
        Names and texts from the command line; a later one wins.

    Returns
    -------
    list of dict
        For each notebook the given values that it has a parameter for. With several notebooks a name must be known to
        at least one of them.

    Raises
    ------
    ParameterError
        Unknown name or wrong type; the message lists the known parameters with type, default and help.
    """
    known = {Path(path): read_parameters(path) for path in notebooks}
    values = {path: {} for path in known}
    for name, text in given:
        if not any(name in parameters for parameters in known.values()):
            raise ParameterError(f"unknown parameter {name!r} (given: {name} = {text!r})\n{list_parameters(known)}")
        for path, parameters in known.items():
            if name in parameters:
                try:
                    values[path][name] = parse_value(parameters[name], text)
                except ParameterError as error:
                    raise ParameterError(f"{error}\n{list_parameters({path: parameters})}") from None
    return list(values.values())


def list_parameters(known):
    lines = []
    for path, parameters in known.items():
        lines.append(f"{path.name} knows:" if parameters else f"{path.name} has no cell tagged 'parameters'.")
        lines += [f"  {parameter}" for parameter in parameters.values()]
    return "\n".join(lines)


# ---- Running ----


def find_notebooks(names):
    """Paths of notebooks given as paths or as numbers such as ``01``; all numbered notebooks where none is given.

    Raises
    ------
    NotebookNotFoundError
    """
    if not names:
        names = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
        if not names:
            raise NotebookNotFoundError(f"no numbered notebooks in {NOTEBOOKS}; expected files such as 01_topic.ipynb")
    paths = []
    for name in map(str, names):
        numbered = sorted(NOTEBOOKS.glob(f"{name}_*.ipynb")) if re.fullmatch(r"\d\d", name) else [Path(name)]
        if not numbered or not numbered[0].is_file():
            there = ", ".join(path.name for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")))
            raise NotebookNotFoundError(f"no notebook {name!r}; expected a path, or the number of one of: {there}")
        paths += numbered
    stems = [path.stem for path in paths]
    if doubled := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise NotebookNotFoundError(
            f"{', '.join(doubled)} is named twice; each notebook of one run needs an own name, because results carry it"
        )
    return paths


def run_notebook(path, parameters, out):
    """Execute one notebook with papermill and render it, keeping an earlier result until this one has ended.

    Parameters
    ----------
    path : path
        The notebook; it is not changed.
    parameters : dict
        Checked values for its `parameters` cell.
    out : path
        Folder for ``NAME.ipynb`` (also where a cell failed: executed as far as it came) and ``NAME.html``.

    Returns
    -------
    str or None
        None, or where and how it failed, in one line.

    Raises
    ------
    OSError
        The page could not be written (the executed notebook was).
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    partial, final = out / f"{path.stem}{PARTIAL}", out / f"{path.stem}.ipynb"
    failure = execute(path, parameters, partial, progress_bar=True)
    if partial.exists() and not (failure or "").startswith("writing "):  # after a full disk an earlier result stays
        notebook = nbformat.read(partial, as_version=4)
        finish(notebook, Path(path).resolve().parent, out, failure)
        nbformat.write(notebook, partial)
        os.replace(partial, final)
        write_html(final)
    return failure


def execute(path, parameters, target, progress_bar=False):
    """Execute one notebook with papermill.

    Parameters
    ----------
    path, target : path
        The notebook, which is not changed, and where the executed one goes, cell by cell.
    parameters : dict
        Checked values for its `parameters` cell.
    progress_bar : bool

    Returns
    -------
    str or None
        None, or where and how it failed, in one line. It never raises what a cell or a kernel raised.
    """
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        papermill.execute_notebook(
            str(path), str(target), parameters, progress_bar=progress_bar, log_output=False, extra_arguments=["--log-level=ERROR"]
        )
    except papermill.PapermillExecutionError as error:
        return f"cell In [{error.exec_count}]: {error.ename}: {str(error.evalue).strip().splitlines()[-1] if str(error.evalue).strip() else ''}"
    except OSError as error:  # a full disk: what was written is not whole
        return f"writing {target}: {error}"
    except Exception as error:  # a kernel that dies or never starts raises what its client pleases
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def refresh_notebook(path):
    """Execute a notebook in place, for outputs that are to be committed.

    Where a page shows a longer run than its defaults give, the notebook's metadata say which:
    ``{"aeutils": {"committed_parameters": {"n_seeds": 5}}}``. The parameters cell itself stays as it is.

    Parameters
    ----------
    path : path
        Written whole, and only if every cell ran.

    Raises
    ------
    ParameterError
        The metadata name a parameter that the notebook does not have.
    nbclient.exceptions.CellExecutionError
        A cell failed; the file is as it was.
    """
    from nbconvert.preprocessors import ExecutePreprocessor

    path = Path(path)
    notebook = nbformat.read(path, as_version=4)
    longer = notebook.metadata.get("aeutils", {}).get("committed_parameters", {})
    if unknown := sorted(set(longer) - set(read_parameters(path))):
        raise ParameterError(f"{path}: committed_parameters in its metadata names {', '.join(unknown)}, which it does not have")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            parameters, source = cell, cell.source
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in longer.items())
    executor = ExecutePreprocessor(timeout=None, record_timing=False, extra_arguments=["--log-level=ERROR"])
    executor.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    if longer:
        parameters.source = source
    write_whole(path, nbformat.writes(notebook) + "\n")


def finish(notebook, origin, out, failure):
    """Note a failure in an executed notebook, and let links beside the original in `origin` lead there from `out`."""
    if failure:
        notebook.metadata.setdefault("aeutils", {})["failure"] = failure

    def repoint(link):
        target = origin / link[1]
        try:
            return f"]({Path(os.path.relpath(target, Path(out).resolve())).as_posix()})" if target.exists() else link[0]
        except ValueError:  # another drive
            return link[0]

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\(([^)\s:]+)\)", repoint, cell.source)


def write_whole(path, text):
    """Write a text file whole or not at all: a temporary file, then a rename."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_html(path, notebook=None):
    """Render a notebook, the one at `path` or one that is to lie there, to a page beside it; return the page's path."""
    from nbconvert import HTMLExporter

    logging.getLogger("traitlets").setLevel(logging.ERROR)  # otherwise every figure is reported to lack a text alternative
    notebook = notebook or nbformat.read(path, as_version=4)
    body, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    page = path.with_suffix(".html")
    write_whole(page, body)
    return page


# ---- Index and table ----


def collect_runs(out):
    """What the executed notebooks of a folder say of themselves, by file name: a list of what `read_run` returns."""
    return [read_run(path) for path in sorted(Path(out).glob("*.ipynb")) if not path.name.endswith(PARTIAL)]


def read_run(path):
    """What one executed notebook says of itself.

    Returns
    -------
    dict
        ``notebook`` (the file's stem), ``dataset`` (really used), ``seconds`` (kernel start included), ``status`` (``ok``,
        or why not), ``parameters`` (those that were given), ``metrics`` (all others recorded), ``metadata`` (the file's own).
    """
    path = Path(path)
    run = {"notebook": path.stem, "dataset": "", "seconds": None, "parameters": {}, "metrics": {}, "metadata": {}}
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return run | {"status": UNREADABLE}
    meta = notebook.metadata.get("papermill", {})
    metrics = read_record(notebook)
    if "failure" in notebook.metadata.get("aeutils", {}):
        status = notebook.metadata.aeutils.failure
    elif meta.get("exception"):
        status = "a cell failed"
    else:
        status = "ok" if meta.get("end_time") else "not finished"
    return run | {
        "dataset": metrics.pop("dataset", ""),
        "seconds": meta.get("duration"),
        "status": status,
        "parameters": dict(meta.get("parameters", {})),
        "metrics": metrics,
        "metadata": notebook.metadata,
    }


def headline(metrics):
    """The first figures that a notebook recorded, in one line."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in list(metrics.items())[:N_HEADLINES])


def format_table(runs):
    """The runs as a plain table for the terminal."""
    rows = [
        {
            "notebook": run["notebook"],
            "data set": run["dataset"],
            "seconds": "" if run["seconds"] is None else f"{run['seconds']:.0f}",
            "headline metrics": headline(run["metrics"]) if run["status"] == "ok" else f"FAILED: {run['status']}",
        }
        for run in runs
    ]
    table = pd.DataFrame(rows)
    width = {name: int(table[name].str.len().max()) for name in table}
    return table.to_string(index=False, justify="left", formatters={name: f"{{:<{w}}}".format for name, w in width.items()})


STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.5rem .8rem;border-bottom:1px solid #ddd;vertical-align:top}
td.seconds{text-align:right}.failed{color:#a40000}a{color:#0b57d0}"""


def write_index(out):
    """Write ``index.html``: every notebook of the folder with its page, data, time and headline figures."""
    rows = []
    for run in collect_runs(out):
        name = html.escape(run["notebook"])
        figures = "<br>".join(
            f"{html.escape(key)}: {html.escape(format_value(value))}" for key, value in list(run["metrics"].items())[:N_HEADLINES]
        )
        given = (
            "<br>".join(f"{html.escape(key)} = {html.escape(repr(value))}" for key, value in run["parameters"].items())
            or "defaults"
        )
        failed = "" if run["status"] == "ok" else f'<p class="failed">{html.escape(run["status"])}</p>'
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.0f}"
        rows.append(
            f'<tr><td><a href="{name}.html">{name}</a> (<a href="{name}.ipynb">notebook</a>)</td><td>{html.escape(run["dataset"])}</td>'
            f'<td class="seconds">{seconds}</td><td>{figures}{failed}</td><td>{given}</td></tr>'
        )
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Autoencoder notebooks: results</title><style>{STYLE}</style></head><body>'
        "<h1>Autoencoder notebooks: results</h1><p>Each name leads to the executed notebook with its text and pictures.</p>"
        "<table><tr><th>Notebook</th><th>Data set</th><th>Seconds</th><th>Headline figures</th><th>Parameters given</th></tr>"
        + "".join(rows)
        + "</table></body></html>\n"
    )
    path = Path(out) / "index.html"
    write_whole(path, page)
    return path
