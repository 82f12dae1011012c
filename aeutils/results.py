"""Metrics of a run. They are stored in the executed notebook and can be read from it later."""

import math
import numbers

MIME_TYPE = "application/vnd.aeutils.metrics+json"


def record(**metrics):
    """Show metrics at the end of a notebook and store them in the cell's output, under their own MIME type.

    The tables of ``python -m aeutils run`` show the first three metrics of a notebook.

    Parameters
    ----------
    **metrics : int, float or str
        One value per name; NumPy scalars are allowed. Put the split or the unit into the name: ``test_mse``,
        ``train_seconds``. ``dataset`` is the name of the data set that was used, also after a fallback. NaN and
        infinity are stored as null.

    Raises
    ------
    TypeError
        A value is neither a number nor a string.

    Examples
    --------
    The output in a notebook. (Doctest skips this example because `display` prints something else outside a notebook.)

    >>> record(dataset="digits", test_mse=0.0026)  # doctest: +SKIP
    dataset = digits
    test_mse = 0.0026
    """
    from IPython.display import display

    stored = {name: _to_plain(name, value) for name, value in metrics.items()}
    text = "\n".join(f"{name} = {format_value(value)}" for name, value in stored.items())
    # A list keeps the order of the metrics; the keys of JSON objects are sorted when a notebook is saved.
    display({MIME_TYPE: {"metrics": list(stored.items())}, "text/plain": text}, raw=True)


def _to_plain(name, value):
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"{name}={value!r}: expected a number or a string, got {type(value).__name__}; record one value per name")


def format_value(value):
    """Format a metric for a table: four significant digits for a float, and "nan" for None.

    Examples
    --------
    >>> format_value(0.00262144)
    '0.002621'
    """
    if value is None:
        return "nan"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read_record(notebook):
    """Read the metrics that an executed notebook recorded. For a repeated name, the last call of `record` counts.

    Parameters
    ----------
    notebook : nbformat.NotebookNode

    Returns
    -------
    dict
        Name to value, in the order of recording; empty if nothing was recorded. A stored null is returned as None.
    """
    metrics = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            metrics.update(output.get("data", {}).get(MIME_TYPE, {}).get("metrics", []))
    return metrics
