"""Assignments from 02 on, graded for real: the full solution, the untouched student version, and typical mistakes."""

import html
import re

import nbformat
import pytest

from aeutils.__main__ import main
from aeutils.classroom import course, grading

from assignment_mistakes import MISTAKES
from test_classroom import read_csv, solve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=MISTAKES)
def real(request, tmp_path_factory):
    """(number of the assignment, rows of grades by student, folder of results, source notebook).

    With the first of the made-up submissions alone, which holds the most mistakes; ``--all-mistakes`` grades all of them.
    """
    number = request.param
    (assignment,) = course.find_assignments([number])
    made, folder, out = (tmp_path_factory.mktemp(part) for part in ("made", "submissions", "grades"))
    assert main(["assignments", number, "--out", str(made)]) == 0
    release, source = made / "release" / assignment.name / assignment.notebook.name, assignment.notebook
    nbformat.write(solve(release, source, "solved"), folder / "solved.ipynb")
    (folder / "untouched.ipynb").write_bytes(release.read_bytes())
    students = list(MISTAKES[number]) if request.config.getoption("--all-mistakes") else list(MISTAKES[number])[:1]
    for student, mistakes in [(student, MISTAKES[number][student]) for student in students]:
        notebook = solve(release, source, student)
        for right, wrong in mistakes.values():
            answers = [
                cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution") and right in cell.source
            ]
            assert len(answers) == 1 and answers[0].source.count(right) == 1, right
            answers[0].source = answers[0].source.replace(right, wrong)
        nbformat.write(notebook, folder / f"{student}.ipynb")
    list(grading.grade_folder(folder, assignment, out, check=False))
    return number, {row["student"]: row for row in read_csv(out / "grades.csv")}, out, nbformat.read(source, as_version=4)


def test_full_solution_earns_all_points_but_those_that_a_person_gives(real):
    row = real[1]["solved"]
    assert (row["points"], row["possible"], row["still_to_read"], row["remarks"]) == ("15", "20", "2", "")


def test_untouched_student_version_fails_each_visible_test_for_want_of_an_answer(real):
    _, rows, out, _ = real
    assert rows["untouched"]["points"] == "0" and rows["untouched"]["still_to_read"] == "0"
    (path,) = (out / ".state").rglob("autograded/untouched/*/*.ipynb")
    errors = {
        cell.metadata.nbgrader.grade_id: [output.evalue for output in cell.outputs if output.output_type == "error"]
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
    }
    (own,) = errors.pop("test_my_numbers")
    assert own.startswith("my_") and "not there yet" in own
    assert errors and all(len(error) == 1 and "your code here" in error[0] for error in errors.values())


def test_mistakes_cost_their_own_points_and_no_others(real):
    number, rows, _, _ = real
    made_up = [student for student in MISTAKES[number] if student in rows]
    assert made_up
    for student, mistakes in [(student, MISTAKES[number][student]) for student in made_up]:
        tasks = {task: float(points) for task, points in rows[student].items() if task.startswith("test_")}
        assert {task for task, points in tasks.items() if points == 0} == set(mistakes), student
        full = sum(float(rows["solved"][task]) for task in tasks if task not in mistakes)
        assert float(rows[student]["points"]) == full, student


def test_feedback_has_no_hidden_test(real):
    _, rows, out, source = real
    hidden = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S)
    lines = {
        line.strip()
        for cell in source.cells
        for block in hidden.findall(cell.source)
        for line in block.splitlines()
        if len(line.strip()) > 25 and not any(line.strip() in other for other in known_lines(source))
    }
    assert len(lines) > 10
    for student in rows:
        page = html.unescape(re.sub("<[^>]*>", "", (out / "feedback" / f"{student}.html").read_text(encoding="utf-8")))
        assert not [line for line in lines if line in page], student


def known_lines(source):
    """What a student sees: everything but the hidden tests, and the solutions that were handed in."""
    return [re.sub(r"### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", "", cell.source, flags=re.S) for cell in source.cells]
