import nbformat
import pytest

from aeutils.__main__ import main
from aeutils.running.parameters import Parameter, ParameterError, assign_parameters, parse_value, read_parameters
from aeutils.running.sources import find_sources, read_source

from conftest import QUICK, write_notebook


@pytest.fixture
def quick(tmp_path):
    return write_notebook(tmp_path / "quick.ipynb", QUICK)


def test_parameters_are_read_with_type_default_and_help(quick):
    parameters = read_source(quick).parameters
    assert parameters["latent_dim"] == Parameter("latent_dim", "int", 4, "units")
    assert parameters["untyped"].type == "int" and parameters["sizes"].default == [1, 2]
    assert str(parameters["dataset"]) == "dataset: str = 'none'  (nothing is loaded)"


def test_parameter_that_papermill_would_lose_is_reported(tmp_path):
    lossy = write_notebook(tmp_path / "lossy.ipynb", "limit: int = 0  # 0 = all\nseed: int = 0")
    with pytest.raises(ParameterError, match="parameter limit; is there a second '='"):
        read_source(lossy)


@pytest.mark.parametrize("content", ["{not json", "{}", "latent_dim = 3"])
def test_file_that_is_no_notebook_exits_2(tmp_path, capsys, content):
    (tmp_path / "no.ipynb").write_text(content, encoding="utf-8")
    assert main(["run", str(tmp_path / "no.ipynb"), "--out", str(tmp_path / "out")]) == 2
    assert "no.ipynb cannot be read as a Python notebook" in capsys.readouterr().err


@pytest.mark.parametrize(
    "declared, text, value",
    [
        ("int", "16", 16),
        ("int", "-3", -3),
        ("float", "1e-3", 0.001),
        ("float", "2", 2.0),
        ("bool", "False", False),
        ("bool", "true", True),
        ("str", "16", "16"),
        ("str", "a b", "a b"),
        ("list", "[2, 8]", [2, 8]),
        ("list[int]", "[2, 8]", [2, 8]),
    ],
)
def test_text_becomes_a_value_of_the_type(declared, text, value):
    parsed = parse_value(Parameter("p", declared, None, ""), text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    "declared, text",
    [
        ("int", "16.5"),
        ("int", "sixteen"),
        ("int", "True"),
        ("int", ""),
        ("float", "fast"),
        ("float", "True"),
        ("bool", "1"),
        ("bool", "yes"),
        ("list", "8"),
        ("list[int]", "[2, 'x']"),
        ("int", "__import__('os').getcwd()"),
    ],
)
def test_text_that_does_not_fit_is_refused(declared, text):
    with pytest.raises(ParameterError) as error:
        parse_value(Parameter("p", declared, 5, ""), text)
    assert f"parameter p: expected {declared}" in str(error.value) and f"got {text!r}" in str(error.value)


def test_several_notebooks_share_parameters(quick, tmp_path):
    other = write_notebook(tmp_path / "other.ipynb", "epochs: int = 1\nlatent_dim: int = 2")
    assert assign_parameters(find_sources([quick, other]), [("latent_dim", "3"), ("epochs", "5"), ("epochs", "6")]) == [
        {"latent_dim": 3},
        {"latent_dim": 3, "epochs": 6},
    ]


def test_notebook_without_the_tag_has_no_parameters():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1")])
    notebook.metadata.update(kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"})
    assert read_parameters(notebook) == {}
    notebook.cells[0].metadata["tags"] = ["parameters"]
    assert read_parameters(notebook) == {"a": Parameter("a", "int", 1, "")}
