import csv
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from jupyter_client.provisioning import LocalProvisioner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from aeutils.__main__ import main
from aeutils.classroom import autograder, course, draw_parameters, grading, provisioner, sandbox
from aeutils.classroom.course import Assignment, ClassroomError
from aeutils.classroom.grading import GradingError, Watch
from aeutils.classroom.sandbox import ContainmentError

from conftest import ASSIGNMENTS, REPOSITORY

SECRET = "only_in_a_hidden_test"
ROOT = os.geteuid() == 0


# ---- Parameters of one's own ----


def test_parameters_are_the_same_for_an_id_and_differ_between_neighbours(monkeypatch):
    monkeypatch.delenv("AEUTILS_STUDENT")
    choices = {"digit": range(10), "latent_dim": [8, 12, 16], "seed": range(1000)}
    assert draw_parameters("s2026-001", digit=range(10), latent_dim=[8, 12, 16]) == {"digit": 0, "latent_dim": 8}
    assert draw_parameters(" s2026-001 ", **choices)["digit"] == 0, "as on every other machine, whatever else is drawn"
    drawn = [draw_parameters(f"s2026-{number:03d}", **choices) for number in range(200)]
    assert len({tuple(each.values()) for each in drawn}) > 190
    assert {each["digit"] for each in drawn} == set(range(10)) and {each["latent_dim"] for each in drawn} == {8, 12, 16}


def test_parameters_while_grading_are_of_the_true_id(monkeypatch):
    monkeypatch.setenv("AEUTILS_STUDENT", "s1")
    assert draw_parameters("s2", seed=range(10**6)) == draw_parameters("", seed=range(10**6))


def test_parameters_need_an_id_and_a_choice(monkeypatch):
    monkeypatch.delenv("AEUTILS_STUDENT")
    with pytest.raises(ValueError, match="student_id is ''; write your own into the first cell"):
        draw_parameters("", seed=range(3))
    with pytest.raises(ValueError, match="parameter seed: there is nothing to choose from"):
        draw_parameters("s1", seed=[])


# ---- The source assignments ----


def points_by_task(path):
    cells = nbformat.read(path, as_version=4).cells
    return {cell.metadata.nbgrader.grade_id: cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")}


@pytest.mark.parametrize("path", ASSIGNMENTS, ids=lambda path: path.stem)
def test_source_has_the_form_that_its_readme_asks_for(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stem == path.parent.name and (REPOSITORY / "notebooks" / path.name).exists(), "named after its lesson"
    assert re.match(rf"# {path.stem[:2]} · .+: assignment\n\n\*\*.+\?\*\*\n", notebook.cells[0].source)
    tasks = points_by_task(path)
    tests = {name: cell for name, cell in tasks.items() if not cell.metadata.nbgrader.solution}
    assert 6 <= len(tests) <= 10 and 1 <= len(tasks) - len(tests) <= 2
    for name, cell in tests.items():
        visible, _, hidden = cell.source.partition("### BEGIN HIDDEN TESTS")
        assert cell.metadata.nbgrader.locked and cell.metadata.nbgrader.points > 0
        assert "assert " in visible and re.search(r'f?"[^"]{15,}', visible), f"{name}: visible tests that say what is wrong"
        assert "assert " in hidden and "### END HIDDEN TESTS" in hidden, name
    for name in set(tasks) - set(tests):
        assert "*Points.*" in tasks[name].source and "### BEGIN SOLUTION" in tasks[name].source, f"{name}: rubric and answer"
    ids = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len(ids) == len(set(ids))
    assert sum(cell.source == 'student_id = ""' for cell in notebook.cells) == 1
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "committed without outputs"
            assert max(map(len, cell.source.splitlines())) <= 99
            assert "nbgrader" in cell.metadata or cell.source == 'student_id = ""', (
                "given cells are locked, so that they come back"
            )


def test_assignments_are_found_by_number_and_name():
    names = [assignment.name for assignment in course.find_assignments()]
    assert [path.stem for path in ASSIGNMENTS] == names
    for given in ("02", names[1]):
        (assignment,) = course.find_assignments([given])
        assert assignment.name == names[1] and assignment.notebook in ASSIGNMENTS


def test_unknown_assignment(tmp_path):
    with pytest.raises(ClassroomError, match="no assignment '99'; there are: 01_basic_autoencoder"):
        course.find_assignments(["99"])
    with pytest.raises(ClassroomError, match="no assignments in .*; expected notebooks such as 01_name/01_name.ipynb"):
        course.find_assignments(sources=tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    assert main(["assignments", "01", "--out", str(out)]) == 0
    return out


def test_zip_for_students_has_no_solutions_and_a_readme(made):
    with zipfile.ZipFile(made / "01_basic_autoencoder.zip") as archive:
        assert sorted(archive.namelist()) == ["01_basic_autoencoder/01_basic_autoencoder.ipynb", "01_basic_autoencoder/README.md"]
        notebook = archive.read("01_basic_autoencoder/01_basic_autoencoder.ipynb").decode()
        readme = archive.read("01_basic_autoencoder/README.md").decode()
    assert not re.search("HIDDEN|SOLUTION|full points|broadcast_to", notebook)
    assert notebook.count("your code here") == 9 and notebook.count("*(your answer here)*") == 2
    for word in ("**Install**", "**Check**", "**Hand in**", "01_basic_autoencoder.ipynb"):
        assert word in readme


def test_nbgraders_own_commands_work_in_the_course_folder(made):
    done = subprocess.run([sys.executable, "-m", "nbgrader", "generate_assignment", "01_basic_autoencoder", "--force"],
                          cwd=made, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(made / "01_basic_autoencoder.zip") as archive:
        zipped = json.loads(archive.read("01_basic_autoencoder/01_basic_autoencoder.ipynb"))
    again = json.loads((made / "release" / "01_basic_autoencoder" / "01_basic_autoencoder.ipynb").read_text())
    assert [cell["source"] for cell in zipped["cells"]] == [cell["source"] for cell in again["cells"]]


@pytest.mark.slow
def test_nbgraders_own_autograde_refuses_to_run_students_code_uncontained(made, tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    environment = {**os.environ, "PATH": str(tmp_path) + os.pathsep + os.environ["PATH"]}
    environment.pop("AEUTILS_CONTAINMENT", None)
    submitted = made / "submitted" / "anna" / "01_basic_autoencoder"
    shutil.copytree(made / "release" / "01_basic_autoencoder", submitted)
    done = subprocess.run([sys.executable, "-m", "nbgrader", "autograde", "01_basic_autoencoder"],
                          cwd=made, env=environment, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode != 0 and "students' code cannot be contained: bubblewrap is installed but does not" in done.stderr
    assert not list((made / "autograded").rglob("*.ipynb"))


# ---- Grading the first assignment: solved, untouched, and with typical mistakes ----

MISTAKES = {  # submission: {task that loses its points: (what was right, what stands there)}
    "careless": {
        "test_compute_mse": ("np.mean((x - x_hat) ** 2)", "np.sum((x - x_hat) ** 2)"),
        "test_build_decoder": (', activation="sigmoid"', ""),
        "test_reconstruct_with_mean": ("x_train.mean(axis=0)", "x.mean(axis=0)"),
        "test_my_numbers": ('data.y_val == mine["digit"]', 'data.y_val != mine["digit"]'),
    },
    "hasty": {
        "test_build_encoder": ("layers.Dense(latent_dim),", 'layers.Dense(latent_dim, activation="relu"),'),
        "test_run_experiment": ("keras.utils.set_random_seed(seed)", "pass"),
        "test_find_worst": ("np.argsort(-errors)", "np.argsort(errors)"),
        "test_count_bytes": (" + decoder.count_params()", ""),
    },
    "leaky": {  # two that only hidden tests see: trained on what it is measured by, and typed in from the visible tests
        "test_run_experiment": ("autoencoder.fit(x_train, x_train,", "autoencoder.fit(x_val, x_val,"),
        "test_find_worst": ("return np.argsort(-errors)[:k]", "return [1, 3]"),
        "test_compute_mse": (
            "float(np.mean((x - x_hat) ** 2))",
            "0.25 if len(x) == 2 else float(np.mean((x - x_hat) ** 2)) + 1e-3",
        ),
    },
}


UNUSUAL = {  # right answers, written in other ways: (what stands in the solution, what stands there)
    "compute_mse": ("return float(np.mean((x - x_hat) ** 2))", "return np.mean((x - x_hat) ** 2)  # 평균 제곱 오차, np.float64"),
    "build_encoder": (
        """    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Flatten(),
            layers.Dense(hidden_units, activation="elu"),
            layers.Dense(latent_dim),
        ]
    )""",
        """    class Encoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.code = layers.Dense(hidden_units), layers.Dense(latent_dim)

        def call(self, x):
            x = keras.ops.reshape(x, (-1, int(np.prod(image_shape))))
            return self.code(keras.ops.elu(self.hidden(x)))

    return Encoder()""",
    ),
    "join": (
        "    return keras.Sequential([encoder, decoder])",
        """    class Joined(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder

        def call(self, x):
            return self.decoder(self.encoder(x))

    return Joined()""",
    ),
    "run_experiment": (
        """    autoencoder.compile(optimizer=keras.optimizers.Adam(0.005), loss="mse")
    autoencoder.fit(x_train, x_train, batch_size=32, epochs=epochs, verbose=0)
""",
        """    import tensorflow as tf

    optimizer = keras.optimizers.Adam(0.005)
    autoencoder(x_train[:1])

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(autoencoder(x) - x))
        weights = autoencoder.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    for _ in range(epochs):
        for batch in tf.data.Dataset.from_tensor_slices(x_train).shuffle(600, seed=seed).batch(32):
            step(batch)
""",
    ),
    "find_worst": ("    return np.argsort(-errors)[:k]", "    return sorted(range(len(x)), key=lambda i: -errors[i])[:k]"),
}


def solve(release, source, student):
    """The student version with the solutions of the source filled in."""
    notebook = nbformat.read(release, as_version=4)
    for cell, solved in zip(notebook.cells, nbformat.read(source, as_version=4).cells, strict=True):
        if solved.metadata.get("nbgrader", {}).get("solution"):
            cell.source = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", solved.source).rstrip()
        elif cell.source == 'student_id = ""':
            cell.source = f'student_id = "{student}"'
    return notebook


def read_csv(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def real(made, tmp_path_factory):
    """Grades of the first assignment: (rows by student, folder of results, student version)."""
    folder, out = tmp_path_factory.mktemp("real"), tmp_path_factory.mktemp("real-out")
    release = made / "release" / "01_basic_autoencoder" / "01_basic_autoencoder.ipynb"
    source = course.SOURCES / "01_basic_autoencoder" / "01_basic_autoencoder.ipynb"
    nbformat.write(solve(release, source, "solved"), folder / "solved.ipynb")
    (folder / "untouched.ipynb").write_bytes(release.read_bytes())
    for student, mistakes in {**MISTAKES, "unusual": UNUSUAL}.items():
        notebook = solve(release, source, student)
        for right, wrong in mistakes.values():
            cells = [
                cell
                for cell in notebook.cells
                if cell.cell_type == "code" and right in cell.source and not cell.metadata.nbgrader.locked
            ]
            assert len(cells) == 1, right
            cells[0].source = cells[0].source.replace(right, wrong)
        nbformat.write(notebook, folder / f"{student}.ipynb")
    (assignment,) = course.find_assignments(["01"])
    list(grading.grade_folder(folder, assignment, out, check=False))
    return {row["student"]: row for row in read_csv(out / "grades.csv")}, out, release


@pytest.mark.slow
def test_full_solution_earns_all_points_but_those_that_a_person_gives(real):
    row = real[0]["solved"]
    assert (row["points"], row["possible"], row["still_to_read"], row["remarks"]) == ("15", "20", "2", "")


@pytest.mark.slow
def test_right_answers_written_in_other_ways_earn_the_same(real):
    assert {name: real[0]["unusual"][name] for name in ("points", "remarks")} == {"points": "15", "remarks": ""}


@pytest.mark.slow
def test_untouched_student_version_fails_each_visible_test_for_want_of_an_answer(real):
    rows, out, _ = real
    assert rows["untouched"]["points"] == "0" and rows["untouched"]["still_to_read"] == "0"
    (path,) = (out / ".state").rglob("autograded/untouched/*/*.ipynb")
    errors = {
        cell.metadata.nbgrader.grade_id: [output.evalue for output in cell.outputs if output.output_type == "error"]
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
    }
    assert errors.pop("test_my_numbers") == ["my_model is not there yet: keep the model and both errors"]
    assert len(errors) == 8 and all(error == ["your code here"] for error in errors.values())


@pytest.mark.slow
@pytest.mark.parametrize("student", MISTAKES)
def test_mistakes_cost_their_own_points_and_no_others(real, student):
    row = real[0][student]
    tasks = {name: float(points) for name, points in row.items() if name.startswith("test_")}
    assert {name for name, points in tasks.items() if points == 0} == set(MISTAKES[student])
    full = {name: float(real[0]["solved"][name]) for name in tasks}
    assert float(row["points"]) == sum(full[name] for name in tasks if name not in MISTAKES[student])


@pytest.mark.slow
def test_feedback_has_no_hidden_test_and_says_where_one_was_missed(real):
    source = course.SOURCES / "01_basic_autoencoder" / "01_basic_autoencoder.ipynb"
    hidden = [
        line.strip()
        for cell in nbformat.read(source, as_version=4).cells
        for line in cell.source.partition("### BEGIN HIDDEN TESTS")[2].splitlines()
        if len(line.strip()) > 20
    ]
    assert len(hidden) > 30
    for student in real[0]:
        text = re.sub(r"<[^>]+>", "", (real[1] / "feedback" / f"{student}.html").read_text())
        assert not [
            line
            for line in hidden
            if line in text.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
        ]
    page = (real[1] / "feedback" / "leaky.html").read_text()
    assert page.count("further tests call your code with other values") == 3
    assert "Score: 9.0 / 20.0" in page and "is read by your teacher" in page


# ---- Grading hostile and broken submissions, on an assignment that needs no network ----


def mark(cell, name, grade=False, solution=False, locked=False, points=None):
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": name,
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "task": False,
    }
    if points is not None:
        cell.metadata["nbgrader"]["points"] = points
    return cell


DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
TEST_DOUBLE = f"""assert double(2) == 4, f"double(2) is {{double(2)}}, expected 4"
### BEGIN HIDDEN TESTS
{SECRET} = 21
assert double({SECRET}) == 42
### END HIDDEN TESTS"""
OWN = "### BEGIN SOLUTION\nown = mine['number'] + 1\n### END SOLUTION"
TEST_OWN = """assert own > 0, "own has to be positive"
### BEGIN HIDDEN TESTS
assert own == draw_parameters(student_id, number=range(10**6))["number"] + 1
### END HIDDEN TESTS"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """(assignment, student version solved for an id)."""
    sources = tmp_path_factory.mktemp("sources")
    cells = [
        new_code_cell('student_id = ""'),
        mark(
            new_code_cell(
                "from aeutils.classroom import draw_parameters\nmine = draw_parameters(student_id, number=range(10**6))"
            ),
            "setup",
            locked=True,
        ),
        mark(new_code_cell(DOUBLE), "double", solution=True),
        mark(new_code_cell(TEST_DOUBLE), "test_double", grade=True, locked=True, points=2),
        mark(new_code_cell(OWN), "own", solution=True),
        mark(new_code_cell(TEST_OWN), "test_own", grade=True, locked=True, points=1),
        mark(
            new_markdown_cell("### BEGIN SOLUTION\n*Points.* all\n### END SOLUTION"), "why", grade=True, solution=True, points=4
        ),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (sources / "01_toy").mkdir()
    source = sources / "01_toy" / "01_toy.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), source)
    assignment = Assignment("01_toy", sources)
    release = course.release(course.open_course(tmp_path_factory.mktemp("toy-release"), sources), assignment)

    def submission(student, **cells_by_name):
        notebook = solve(release, source, student)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in cells_by_name:
                cell.source = cells_by_name[name]
        return notebook

    return assignment, submission


def named(notebook, name):
    (found,) = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name]
    return found


RIGHT = "\ndef double(x):\n    return 2 * x"
STUBBORN = """while True:
    try:
        while True:
            pass
    except KeyboardInterrupt:
        pass"""
NOISE = "for _ in range(300):\n    print('x' * 100_000)"
NETWORK = "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=3)"
HIDE_ERRORS = """double = abs
get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)
get_ipython().showtraceback = print"""
HISTORY = """print(In)
import sys
print([v for v in globals() if 'hidden' in v])
own = mine['number'] + 1"""
VALUE = "import sys\nsys.displayhook(1000)\ndef double(x):\n    return 0"
SCRIPTS = """from IPython.display import HTML, Javascript, display
display(HTML('<i>fine</i><script>alert(1)</script>'), Javascript('alert(2)'))"""
FORKS = """import os, time
for _ in range(300):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)"""
KILLER = """import os, signal
os.kill(os.getppid(), signal.SIGKILL)
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass"""

# By id: cells that are replaced, and points expected (test_double, test_own), or words of the refusal.
CELLS = {
    "right": ({}, (2, 1)),
    "wrong": ({"double": "def double(x):\n    return x + 2", "own": "own = 0"}, (0, 0)),
    "constant": ({"double": "def double(x):\n    return 4", "own": "own = 123456"}, (0, 0)),
    "endless": ({"double": "def double(x):\n    while True:\n        pass"}, (0, 1)),
    "stubborn": ({"double": STUBBORN}, "cell .double. ran for longer than 8 s and could not be interrupted"),
    "crash": ({"double": "import ctypes\nctypes.string_at(0)"}, "its kernel died in cell 'double'"),
    "memory": ({"double": "x = bytearray(2_000_000_000)"}, (0, 1)),
    "noise": ({"double": NOISE + RIGHT}, (2, 1)),
    "network": ({"double": NETWORK + RIGHT}, (0, 1)),
    "hides-errors": ({"double": HIDE_ERRORS, "own": "own = 1"}, (0, 0)),
    "prints-history": ({"own": HISTORY}, (2, 1)),
    "value": ({"double": VALUE}, (0, 1)),
    "scripts": ({"double": SCRIPTS + RIGHT, "why": "<script>alert(3)</script><img src=x onerror='alert(4)'>"}, (2, 1)),
    "copied": ({}, "the student id inside is 'right', but the file is named 'copied'"),
    "forks": ({"double": FORKS}, "more than|died|longer"),
    "killer": ({"double": KILLER + RIGHT}, None),
    "vandal": (None, (2, 1)),  # see `class_folder`
}


CONTAINED = sandbox.find_kind() == "bwrap"
NOT_RUN = f"NOT RUN: bubblewrap does not contain students' code here: {sandbox.explain_plain()}"
needs_bubblewrap = pytest.mark.skipif(not CONTAINED, reason=NOT_RUN)


def class_folder(folder, submission, victim):
    """Write all submissions."""
    vandal = f"""import os, pathlib, shutil
for place in map(pathlib.Path, {[str(victim), str(folder), str(REPOSITORY / "aeutils"), os.path.expanduser("~")]!r}):
    for path in [place / "notes.txt", place / "right.ipynb", place / "new.txt"]:
        try:
            path.write_text("vandal was here")
        except OSError:
            pass
    shutil.rmtree(place / "precious", ignore_errors=True)
def double(x):
    return 2 * x"""
    for student, (cells, _) in CELLS.items():
        notebook = submission(student, **(cells if cells is not None else {"double": vandal}))
        if student == "copied":
            notebook.cells[0].source = 'student_id = "right"'
        nbformat.write(notebook, folder / f"{student}.ipynb")

    deleted = submission("deleted")
    deleted.cells = [
        cell
        for cell in deleted.cells
        if cell not in (named(deleted, "double"), named(deleted, "test_double"), named(deleted, "setup"))
    ]
    nbformat.write(deleted, folder / "deleted.ipynb")
    edited = submission("edited", double="def double(x):\n    return 0")
    named(edited, "test_double").source = "pass"
    named(edited, "test_double").metadata.nbgrader.points = 100
    named(edited, "test_own").metadata.nbgrader.grade = False
    nbformat.write(edited, folder / "edited.ipynb")
    skipped = submission("skipped", double="def double(x):\n    return 0")
    named(skipped, "test_double").metadata.tags = ["skip-execution"]
    nbformat.write(skipped, folder / "skipped.ipynb")
    renamed = submission("renamed")
    named(renamed, "double").metadata.nbgrader.grade_id = "mine"
    nbformat.write(renamed, folder / "renamed.ipynb")
    twice = submission("twice")
    twice.cells.insert(2, nbformat.from_dict({**named(twice, "double"), "source": "double = 0", "id": "other"}))
    nbformat.write(twice, folder / "twice.ipynb")

    whole = (folder / "right.ipynb").read_bytes()
    (folder / "empty.ipynb").write_bytes(b"")
    (folder / "truncated.ipynb").write_bytes(whole[: len(whole) // 2])
    (folder / "picture.ipynb").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    (folder / "list.ipynb").write_text("[1, 2]")
    (folder / "deep.ipynb").write_text("[" * 100_000)
    (folder / "linked.ipynb").symlink_to(folder / "right.ipynb")
    (folder / "not an id;.ipynb").write_bytes(whole)
    (folder / "essay.docx").write_bytes(b"PK")
    (folder / "folder.ipynb").mkdir()
    os.mkfifo(folder / "pipe.ipynb")


POINTS = {
    **{student: expected for student, (_, expected) in CELLS.items() if isinstance(expected, tuple)},
    "deleted": (0, 1),
    "edited": (0, 1),
    "skipped": (0, 1),
    "renamed": (2, 1),
    "twice": (2, 1),
}
REFUSALS = {
    **{f"{student}.ipynb": expected for student, (_, expected) in CELLS.items() if isinstance(expected, str)},
    "empty.ipynb": "the file is empty",
    "truncated.ipynb": "it is not a notebook, or was cut off",
    "picture.ipynb": "it is not a notebook: the file is not text",
    "list.ipynb": "it is not a",
    "deep.ipynb": "it is not a",
    "linked.ipynb": "it is a link, not a file",
    "not an id;.ipynb": "its name is no student id",
    "essay.docx": "its name does not end in .ipynb",
    "folder.ipynb": "it is a folder, not a file",
    "pipe.ipynb": "it is not an ordinary file",
}
WATCH = Watch(seconds=120, cell_seconds=8)


@pytest.fixture(scope="module")
def hostile(toy, tmp_path_factory):
    if not CONTAINED:  # some of it would do harm
        pytest.skip(NOT_RUN)
    assignment, submission = toy
    folder, out, victim = (tmp_path_factory.mktemp(name) for name in ("hostile", "hostile-out", "victim"))
    (victim / "precious").mkdir()
    (victim / "notes.txt").write_text("mine")
    class_folder(folder, submission, victim)
    outcomes = {outcome.name: outcome for outcome in grading.grade_folder(folder, assignment, out, 2, WATCH, check=False)}
    return {"folder": folder, "out": out, "victim": victim, "outcomes": outcomes, "assignment": assignment}


@pytest.mark.slow
def test_each_hostile_or_broken_submission_gets_a_grade_or_a_named_refusal(hostile):
    rows = {row["student"]: row for row in read_csv(hostile["out"] / "grades.csv")}
    given = {student: (float(row["test_double"]), float(row["test_own"])) for student, row in rows.items()}
    reasons = {row["file"]: row["reason"] for row in read_csv(hostile["out"] / "not_graded.csv")}
    assert given.pop("killer", None) in (None, (0, 1), (2, 1)), "it may only have killed itself"
    reasons.pop("killer.ipynb", None)
    assert given == POINTS
    assert set(reasons) == set(REFUSALS)
    for name, words in REFUSALS.items():
        assert re.search(words, reasons[name]), (name, reasons[name])
    for student in [*rows, "crash", "empty"]:
        assert (hostile["out"] / "feedback" / f"{student}.html").exists()


@pytest.mark.slow
def test_remarks_name_what_was_put_back_and_what_deserves_a_look(hostile):
    remarks = {row["student"]: row["remarks"] for row in read_csv(hostile["out"] / "grades.csv")}
    assert remarks["right"] == "" and remarks["wrong"] == ""
    assert (
        remarks["deleted"]
        == "setup was missing and put back; double was missing and put back; test_double was missing and put back"
    )
    assert "test_double was changed and put back" in remarks["edited"]
    assert (
        "double was missing and put back" in remarks["renamed"]
        and "double is there twice; the last one counts" in remarks["twice"]
    )
    assert "look at double: it uses get_ipython" in remarks["hides-errors"]


@pytest.mark.slow
def test_no_hidden_test_leaves_the_grader(hostile):
    for page in (hostile["out"] / "feedback").iterdir():
        assert SECRET not in page.read_text(), page.name
    assert not [path for path in (hostile["out"] / ".state").rglob("*.ipynb") if SECRET in path.read_text()]
    page = (hostile["out"] / "feedback" / "constant.html").read_text()
    assert "Score: 0.0 / 7.0" in page and "further tests call your code with other values" in page


@pytest.mark.slow
def test_nothing_outside_was_written_or_deleted(hostile):
    victim = hostile["victim"]
    assert (victim / "notes.txt").read_text() == "mine" and (victim / "precious").is_dir() and not (victim / "new.txt").exists()
    for place in (hostile["folder"], REPOSITORY / "aeutils", Path.home()):
        assert not (place / "new.txt").exists() and not (place / "notes.txt").exists()
    assert "vandal" not in (hostile["folder"] / "right.ipynb").read_text()


@pytest.mark.slow
def test_pages_bring_no_scripts_of_students(hostile):
    page = (hostile["out"] / "feedback" / "scripts.html").read_text()
    assert "<i>fine</i>" in page and not re.search(r"<script|<img src=x|<[^>]*(onerror|alert\()", page)  # but as text


@pytest.mark.slow
def test_huge_output_is_cut(hostile):
    page = (hostile["out"] / "feedback" / "noise.html").read_text()
    assert "more output than fits" in page and len(page) < 3_000_000


@pytest.mark.slow
def test_second_run_grades_nothing_and_writes_the_same(hostile, monkeypatch):
    before = {name: (hostile["out"] / name).read_bytes() for name in ("grades.csv", "not_graded.csv", "written.csv")}
    monkeypatch.setattr(grading, "_grade_one", None)  # it would be called for whatever is not kept
    again = list(grading.grade_folder(hostile["folder"], hostile["assignment"], hostile["out"], 2, WATCH))
    assert before == {name: (hostile["out"] / name).read_bytes() for name in before}
    assert {outcome.name for outcome in again} == set(hostile["outcomes"])
    assert all(outcome.result == hostile["outcomes"][outcome.name].result for outcome in again)


@pytest.mark.slow
def test_only_what_changed_is_graded_again_and_points_given_by_hand_count(toy, tmp_path):
    assignment, submission = toy
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for student in ("anna", "ben"):
        nbformat.write(submission(student), folder / f"{student}.ipynb")
    (folder / "carl.ipynb").write_text("{")
    list(grading.grade_folder(folder, assignment, out, 2, WATCH, check=False))
    nbformat.write(submission("ben", double="def double(x):\n    return 0"), folder / "ben.ipynb")
    assert (out / "feedback" / "carl.html").exists()
    (folder / "carl.ipynb").unlink()
    table = (out / "written.csv").read_text().replace("anna,why,4,,", 'anna,why,4,"2,5",well seen')
    (out / "written.csv").write_text(table)
    (state,) = (out / ".state").rglob("autograded/anna/*/*.ipynb")
    executed = state.read_bytes()
    again = {outcome.name: outcome for outcome in grading.grade_folder(folder, assignment, out, 2, WATCH, check=False)}
    assert set(again) == {"anna.ipynb", "ben.ipynb"} and state.read_bytes() == executed, "anna's code did not run again"
    rows = {row["student"]: row for row in read_csv(out / "grades.csv")}
    assert (rows["anna"]["points"], rows["anna"]["still_to_read"], rows["ben"]["points"]) == ("5.5", "0", "1")
    page = (out / "feedback" / "anna.html").read_text()
    assert "Score: 5.5 / 7.0" in page and "well seen" in page
    assert not (out / "feedback" / "carl.html").exists()
    (out / "written.csv").write_text(table.replace('"2,5"', "9"))
    with pytest.raises(GradingError, match="line 2: 9 points for why of anna; expected 0 to 4"):
        list(grading.grade_folder(folder, assignment, out, 2, WATCH))


@pytest.mark.slow
def test_retry_grades_again_what_could_not_be_graded(hostile, monkeypatch):
    tried = []
    monkeypatch.setattr(autograder, "make_templates", lambda *arguments: None)
    monkeypatch.setattr(
        grading, "_grade_one", lambda item, work: tried.append(item.name) or grading.Outcome(item.name, None, "x")
    )
    before = {path: path.read_bytes() for path in hostile["out"].glob("*.csv")}
    list(grading.grade_folder(hostile["folder"], hostile["assignment"], hostile["out"], 1, WATCH, retry=True, check=False))
    for path, content in before.items():
        path.write_bytes(content)
    slow = {f"{student}.ipynb" for student in ("endless", "killer")}  # reached a time limit
    assert (
        set(tried) <= set(REFUSALS) | slow
        and "endless.ipynb" in tried
        and {"crash.ipynb", "stubborn.ipynb", "copied.ipynb"} <= set(tried)
    )


def test_refusals_before_anything_runs(tmp_path, capsys):
    assert main(["grade", str(tmp_path / "none"), "--uncontained"]) == 2
    assert main(["grade", str(tmp_path), "--assignment", "77", "--uncontained"]) == 2
    assert main(["grade", str(tmp_path), "--workers", "0"]) == 2
    assert main(["assignments", "77", "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err
    for words in (
        "is not a folder; expected one with submissions",
        "no assignment '77'; there are: 01",
        "--workers: expected 1 or more, got 0",
    ):
        assert words in errors
    with pytest.raises(GradingError, match="is not a folder; expected one with submissions such as"):
        next(grading.grade_folder(tmp_path / "none", Assignment("01_toy", tmp_path), tmp_path / "out"))


@pytest.mark.parametrize(
    "forced, reason",
    [
        ("", "bubblewrap is not installed"),
        ("", "bubblewrap is installed but does not work here (No permissions)"),
        ("plain", "AEUTILS_CONTAINMENT is set to plain"),
    ],
)
def test_grading_is_refused_where_bubblewrap_does_not_work(tmp_path, capsys, monkeypatch, forced, reason):
    monkeypatch.setenv("AEUTILS_CONTAINMENT", forced)
    monkeypatch.setattr(sandbox, "try_bubblewrap", lambda: reason)
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{reason}. Install bubblewrap" in error and "--uncontained" in error and not (tmp_path / "out").exists()


def test_grading_is_refused_where_jupyter_does_not_know_the_provisioner(tmp_path, capsys, monkeypatch):
    """After an update without a new installation Jupyter does not know the provisioner."""
    monkeypatch.setattr(provisioner, "NAME", "no-such-provisioner")
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "out"), "--uncontained"]) == 2
    expected = "Jupyter does not know the kernel provisioner 'no-such-provisioner', which contains students' code; install this"
    assert expected in capsys.readouterr().err and not (tmp_path / "out").exists()
    with pytest.raises(ContainmentError, match="python -m pip install -e ."):  # for the commands of nbgrader
        autograder.ContainedExecute().create_kernel_manager()


@pytest.mark.parametrize("settings", [{}, {"containment": "bwrap"}])
def test_no_kernel_starts_without_bubblewrap_unless_asked(monkeypatch, settings):
    """As with the commands of nbgrader, or if bubblewrap fails after the first look."""
    monkeypatch.delenv("AEUTILS_CONTAINMENT", raising=False)
    monkeypatch.setattr(sandbox, "try_bubblewrap", lambda: "bubblewrap is not installed")
    with pytest.raises(ContainmentError, match="students' code cannot be contained: bubblewrap is not installed"):
        autograder.ContainedExecute(**settings).create_kernel_manager()


def test_no_cell_runs_in_a_kernel_that_was_started_in_another_way():
    execute = autograder.ContainedExecute()
    execute.km = SimpleNamespace(provisioner=LocalProvisioner())
    with pytest.raises(ContainmentError, match="the kernel was not started contained; no cell was run"):
        execute.preprocess_cell(new_code_cell("1"), {}, 0)


LOOK = """import os, pathlib, socket
def double(x):
    return 2 * x
try:
    output = os.readlink("/proc/1/fd/1").split(":")[0]
except PermissionError:
    output = "pipe"
print("SEES", len([name for name in os.listdir("/proc") if name.isdigit()]) < 20, os.path.exists({secret!r}),
      [name for _, name in socket.if_nameindex()], os.environ.get("TOKEN_OF_THE_TEACHER"), os.environ["AEUTILS_STUDENT"], output, os.getuid() != 0)"""


@pytest.fixture(scope="module")
def anna(toy, tmp_path_factory):
    """One submission, graded by the command: its folder, the folder of results, and what its kernel saw of the machine."""
    assignment, submission = toy
    folder, out = tmp_path_factory.mktemp("anna"), tmp_path_factory.mktemp("anna-out")
    (folder / ".secret").write_text("x")
    nbformat.write(submission("anna", double=LOOK.format(secret=str(folder / ".secret"))), folder / "anna.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN_OF_THE_TEACHER", "x")
        assert main(["grade", str(folder), "--sources", str(assignment.sources), "--out", str(out), "--uncontained"]) == 0
    (executed,) = (out / ".state").rglob("autograded/anna/*/*.ipynb")
    (seen,) = re.findall("SEES .*?(?=\\\\n)", executed.read_text())
    return SimpleNamespace(folder=folder, out=out, seen=seen)


def test_one_submission_becomes_a_row_a_page_and_an_answer_to_read(anna):
    out = anna.out
    (row,) = read_csv(out / "grades.csv")
    assert [row[name] for name in ("student", "points", "possible", "still_to_read")] == ["anna", "3", "7", "1"]
    assert read_csv(out / "not_graded.csv") == []
    assert (out / "written.csv").read_text() == "student,task,possible,points,comment\nanna,why,4,,\n"
    page = (out / "feedback" / "anna.html").read_text()
    assert "Score: 3.0 / 7.0" in page and "is read by your teacher" in page and SECRET not in page


def test_points_given_by_hand_count_and_have_to_fit(anna, toy, tmp_path):
    folder, out = tmp_path / "in", shutil.copytree(anna.out, tmp_path / "out")
    shutil.copytree(anna.folder, folder)
    (out / "written.csv").write_text((out / "written.csv").read_text().replace("why,4,,", 'why,4,"2,5",well seen'))
    (outcome,) = grading.grade_folder(folder, toy[0], out)
    (row,) = read_csv(out / "grades.csv")
    assert outcome.fresh and (row["points"], row["why"], row["still_to_read"]) == ("5.5", "2.5", "0")
    page = (out / "feedback" / "anna.html").read_text()
    assert "Score: 5.5 / 7.0" in page and "well seen" in page
    (outcome,) = grading.grade_folder(folder, toy[0], out)
    assert not outcome.fresh
    (out / "written.csv").write_text("student,task,possible,points,comment\nanna,why,4,9,\n")
    with pytest.raises(GradingError, match="line 2: 9 points for why of anna; expected 0 to 4"):
        list(grading.grade_folder(folder, toy[0], out))


@needs_bubblewrap
def test_kernel_of_a_student_runs_contained(anna):
    assert anna.seen == "SEES True False ['lo'] None anna pipe True", (
        "few processes; no file, network or environment of this machine"
    )


@pytest.mark.slow
@pytest.mark.skipif(ROOT, reason="not for root")
def test_grading_where_only_limits_apply(toy, tmp_path, monkeypatch, capsys):
    assignment, submission = toy
    (tmp_path / "in").mkdir()
    nbformat.write(submission("ben"), tmp_path / "in" / "ben.ipynb")
    monkeypatch.setenv("AEUTILS_CONTAINMENT", "plain")
    options = ["--sources", str(assignment.sources), "--out", str(tmp_path / "out"), "--uncontained"]
    assert main(["grade", str(tmp_path / "in"), *options]) == 0
    assert "containment: plain" in capsys.readouterr().out
    assert [row["points"] for row in read_csv(tmp_path / "out" / "grades.csv")] == ["3"]


def test_config_files_of_the_first_edition_still_find_their_import():
    from aeutils.autograder import autograde_steps

    assert autograder.ContainedExecute in autograde_steps()


def test_a_text_that_a_spreadsheet_would_run_is_disarmed(tmp_path):
    grading._write_csv(tmp_path / "t.csv", [["=1+1", "@x", "-2", "-x", "a", "-1+cmd|' /C calc'!A0", " =1", "\x1b]0;x\x07"]])
    assert (tmp_path / "t.csv").read_text() == "'=1+1,'@x,-2,'-x,a,'-1+cmd|' /C calc'!A0,' =1,\ufffd]0;x\ufffd\n"


def test_a_comment_by_hand_comes_back_as_it_was_written(tmp_path):
    rows = [["student", "task", "possible", "points", "comment"], ["anna", "why", "4", "3", "-1: no example"]]
    grading._write_csv(tmp_path / "t.csv", rows)
    assert grading._read_written(tmp_path / "t.csv") == {"anna": {"why": (3, "-1: no example")}}


@pytest.mark.parametrize(
    "source, watch, reason",
    [
        ("import time; time.sleep(60)", Watch(seconds=0.5), "it took longer than 0.5 s"),
        ("x = bytearray(300_000_000); import time; time.sleep(60)", Watch(memory_mb=200), "it took more than 200 MB of memory"),
        ("open('large', 'wb').write(bytes(3_000_000)); import time; time.sleep(60)", Watch(disk_mb=2), "it wrote more than 2 MB"),
        (
            "import subprocess\n"
            "for _ in range(9):\n    child = subprocess.Popen(['sleep', '60'], start_new_session=True)\nchild.wait()",
            Watch(processes=5),
            "it started more than 5 processes",
        ),
    ],
)
def test_what_takes_too_much_is_ended_with_all_that_it_started(tmp_path, source, watch, reason):
    assert grading.run_watched([sys.executable, "-c", source], tmp_path, watch) == reason
    ours = [child.cmdline() for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    assert ["sleep", "60"] not in ours


def test_whoever_stops_a_grading_does_not_wait_for_it(tmp_path):
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    assert grading.run_watched([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, Watch(), stop) == "stopped"
    assert time.monotonic() - started < 10


def test_a_result_is_not_believed(tmp_path):
    (tmp_path / "feedback.html").write_text("")
    (tmp_path / "log").write_text("first\nlast words")
    for text in ("", "{}", "[]", '{"scores": {"a": 3}, "max_scores": {"a": 2}}', '{"scores": {"a": 1}, "max_scores": {}}'):
        (tmp_path / "result.json").write_text(text)
        assert grading._read_result(tmp_path) == (None, "the autograder failed: last words")
