import nbformat
import pandas as pd
import pytest

from aeutils.results import MIME_TYPE
from aeutils.running import reports
from aeutils.running.reports import ReportError, read_runs, write_report

PARAMETERS = "width: int = 4  # units\nseed: int = 0\ndataset: str = 'mnist'"


def write_run(out, name, given, metrics, label="", source="a" * 64, failure=None):
    """An executed notebook as a sweep leaves it, without running anything."""
    cells = [nbformat.v4.new_code_cell(PARAMETERS), nbformat.v4.new_code_cell("record()")]
    cells[0].metadata["tags"] = ["parameters"]
    if metrics:
        cells[1].outputs = [
            nbformat.v4.new_output("display_data", {MIME_TYPE: {"metrics": [list(pair) for pair in metrics.items()]}})
        ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.update(
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        papermill={"parameters": given, "duration": 1.5, "end_time": "2026-01-01", "exception": failure is not None},
        aeutils={"sweep": {"notebook": "lesson", "source": source, "label": label}} | ({"failure": failure} if failure else {}),
    )
    nbformat.write(notebook, out / f"{name}.ipynb")


def test_table_has_parameters_metrics_and_outcome_of_every_run(tmp_path):
    write_run(tmp_path, "b", {"width": 16, "seed": 1}, {"loss": 0.5, "dataset": "digits", "n": 3})
    write_run(tmp_path, "a", {"width": 2}, {"loss": 0.25, "dataset": "digits", "n": 4})
    write_run(tmp_path, "c", {"width": 8}, {}, failure="cell In [2]: ValueError: <no>")
    (tmp_path / "broken.ipynb").write_text("{", encoding="utf-8")
    page = write_report(read_runs(tmp_path), tmp_path).read_text(encoding="utf-8")
    table = pd.read_csv(tmp_path / "summary.csv").set_index("run")
    expected = [
        "notebook",
        "label",
        "source",
        "width",
        "seed",
        "dataset",
        "loss",
        "n",
        "recorded_dataset",
        "seconds",
        "status",
        "error",
    ]
    assert list(table.columns) == expected
    assert list(table.index[:3]) == ["a", "c", "b"], "by parameters, 2 before 16"
    assert table.loc["a", ["width", "seed", "dataset", "recorded_dataset", "n"]].to_list() == [2, 0, "mnist", "digits", 4]
    assert list(table["status"]) == ["finished", "failed", "finished", "failed"]
    assert table.loc["broken", "error"] == "not a readable notebook"
    assert "2 finished, 2 failed" in page and "&lt;no&gt;" in page and "<no>" not in page


def test_metric_named_like_a_column_is_kept_apart(tmp_path):
    write_run(tmp_path, "a", {}, {"error": 0.25, "status": "fine", "width": 7})
    (run,) = read_runs(tmp_path)
    row = {name: value for part in run.flatten() for name, value in part.items()}
    assert (row["recorded_error"], row["recorded_status"], row["recorded_width"]) == (0.25, "fine", 7)
    assert (row["error"], row["status"], row["width"]) == ("", "finished", 4)


def test_versions_of_the_source_are_told_apart(tmp_path):
    write_run(tmp_path, "a", {"seed": 0}, {"loss": 1.0})
    write_run(tmp_path, "b", {"seed": 1}, {"loss": 1.0})
    assert "versions" not in write_report(read_runs(tmp_path), tmp_path).read_text(encoding="utf-8")
    write_run(tmp_path, "b", {"seed": 1}, {"loss": 1.0}, source="b" * 64)
    assert "2 versions of the notebook" in write_report(read_runs(tmp_path), tmp_path).read_text(encoding="utf-8")


def test_plot_gets_the_varied_parameters_and_labels_stand_for_their_rows(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(reports, "plot_means", lambda table, y, factors: drawn.append((len(table), y, factors)))
    for k, label in enumerate(["one", "two"]):
        for seed in range(2):
            write_run(
                tmp_path, f"{label}{seed}", {"width": k + 1, "seed": seed}, {"note": "text", "loss": 1.0, "score": 2.0}, label
            )
    write_report(read_runs(tmp_path), tmp_path)
    write_report(read_runs(tmp_path), tmp_path, "score")
    assert drawn == [(4, "loss", ["label"]), (4, "score", ["label"])]


def test_runs_to_come_are_counted_and_the_page_reloads(tmp_path):
    write_run(tmp_path, "a", {}, {"loss": 1.0})
    page = write_report(read_runs(tmp_path), tmp_path, left=3).read_text(encoding="utf-8")
    assert "1 finished, 0 failed, 3 to come" in page and 'http-equiv="refresh"' in page


def test_nothing_to_report(tmp_path):
    with pytest.raises(ReportError, match="no executed notebooks in"):
        write_report(read_runs(tmp_path), tmp_path)
    write_run(tmp_path, "a", {}, {"loss": 1.0, "note": "x"})
    with pytest.raises(ReportError, match="no finished run recorded a number called 'note'; recorded: loss"):
        write_report(read_runs(tmp_path), tmp_path, "note")
    assert not (tmp_path / "summary.csv").exists()
