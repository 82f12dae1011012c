import nbformat
import pytest

from aeutils.__main__ import main
from aeutils.results import read_record
from aeutils.running import execution, reports
from aeutils.running.execution import Outcome, read_outcome
from aeutils.running.parameters import ParameterError

from conftest import QUICK, write_notebook

BODY = """from aeutils.results import record
record(dataset=dataset, squared=latent_dim**2, rate=rate, total=sum(sizes), fourth=4)"""


@pytest.fixture
def quick(tmp_path):
    return write_notebook(tmp_path / "quick.ipynb", QUICK, BODY)


# ---- Outcomes ----


def test_outcome_reads_as_a_sentence_and_keeps_its_kind():
    assert str(execution.FINISHED) == "ok" and execution.FINISHED.finished
    failed = Outcome("cell", "cell In [3]", "ValueError: no")
    assert str(failed) == "cell In [3]: ValueError: no" and not failed.finished
    with pytest.raises(ValueError, match="kind='broken': expected one of finished, cell, kernel"):
        Outcome("broken")


@pytest.mark.parametrize(
    "metadata, outcome",
    [
        ({"papermill": {"end_time": "2026-01-01", "exception": False}}, execution.FINISHED),
        ({"papermill": {"end_time": "2026-01-01", "exception": True}}, Outcome("cell", message="a cell failed")),
        ({"papermill": {"end_time": None}}, Outcome("unfinished", message="not finished")),
        ({"aeutils": {"outcome": {"kind": "disk", "place": "a", "message": "full"}}}, Outcome("disk", "a", "full")),
        ({"aeutils": {"outcome": {"kind": "new"}}}, Outcome("other", message="{'kind': 'new'}")),
        ({"aeutils": {"failure": "as the first edition wrote it"}}, Outcome("other", message="as the first edition wrote it")),
    ],
)
def test_outcome_is_read_from_the_notebook(metadata, outcome):
    assert read_outcome(nbformat.v4.new_notebook(metadata=metadata)) == outcome


# ---- The command ----


def test_run_writes_notebook_page_index_and_table(quick, tmp_path, capsys):
    out = tmp_path / "out"
    before = quick.read_bytes()
    assert main(["run", str(quick), "-p", "latent_dim", "5", "-p", "dataset", "mine", "--out", str(out)]) == 0
    assert quick.read_bytes() == before, "the notebook itself is not changed"
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "quick.html", "quick.ipynb"]
    (run,) = reports.read_runs(out)
    assert (run.dataset, run.outcome.kind, run.given) == ("mine", "finished", {"latent_dim": 5, "dataset": "mine"})
    assert run.metrics == {"squared": 25, "rate": 0.5, "total": 3, "fourth": 4} and 0 < run.seconds < 60
    printed = capsys.readouterr().out
    for part in (
        "notebook",
        "data set",
        "seconds",
        "headline metrics",
        "quick",
        "mine",
        "squared 25, rate 0.5, total 3",
        str(out / "index.html"),
    ):
        assert part in printed
    index = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="quick.html"' in index and "squared: 25" in index and "fourth" not in index and "latent_dim = 5" in index
    assert "squared = 25" in (out / "quick.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("given", [["laten_dim", "5"], ["latent_dim", "5.5"]])
def test_wrong_parameter_exits_2_before_anything_runs(quick, tmp_path, capsys, given):
    assert main(["run", str(quick), "-p", *given, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    for part in (*given, "latent_dim: int = 4  (units)", "fast: bool = True", "sizes: list = [1, 2]"):
        assert part in message
    assert not (tmp_path / "out").exists()


def test_one_wrong_parameter_stops_all_notebooks(quick, tmp_path):
    other = write_notebook(tmp_path / "other.ipynb", "epochs: int = 1")
    assert main(["run", str(other), str(quick), "-p", "epochs", "many", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_failing_cell_exits_1_keeps_the_notebook_and_the_others_run(quick, tmp_path, capsys):
    bad = write_notebook(
        tmp_path / "bad.ipynb",
        "latent_dim: int = 4",
        "done = 'as far as here'\nprint(done)",
        "raise RuntimeError('first line\\nthe last line')",
    )
    out = tmp_path / "out"
    assert main(["run", str(bad), str(quick), "--out", str(out)]) == 1
    streams = capsys.readouterr()
    assert "bad failed in cell In [3]: RuntimeError: the last line" in streams.err and str(out / "bad.ipynb") in streams.err
    assert "FAILED: cell In [3]" in streams.out and "squared 16" in streams.out
    kept = nbformat.read(out / "bad.ipynb", as_version=4)
    assert any("as far as here" in str(cell.get("outputs")) for cell in kept.cells)
    outcomes = {run.name: run.outcome for run in reports.read_runs(out)}
    assert outcomes == {"quick": execution.FINISHED, "bad": Outcome("cell", "cell In [3]", "RuntimeError: the last line")}
    assert "the last line" in (out / "index.html").read_text(encoding="utf-8")


def test_killed_kernel_is_a_failure_with_its_name(tmp_path, capsys):
    deadly = write_notebook(
        tmp_path / "deadly.ipynb", "latent_dim: int = 4", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert main(["run", str(deadly), "--out", str(tmp_path / "out")]) == 1
    assert "DeadKernelError" in capsys.readouterr().err
    assert (tmp_path / "out" / "deadly.ipynb").exists()


def test_running_again_replaces_the_result_only_when_it_ends(quick, tmp_path):
    out = tmp_path / "out"
    assert main(["run", str(quick), "--out", str(out)]) == 0
    (tmp_path / "again").mkdir()
    seen = write_notebook(tmp_path / "again" / "quick.ipynb", QUICK, f"print(open({str(out / 'quick.ipynb')!r}).read())")
    assert main(["run", str(seen), "--out", str(out)]) == 0
    during = str(nbformat.read(out / "quick.ipynb", as_version=4).cells[-1].outputs)
    assert "squared" in during, "while it ran, the first result still stood there"


def test_unwritable_folder_exits_2(quick, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["run", str(quick), "--out", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_links_beside_the_notebook_lead_there_from_the_result(quick, tmp_path):
    notebook = nbformat.read(quick, as_version=4)
    text = "[here](quick.ipynb) [web](https://example.org) [gone](nothing.ipynb)"
    notebook.cells.append(nbformat.v4.new_markdown_cell(text))
    nbformat.write(notebook, quick)
    assert main(["run", str(quick), "--out", str(tmp_path / "deep" / "out")]) == 0
    result = nbformat.read(tmp_path / "deep" / "out" / "quick.ipynb", as_version=4)
    assert result.cells[-1].source == "[here](../../quick.ipynb) [web](https://example.org) [gone](nothing.ipynb)"


def test_full_disk_is_reported_and_the_earlier_result_stays(quick, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main(["run", str(quick), "--out", str(out)]) == 0
    before = (out / "quick.ipynb").read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", full)
    assert main(["run", str(quick), "--out", str(out)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert (out / "quick.ipynb").read_bytes() == before


def test_folder_with_a_strange_notebook_is_still_reported(quick, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "broken.ipynb").write_text("{not json", encoding="utf-8")
    assert main(["run", str(quick), "--out", str(out)]) == 0
    assert {run.name: str(run.outcome) for run in reports.read_runs(out)} == {"broken": "not a readable notebook", "quick": "ok"}


# ---- Fresh outputs in place ----


def _with_longer_run(path, **longer):
    notebook = nbformat.read(path, as_version=4)
    described = ", ".join(f"{name}={value!r}" for name, value in longer.items())
    notebook.cells.append(nbformat.v4.new_code_cell(f"def show_notice(**_): ...\n\n\nshow_notice({described})"))
    nbformat.write(notebook, path)
    return path


def test_refresh_runs_the_run_that_the_words_describe_and_keeps_the_defaults(quick):
    assert main(["refresh", str(_with_longer_run(quick, latent_dim=7, rate=0.5))]) == 0
    notebook = nbformat.read(quick, as_version=4)
    assert read_record(notebook)["squared"] == 49
    assert [cell.source for cell in notebook.cells[:2]] == [QUICK, BODY]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]


def test_refresh_leaves_a_notebook_that_fails_as_it_was(tmp_path, capsys):
    failing = write_notebook(tmp_path / "failing.ipynb", QUICK, "1 / 0")
    before = failing.read_bytes()
    assert main(["refresh", str(failing)]) == 1
    assert failing.read_bytes() == before
    assert "failing.ipynb was left as it was" in capsys.readouterr().err


def test_refresh_names_an_unknown_longer_parameter(quick):
    with pytest.raises(ParameterError, match="show_notice names n_sedes"):
        execution.refresh_notebook(_with_longer_run(quick, n_sedes=5))
