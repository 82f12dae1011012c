"""Checks of a notebook's parameters: types, and the ranges that its first cell declares."""

import ast
import math
import numbers
import operator
import typing

from aeutils.errors import ParameterError

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_NAMES = {int: "a whole number", float: "a number", bool: "True or False", str: "text", list: "a list", dict: "a dict"}


def check_parameters(values, **ranges):
    """Refuse a parameter of the wrong type or outside its range, by name, before anything runs.

    The types are those of the `parameters` cell (``epochs: int = 3``). The commands ``python -m aeutils run`` and
    ``sweep`` read the ranges from the call in the notebook and check them before a kernel starts.

    Parameters
    ----------
    values : dict
        ``globals()`` of the notebook.
    **ranges : str
        Conditions for a number, or for every number of a list, separated by commas: ``">= 1"``, ``"> 0, < 0.5"``;
        ``"not empty"`` for a list; ``"dense | conv"`` for one of several texts.

    Raises
    ------
    ParameterError
        The message names the parameter, what was expected and what came.

    Examples
    --------
    >>> check_parameters({"epochs": 3, "rate": 0.1}, epochs=">= 1", rate="> 0, < 0.5")
    >>> check_parameters({"epochs": 0}, epochs=">= 1")
    Traceback (most recent call last):
    aeutils.errors.ParameterError: parameter epochs: expected >= 1, got 0
    """
    for name, declared in values.get("__annotations__", {}).items():
        if name in values and not _has_type(values[name], declared):
            raise ParameterError(f"parameter {name}: expected {_describe(declared)}, got {values[name]!r}")
    for name, conditions in ranges.items():
        if name not in values:
            raise ParameterError(f"parameter {name}: expected {conditions}, but it is not set; run the cell above first")
        check_range(name, values[name], conditions)


def check_range(name, value, conditions):
    """Check one value against conditions as in `check_parameters`."""
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    for condition in (part.strip() for part in conditions.split(",")):
        if condition == "not empty":
            fits = len(items) > 0
        elif "|" in condition:
            fits = all(item in condition.replace(" ", "").split("|") for item in items)
        else:
            symbol, bound = condition.split()
            fits = all(_is_number(item) and _COMPARISONS[symbol](item, float(bound)) for item in items)
        if not fits:
            bounds = ", ".join(part.strip() for part in conditions.split(",") if part.strip() != "not empty")
            expected = f"each {bounds}" if items and isinstance(value, (list, tuple)) else conditions
            raise ParameterError(f"parameter {name}: expected {expected}, got {value!r}")


def read_ranges(notebook):
    """Read the ranges that a notebook declares in its call of `check_parameters`.

    Parameters
    ----------
    notebook : nbformat.NotebookNode

    Returns
    -------
    dict of str to str
        Conditions by parameter name.
    """
    return {name: value for call in find_calls(notebook, "check_parameters") for name, value in get_literals(call).items()}


def find_calls(notebook, function):
    """All calls of a function in the code cells of a notebook, as `ast.Call`; cells that are not plain Python are skipped."""
    calls = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or function not in cell.source:
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:
            continue
        calls += [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function
        ]
    return calls


def get_literals(call):
    """The keyword arguments of a call that are literals, by name."""
    literals = {}
    for keyword in call.keywords:
        try:
            literals[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            continue  # a variable
    return literals


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _has_type(value, declared):
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is not None:
        return isinstance(value, origin) and all(_has_type(item, arguments[0]) for item in value)
    if declared in (int, float):
        wanted = numbers.Integral if declared is int else numbers.Real
        return isinstance(value, wanted) and not isinstance(value, bool)
    return not isinstance(declared, type) or isinstance(value, declared)


def _describe(declared):
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is not None:
        return f"{_NAMES.get(origin, origin.__name__)} of {getattr(arguments[0], '__name__', arguments[0])}"
    return f"{_NAMES.get(declared, declared.__name__)} ({declared.__name__})"
