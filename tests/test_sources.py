import nbformat
import pytest

from aeutils.__main__ import main
from aeutils.running import sources

from conftest import REPOSITORY, write_notebook

LESSON = REPOSITORY / "notebooks" / "01_basic_autoencoder.ipynb"


@pytest.mark.parametrize("name", ["99", "nothing.ipynb"])
def test_unknown_notebook_exits_2_and_lists_what_there_is(name, tmp_path, capsys):
    assert main(["run", name, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert name in message and "01_basic_autoencoder.ipynb" in message


def test_an_old_name_is_answered_with_the_new_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sources, "NOTEBOOKS", tmp_path)
    write_notebook(tmp_path / "07_semantic_hashing.ipynb", "n: int = 1")
    write_notebook(tmp_path / "08_sparse_autoencoder.ipynb", "n_active: int = 1")
    with pytest.raises(sources.NotebookNotFoundError, match="07_sparse_autoencoder .* is now 08_sparse_autoencoder; expected"):
        sources.find_notebooks([tmp_path / "07_sparse_autoencoder.ipynb"])
    assert main(["run", "07", "--out", str(tmp_path / "out"), "-p", "n_active", "3"]) == 2
    message = capsys.readouterr().err
    assert "07 is 07_semantic_hashing; 07_sparse_autoencoder of the first edition is now 08_sparse_autoencoder." in message
    assert "unknown parameter 'n_active'" in message and "08_sparse_autoencoder has it" in message
    assert main(["parameters", "08"]) == 0
    assert not capsys.readouterr().err, "08 meant nothing else before"


def test_numbers_name_notebooks():
    assert sources.find_notebooks(["01"]) == [LESSON]
    assert LESSON in sources.find_notebooks([])


def test_a_name_twice_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    paths = [write_notebook(folder / "a.ipynb", "n: int = 1") for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(sources.NotebookNotFoundError, match="a is named twice; each notebook of one run needs its own name"):
        sources.find_notebooks(paths)


def test_digest_is_of_the_source_and_not_of_the_outputs(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", "n: int = 1", "print(n)")
    before = sources.read_source(path).digest
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="1")]
    nbformat.write(notebook, path)
    assert sources.read_source(path).digest == before
    notebook.cells[1].source = "print(n + 1)"
    nbformat.write(notebook, path)
    assert sources.read_source(path).digest != before
