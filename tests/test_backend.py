import os
import subprocess
import sys

import pytest


def run(code, *arguments, **environment):
    """Run code in a fresh Python; an empty value removes a variable."""
    variables = {name: value for name, value in (os.environ | environment).items() if value != ""}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=variables, capture_output=True, text=True)


def test_importing_the_package_imports_neither_tensorflow_nor_plots():
    done = run("import aeutils, sys; print({'tensorflow', 'keras', 'matplotlib', 'pandas'} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("module", ["backend", "training", "anomaly"])
def test_import_is_quiet(module):
    code = f"import aeutils.{module}; import keras; assert float(keras.ops.sum(keras.ops.ones(3))) == 3; print('done')"
    done = run(code, TF_CPP_MIN_LOG_LEVEL="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_whoever_asks_for_the_lines_sees_them():
    assert "tensorflow" in run("import aeutils.backend", TF_CPP_MIN_LOG_LEVEL="0").stderr.lower()


def test_import_that_fails_shows_what_was_printed(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os, sys\nos.write(2, b'from C++\\n')\nprint('from Python', file=sys.stderr)\nraise ImportError('no such library')"
    )
    done = run("import aeutils.backend", PYTHONPATH=str(tmp_path), TF_CPP_MIN_LOG_LEVEL="")
    assert done.returncode == 1
    for words in ("from C++", "from Python", "ImportError: no such library"):
        assert words in done.stderr


def test_other_backend_gets_one_clear_sentence():
    done = run("import aeutils.training", KERAS_BACKEND="torch")
    expected = "BackendError: Keras is set to the backend 'torch' (environment variable KERAS_BACKEND), but this course runs on TensorFlow: set KERAS_BACKEND=tensorflow"
    assert done.returncode == 1 and expected in done.stderr.splitlines()[-1]


def test_python_ends_without_a_last_search_for_garbage(tmp_path):
    """A search through the objects of TensorFlow takes seconds at the end of each kernel; a file left open is still written."""
    code = (
        "import atexit, gc; atexit.register(lambda: print('frozen:', gc.get_freeze_count() > 1000));"
        "import aeutils.backend, sys; file = open(sys.argv[1], 'w'); file.write('kept')"
    )
    done = run(code, tmp_path / "open.txt")
    assert done.stdout == "frozen: True\n" and (tmp_path / "open.txt").read_text() == "kept"


def test_retracing_warnings_alone_are_silenced(caplog):
    import logging

    import aeutils.backend  # noqa: F401

    logger = logging.getLogger("tensorflow")
    propagate, logger.propagate = logger.propagate, True
    try:
        with caplog.at_level("WARNING", logger="tensorflow"):
            logger.warning("5 out of the last 5 calls triggered tf.function retracing.")
            logger.warning("something else")
    finally:
        logger.propagate = propagate
    assert [record.getMessage() for record in caplog.records] == ["something else"]
