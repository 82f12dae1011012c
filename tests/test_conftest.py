"""What the root conftest.py does for notebooks and tests, whatever folder pytest is started in."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from conftest import REPOSITORY, write_notebook


@pytest.fixture
def clone(tmp_path):
    """A repository with the real configuration and one small notebook, executed, whose stored text is compared."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    folder = tmp_path / "notebooks" / "solutions"
    folder.mkdir(parents=True)
    body = "import os\nprint(dataset, os.environ['AEUTILS_STUDENT'], 'AEUTILS_DATA_DIR' in os.environ)"
    path = write_notebook(folder / "01_small.ipynb", 'dataset: str = "mnist"\nother: int = 3', body)
    notebook = nbformat.read(path, as_version=4)
    for count, cell in enumerate(notebook.cells, start=1):
        cell.execution_count = count
    notebook.cells[1].metadata["tags"] = ["nbval-check-output"]
    _store(notebook, path, "digits example False\n")
    return tmp_path


def _store(notebook, path, text):
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    nbformat.write(notebook, path)


def _pytest(folder, *arguments):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AEUTILS_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=kept | {"AEUTILS_DATA_DIR": "/nowhere"}, capture_output=True, text=True)


@pytest.mark.parametrize(
    "folder, path",
    [(".", "notebooks/solutions/01_small.ipynb"), ("notebooks", "solutions"), ("notebooks/solutions", "01_small.ipynb")],
)
def test_notebooks_run_in_smoke_settings_from_any_folder(clone, folder, path):
    done = _pytest(clone / folder, path)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_stale_stored_text_fails(clone):
    path = clone / "notebooks" / "solutions" / "01_small.ipynb"
    _store(nbformat.read(path, as_version=4), path, "mnist example False\n")
    done = _pytest(clone, "notebooks")
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout


def test_what_did_not_run_is_said_loudly(clone):
    (clone / "test_it.py").write_text(
        "import pytest\n@pytest.mark.skipif(True, reason='NOT RUN: no such tool')\ndef test_a(): pass"
    )
    assert "NOT RUN: no such tool (1 tests)" in _pytest(clone, "test_it.py").stdout


def test_two_workers_share_the_lessons_and_take_other_files_whole(clone):
    for name in ("test_a.py", "test_lessons.py"):
        body = "import os, pathlib, pytest\n@pytest.mark.parametrize('k', range(4))\ndef test_it(k):\n"
        body += "    pathlib.Path(f'{__name__}.{k}').write_text(os.environ['PYTEST_XDIST_WORKER'])\n"
        (clone / name).write_text(body)
    done = _pytest(clone, "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "test_a.py", "test_lessons.py")
    assert done.returncode == 0, done.stdout + done.stderr
    workers = {name: {path.read_text() for path in clone.glob(f"{name}.[0-9]")} for name in ("test_a", "test_lessons")}
    assert len(workers["test_a"]) == 1 and len(workers["test_lessons"]) == 2


def test_once_leaves_out_notebooks_that_slow_tests_run_too(clone):
    done = _pytest(clone, "notebooks", "--once")
    assert "2 deselected" in done.stdout, done.stdout + done.stderr
    (clone / "notebooks").rename(clone / "others")
    done = _pytest(clone, "others", "--once")
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
