"""A run's figures, kept inside the executed notebook so that they can be read back from it."""

import math
import numbers

MIME_TYPE = "application/vnd.aeutils.metrics+json"


def record(**metrics):
    """Show metrics at the end of a notebook and store them in the cell's output, under an own MIME type.

    The first three figures are the notebook's headline in the tables of ``python -m aeutils run``.

    Parameters
    ----------
    **metrics : int, float or str
        One value each; NumPy scalars too. Name the split and the unit: ``test_mse``, ``train_seconds``. ``dataset``
        is the data set that was really used. NaN and infinity are stored as null.

    Raises
    ------
    TypeError
        A value that is neither a number nor a string.

    Examples
    --------
    >>> record(dataset="digits", test_mse=0.0026)
    dataset = digits
    test_mse = 0.0026
    """
    from IPython.display import display

    stored = {name: _to_plain(name, value) for name, value in metrics.items()}
    text = "\n".join(f"{name} = {format_value(value)}" for name, value in stored.items())
    display({MIME_TYPE: {"metrics": list(stored.items())}, "text/plain": text}, raw=True)  # pairs, because JSON files get sorted


def _to_plain(name, value):
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    raise TypeError(f"{name}={value!r}: expected a number or a string, got {type(value).__name__}; record one value per name")


def format_value(value):
    """A figure in the few digits that a table needs: four significant ones for a float."""
    if value is None:
        return "nan"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read_record(notebook):
    """Metrics that an executed notebook recorded, later calls of `record` winning.

    Parameters
    ----------
    notebook : nbformat.NotebookNode

    Returns
    -------
    dict
        Name to value, in the order of recording; empty where nothing was recorded. A stored null comes back as None.
    """
    metrics = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            metrics.update(output.get("data", {}).get(MIME_TYPE, {}).get("metrics", []))
    return metrics
