"""Parameters of notebooks: what a notebook declares, and whether given values fit."""

import ast
import functools
from dataclasses import dataclass

import nbformat

from aeutils import checks, datasets
from aeutils.errors import ParameterError


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's `parameters` cell: ``name: type = default  # help``."""

    name: str
    type: str
    default: object
    help: str

    def __str__(self):
        return f"{self.name}: {self.type} = {self.default!r}" + (f"  ({self.help})" if self.help else "")


def read_parameters(notebook, origin="the notebook"):
    """Read the parameters that a notebook declares in its cell tagged ``parameters``.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    origin : path or str
        Its name in error messages.

    Returns
    -------
    dict of str to Parameter
        By name; empty if no cell has the tag.

    Raises
    ------
    ParameterError
        The notebook is not in Python, or its parameters cell has something other than one ``name: type = literal  # help`` per line.
    """
    from papermill.translators import PythonTranslator
    from papermill.utils import nb_kernel_name, nb_language

    try:
        nbformat.validate(notebook)
        nb_kernel_name(notebook), nb_language(notebook)  # papermill needs both to run it
        cell = next((cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])), None)
        body = ast.parse(cell.source if cell else "").body
    except (ValueError, SyntaxError, AttributeError, nbformat.ValidationError) as error:
        raise ParameterError(
            f"{origin} cannot be read as a Python notebook with one parameter a line ({type(error).__name__}: {error})"
        ) from error
    assigned = {
        target.id
        for line in body
        for target in getattr(line, "targets", [getattr(line, "target", None)])
        if isinstance(target, ast.Name)
    }
    inspected = {found.name: found for found in (PythonTranslator.inspect(cell) if cell else [])}
    if lost := sorted(assigned - set(inspected)):
        raise ParameterError(
            f"{origin}: papermill cannot read the line of parameter {', '.join(lost)}; is there a second '=' in it, perhaps in the comment?"
        )
    parameters = {}
    for name, found in inspected.items():
        try:
            default = ast.literal_eval(found.default)
        except (ValueError, SyntaxError):
            raise ParameterError(
                f"{origin}: the default of {name} is {found.default!r}; expected one literal a line in the parameters cell"
            ) from None
        declared = found.inferred_type_name
        type_name = type(default).__name__ if declared in (None, "None") else declared
        parameters[name] = Parameter(name, type_name, default, found.help)
    return parameters


def parse_value(parameter, text):
    """Turn text from a command line into a value of the parameter's type.

    Raises
    ------
    ParameterError
        The text does not fit the type; the message says what was expected and what came.
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


def assign_parameters(sources, given):
    """Check given parameters against all notebooks before any of them runs.

    Parameters
    ----------
    sources : sequence of aeutils.running.sources.Source
    given : sequence of (str, str)
        Names and texts from the command line. If a name is given twice, the later text counts.

    Returns
    -------
    list of dict
        For each notebook, the given values of the parameters that it has. With several notebooks, each name must be a
        parameter of at least one.

    Raises
    ------
    ParameterError
        Unknown name or wrong type; the message lists the known parameters with type, default and help.
    """
    values = [{} for _ in sources]
    for name, text in given:
        if not any(name in source.parameters for source in sources):
            raise ParameterError(
                f"unknown parameter {name!r} (given: {name} = {text!r}){_name_others(name)}\n{list_parameters(sources)}"
            )
        for source, assigned in zip(sources, values):
            if name in source.parameters:
                try:
                    assigned[name] = parse_value(source.parameters[name], text)
                except ParameterError as error:
                    raise ParameterError(f"{error}\n{list_parameters([source])}") from None
    return values


def _name_others(name):
    from aeutils.running.sources import find_with_parameter  # that module imports this one

    others = ", ".join(path.stem for path in find_with_parameter(name))
    return f"; {others} has it" if others else ""


def check_values(source, assigned):
    """Check values against what the notebook itself will check in its first cells, before a kernel starts.

    These are the ranges of its `check_parameters` call, and, if `dataset` is a file of the user's own, what its
    `load_dataset` and `find_label` calls need.

    Raises
    ------
    UserError
        As the notebook would raise it.
    """
    values = {name: parameter.default for name, parameter in source.parameters.items()} | assigned
    for name, conditions in checks.read_ranges(source.notebook).items():
        if name in values:
            checks.check_range(name, values[name], conditions)
    calls = [call for call in checks.find_calls(source.notebook, "load_dataset") if _names(call, 0) == "dataset"]
    if calls and str(values.get("dataset")) not in datasets.NAMES:
        literals = checks.get_literals(calls[0])
        needs = {name: literals[name] for name in ("needs", "min_size", "max_values") if name in literals}
        data = _load_once(values["dataset"], **needs)
        for call in checks.find_calls(source.notebook, "find_label"):
            name = _names(call, 1)
            if name in values:
                try:
                    datasets.find_label(data, values[name], **checks.get_literals(call))
                except datasets.DatasetError as error:
                    raise datasets.DatasetError(f"parameter {name}: {error}") from None


@functools.lru_cache(maxsize=2)  # the runs of a sweep mostly share their data
def _load_once(name, **needs):
    return datasets.load_dataset(name, **needs)


def _names(call, position):
    """The variable that a call gets as its argument at `position`, or None."""
    argument = call.args[position] if len(call.args) > position else None
    return argument.id if isinstance(argument, ast.Name) else None


def read_described(source):
    """The parameters of the run that a page's words describe, as far as they are not the defaults.

    Returns
    -------
    dict
        From the literals in the notebook's call of `aeutils.verdicts.show_notice`; empty without such a call.

    Raises
    ------
    ParameterError
        The call names a parameter that the notebook does not have.
    """
    described = {
        name: value
        for call in checks.find_calls(source.notebook, "show_notice")
        for name, value in checks.get_literals(call).items()
    }
    if unknown := sorted(set(described) - set(source.parameters)):
        raise ParameterError(f"{source.path}: show_notice names {', '.join(unknown)}, which are no parameters of the notebook")
    return {name: value for name, value in described.items() if value != source.parameters[name].default}


def list_parameters(sources):
    """List the parameters of notebooks as text, one per line."""
    lines = []
    for source in sources:
        known = source.parameters.values()
        lines.append(f"{source.path.name} knows:" if known else f"{source.path.name} has no cell tagged 'parameters'.")
        lines += [f"  {parameter}" for parameter in known]
    return "\n".join(lines)
