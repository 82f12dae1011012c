import nbformat
import numpy as np
import pytest

from aeutils.exercises import check
from aeutils.results import MIME_TYPE, format_value, read_record, record


def _notebook(*payloads):
    cells = []
    for payload in payloads:
        output = nbformat.v4.new_output("display_data", {MIME_TYPE: payload, "text/plain": "shown"})
        cells.append(nbformat.v4.new_code_cell("record()", outputs=[output]))
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text"), *cells])


@pytest.fixture
def displayed(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    return shown


def test_record_comes_back_in_order_through_a_file(displayed, tmp_path):
    record(zeta=np.float32(0.5), alpha=3, dataset="digits", bad=float("nan"), yes=True)
    nbformat.write(_notebook(displayed[0][MIME_TYPE]), tmp_path / "run.ipynb")
    metrics = read_record(nbformat.read(tmp_path / "run.ipynb", as_version=4))
    assert list(metrics.items()) == [("zeta", 0.5), ("alpha", 3), ("dataset", "digits"), ("bad", None), ("yes", True)]
    assert displayed[0]["text/plain"].splitlines()[:2] == ["zeta = 0.5", "alpha = 3"]


def test_later_record_wins_and_no_record_is_empty(displayed):
    record(a=1, b=2)
    record(b=3)
    assert read_record(_notebook(*(bundle[MIME_TYPE] for bundle in displayed))) == {"a": 1, "b": 3}
    assert read_record(_notebook()) == {}


def test_record_refuses_what_is_no_figure(displayed):
    with pytest.raises(TypeError, match="losses=.*expected a number or a string, got list"):
        record(losses=[1, 2])
    assert not displayed


def test_format_value():
    assert [format_value(value) for value in (0.0071953, 10000, None, "digits", 12345.678)] == [
        "0.007195",
        "10000",
        "nan",
        "digits",
        "1.235e+04",
    ]


def test_check_says_solved_or_why_not(capsys):
    check("Exercise 1", lambda: 1 + 1 == 2, hint="count")
    check("Exercise 2", lambda: 1 + 1 == 3, hint="count again")
    check("Exercise 3", lambda: 2 * ... == 4, hint="fill it in")
    check("Exercise 4", lambda: {}["x"], hint="look")
    check("Exercise 5", lambda: (...).weights, hint="build it")
    assert capsys.readouterr().out.splitlines() == [
        "Exercise 1: solved",
        "Exercise 2: not solved yet. Hint: count again",
        "Exercise 3: not solved yet. Hint: fill it in",
        "Exercise 4: not solved yet (KeyError: 'x'). Hint: look",
        "Exercise 5: not solved yet. Hint: build it",
    ]
