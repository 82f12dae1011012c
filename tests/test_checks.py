import nbformat
import pytest

from aeutils import checks
from aeutils.errors import ParameterError
from aeutils.running import parameters
from aeutils.running.sources import read_source

from conftest import write_notebook

VALUES = {
    "__annotations__": {"epochs": int, "rate": float, "sizes": list[int], "name": str, "fast": bool},
    "epochs": 3,
    "rate": 1,
    "sizes": [2, 8],
    "name": "mnist",
    "fast": True,
}


def test_good_values_pass():
    checks.check_parameters(VALUES, epochs=">= 1", rate="> 0, <= 1", sizes="not empty, >= 2")
    checks.check_parameters(VALUES | {"sizes": []}, sizes=">= 2")


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"epochs": "abc"}, r"parameter epochs: expected a whole number \(int\), got 'abc'"),
        ({"epochs": 2.5}, r"parameter epochs: expected a whole number \(int\), got 2.5"),
        ({"epochs": True}, r"parameter epochs: expected a whole number \(int\), got True"),
        ({"rate": "0.1"}, r"parameter rate: expected a number \(float\), got '0.1'"),
        ({"sizes": [2, "8"]}, r"parameter sizes: expected a list of int, got \[2, '8'\]"),
        ({"sizes": 2}, "parameter sizes: expected a list of int, got 2"),
        ({"name": 3}, r"parameter name: expected text \(str\), got 3"),
        ({"fast": 1}, r"parameter fast: expected True or False \(bool\), got 1"),
        ({"epochs": 0}, "parameter epochs: expected >= 1, got 0"),
        ({"rate": 1.5}, "parameter rate: expected > 0, <= 1, got 1.5"),
        ({"rate": float("nan")}, "parameter rate: expected > 0, <= 1, got nan"),
        ({"sizes": []}, r"parameter sizes: expected not empty, >= 2, got \[\]"),
        ({"sizes": [2, 1]}, r"parameter sizes: expected each >= 2, got \[2, 1\]"),
    ],
)
def test_wrong_values_are_named(wrong, expected):
    with pytest.raises(ParameterError, match=f"^{expected}$"):
        checks.check_parameters(VALUES | wrong, epochs=">= 1", rate="> 0, <= 1", sizes="not empty, >= 2")


def test_one_of_several_texts():
    checks.check_range("network", "conv", "dense | conv")
    with pytest.raises(ParameterError, match=r"^parameter network: expected dense \| conv, got 'cnn'$"):
        checks.check_range("network", "cnn", "dense | conv")


def test_a_missing_value_says_to_run_the_cell_above():
    with pytest.raises(ParameterError, match="parameter epochs: .* run the cell above first"):
        checks.check_parameters({}, epochs=">= 1")


def test_error_is_short_in_a_notebook():
    assert ParameterError("parameter epochs: too few")._render_traceback_() == ["ParameterError: parameter epochs: too few"]


CHECK = """from aeutils.checks import check_parameters
check_parameters(globals(), latent_dim=">= 1", rate="> 0, < 1")"""
LOAD = """data = load_dataset(dataset, needs=("labels",), min_size=4)
find_label(data, normal_class)"""


def test_ranges_are_read_from_the_source(tmp_path):
    notebook = nbformat.read(write_notebook(tmp_path / "n.ipynb", "latent_dim: int = 4", CHECK, "%magic"), as_version=4)
    assert checks.read_ranges(notebook) == {"latent_dim": ">= 1", "rate": "> 0, < 1"}
    assert checks.find_calls(notebook, "load_dataset") == []


def test_command_checks_ranges_and_own_data_before_a_kernel_starts(tmp_path, folders, images):
    import numpy as np

    own = tmp_path / "mine.npz"
    head = 'dataset: str = "digits"\nlatent_dim: int = 4\nrate: float = 0.5\nnormal_class: str = "3"'
    source = read_source(write_notebook(tmp_path / "n.ipynb", head, CHECK, LOAD))
    parameters.check_values(source, {"latent_dim": 1})
    with pytest.raises(ParameterError, match="parameter latent_dim: expected >= 1, got 0"):
        parameters.check_values(source, {"latent_dim": 0})
    np.savez(own, x_train=images)
    with pytest.raises(parameters.datasets.DatasetError, match="has no labels"):
        parameters.check_values(source, {"dataset": str(own)})
    own = tmp_path / "labelled.npz"
    np.savez(own, x_train=images, y_train=["cat", "dog"] * 10)
    with pytest.raises(
        parameters.datasets.DatasetError,
        match="parameter normal_class: there is no class .3. in labelled.npz; expected one of cat",
    ):
        parameters.check_values(source, {"dataset": str(own)})
    parameters.check_values(source, {"dataset": str(own), "normal_class": "dog"})
    with pytest.raises(parameters.datasets.DatasetError, match="unknown data set 'mnst'"):
        parameters.check_values(source, {"dataset": "mnst"})
    with pytest.raises(parameters.datasets.DatasetNotFoundError, match="no file nowhere.npz"):
        parameters.check_values(source, {"dataset": "nowhere.npz"})
