"""Pages beside the notebooks: their links, and what they say about the code."""

import ast
import re

import pytest
import yaml

import aeutils

from conftest import REPOSITORY

PAGES = [
    path
    for path in sorted(REPOSITORY.rglob("*.md"))
    if not set(path.relative_to(REPOSITORY).parts) & {".venv", ".venv-lowest", "runs", ".pytest_cache", "site"}
]


def _read(name):
    return (REPOSITORY / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if target.startswith("https://"):
            continue
        linked = page.parent / path if path else page
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_version_stands_in_one_place_and_the_others_agree():
    assert yaml.safe_load(_read("CITATION.cff"))["version"] == aeutils.__version__
    assert re.search(r"^## (.+)$", _read("CHANGELOG.md"), re.M)[1] == aeutils.__version__
    assert "version" not in re.search(r"\[project\]\n(.*?)\n\[", _read("pyproject.toml"), re.S)[1].split("dynamic")[0]


@pytest.mark.parametrize("wing", ["", "running", "classroom"])
def test_contributing_names_every_module(wing):
    (row,) = [
        line for line in _read("CONTRIBUTING.md").splitlines() if line.startswith(f"| `aeutils/{f'{wing}/' if wing else '*.py'}`")
    ]
    modules = {path.stem for path in (REPOSITORY / "aeutils" / wing).glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(re.findall(r"`(\w+)`", row)), row


def test_every_module_has_a_test_file():
    tests = {path.stem.removeprefix("test_") for path in (REPOSITORY / "tests").glob("test_*.py")}
    modules = {path.stem for path in (REPOSITORY / "aeutils").rglob("*.py")} - {"__init__", "__main__"}
    together = {
        "commands": "execution",
        "errors": "files",
        "exercises": "results",
        "progress": "training",
    }  # tested with what uses them
    together |= {name: "classroom" for name in ("students", "course", "grading", "autograder", "provisioner")}
    together |= {name: "judge" for name in ("answers", "exchange", "replicas", "standins")}
    together |= {name: "attacks" for name in ("cgroups", "watch", "feedback")}
    assert {together.get(name, name) for name in modules} <= tests


def test_every_public_function_has_a_docstring():
    missing = []
    for path in sorted((REPOSITORY / "aeutils").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in [tree, *tree.body]:
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and not getattr(node, "name", "").startswith("_"):
                if not ast.get_docstring(node):
                    missing.append(f"{path.name}: {getattr(node, 'name', 'module')}")
    assert not missing


def test_make_runs_what_the_workflow_and_ci_call():
    targets = set(re.findall(r"^([\w./-]+):", _read("Makefile"), re.M))
    called = re.findall(
        r"make ([\w./-]+)", _read(".github/workflows/test.yml") + _read(".github/workflows/site.yml") + _read(".ci/run")
    )
    assert called and set(called) <= targets
