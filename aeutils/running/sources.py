"""Source notebooks: found by number or path, and read once."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from aeutils.errors import UserError
from aeutils.running.parameters import Parameter, ParameterError, read_parameters

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

# Lessons of the first edition whose number or name has changed, and what they are now.
RENUMBERED = {
    "06_codes_at_work": "06_dimension_reduction and 07_semantic_hashing",
    "07_sparse_autoencoder": "08_sparse_autoencoder",
}


class NotebookNotFoundError(UserError, FileNotFoundError):
    """No such notebook."""


@dataclass(frozen=True, eq=False)
class Source:
    """A notebook that can be run.

    Attributes
    ----------
    path : pathlib.Path
    notebook : nbformat.NotebookNode
        Its content as read from `path`.
    parameters : dict of str to Parameter
        What its `parameters` cell declares.
    """

    path: Path
    notebook: nbformat.NotebookNode
    parameters: dict[str, Parameter]

    @cached_property
    def digest(self):
        """SHA-256 over cells and tags without outputs: the version of the source."""
        cells = [[cell.cell_type, cell.source, cell.metadata.get("tags", [])] for cell in self.notebook.cells]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def read_source(path):
    """Read a notebook and its parameters.

    Raises
    ------
    ParameterError
        The file is not a Python notebook, or its parameters cell cannot be read.
    """
    path = Path(path)
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, AttributeError, KeyError, nbformat.ValidationError) as error:  # not JSON, or JSON of something else
        raise ParameterError(
            f"{path} cannot be read as a Python notebook with one parameter a line ({type(error).__name__}: {error})"
        ) from error
    return Source(path, notebook, read_parameters(notebook, path))


def find_notebooks(names=()):
    """Find the paths of notebooks.

    Parameters
    ----------
    names : sequence of str or path
        Paths, or numbers such as ``01``; empty means all numbered notebooks.

    Raises
    ------
    NotebookNotFoundError
        No such notebook, or two with the same name.
    """
    numbered = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not names:
        names = numbered
        if not names:
            raise NotebookNotFoundError(f"no numbered notebooks in {NOTEBOOKS}; expected files such as 01_topic.ipynb")
    paths = []
    for name in map(str, names):
        found = [path for path in numbered if path.name.startswith(f"{name}_")] if re.fullmatch(r"\d\d", name) else [Path(name)]
        if not found or not found[0].is_file():
            there = ", ".join(path.name for path in numbered)
            new = RENUMBERED.get(Path(name).stem)
            moved = f"; {Path(name).stem} of the first edition is now {new}" if new else ""
            raise NotebookNotFoundError(f"no notebook {name!r}{moved}; expected a path, or the number of one of: {there}")
        paths += found
    stems = [path.stem for path in paths]
    if doubled := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise NotebookNotFoundError(
            f"{', '.join(doubled)} is named twice; each notebook of one run needs its own name, because results carry it"
        )
    return paths


def describe_renumbered(names):
    """Say which of the given numbers meant another lesson in the first edition.

    Parameters
    ----------
    names : sequence of str or path
        As given to `find_notebooks`.

    Returns
    -------
    list of str
        One line for each such number; empty if there is none.
    """
    lines = []
    for old, new in RENUMBERED.items():
        number = old[:2]
        now = [path.stem for path in NOTEBOOKS.glob(f"{number}_*.ipynb")]
        if number in map(str, names) and now and old not in now:
            lines.append(f"{number} is {now[0]}; {old} of the first edition is now {new}.")
    return lines


def find_with_parameter(name):
    """Find the numbered notebooks that have a parameter of this name; returns a list of paths."""
    return [path for path in find_notebooks() if name in read_source(path).parameters]


def find_sources(names=()):
    """Find notebooks as `find_notebooks` does, and read each. Raises what `find_notebooks` and `read_source` raise."""
    return [read_source(path) for path in find_notebooks(names)]
