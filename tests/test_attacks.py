"""Attacks on the grader, each of which once succeeded, and honest work that looks unusual."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from aeutils.classroom import autograder, cgroups, feedback, grading, watch
from aeutils.classroom.grading import GradingError, Outcome, Watch
from aeutils.files import remove_tree

from test_classroom import CONTAINED, NOT_RUN, SECRET, named, read_csv, toy  # noqa: F401 (a fixture)

# ---- Files and folders ----


def test_a_folder_is_removed_however_deep_it_is(tmp_path):
    deep, start = tmp_path / "deep", os.getcwd()
    deep.mkdir()
    os.chdir(deep)
    for _ in range(1500):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    os.chdir(start)
    (deep / "closed").mkdir()
    (deep / "closed" / "file").write_text("x")
    (deep / "closed").chmod(0)
    (tmp_path / "kept").mkdir()
    (deep / "link").symlink_to(tmp_path / "kept")
    remove_tree(deep)
    assert not deep.exists() and (tmp_path / "kept").is_dir()
    remove_tree(deep)


def test_deep_and_many_folders_are_counted(tmp_path):
    source = "import os, time\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\ntime.sleep(60)"
    reason = watch.run_watched([sys.executable, "-c", source], tmp_path, Watch(files=300))
    remove_tree(tmp_path / "d")  # pytest's own removal of old folders is recursive
    assert reason == "it made more than 300 files and folders"


def test_deleted_files_that_are_still_open_are_counted(tmp_path):
    source = """import os, time
kept = [open("x", "wb") for _ in range(2)]
os.unlink("x")
for stream in kept:
    stream.write(bytes(3_000_000)); stream.flush()
time.sleep(60)"""
    assert watch.run_watched([sys.executable, "-c", source], tmp_path, Watch(disk_mb=2)) == "it wrote more than 2 MB"


@pytest.mark.skipif(not cgroups.find_way(), reason="NOT RUN: no control group can be made here")
def test_shared_memory_counts_in_a_control_group(tmp_path):
    source = "import mmap, time\nparts = [mmap.mmap(-1, 50_000_000) for _ in range(9)]\nfor part in parts:\n    part.write(bytes(50_000_000))\ntime.sleep(60)"
    assert (
        watch.run_watched([sys.executable, "-c", source], tmp_path, Watch(memory_mb=200)) == "it took more than 200 MB of memory"
    )


@pytest.mark.parametrize(
    "name, shown",
    [
        (os.fsdecode("홍길동.ipynb".encode("cp949")), "홍길동.ipynb"),
        (os.fsdecode(b"\xff\xfe\x80.ipynb"), "\ufffd\ufffd\ufffd.ipynb"),
        ("a\x1b[2Jb", "a\ufffd[2Jb"),
        ("두 줄\n", "두 줄\ufffd"),
    ],
)
def test_any_name_can_be_shown(name, shown):
    assert grading.show(name) == shown
    shown.encode()


# ---- A class: one submission stops nobody ----


@pytest.fixture
def played(toy, tmp_path, monkeypatch):  # noqa: F811
    """A class of which no code is run: `play(student)` says what comes out."""
    assignment, submission = toy
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    calls, outcomes = [], {}

    def run(item, work, place):
        calls.append(item.student)
        (place / "feedback.html").write_text("page")
        (place / "visible").mkdir(exist_ok=True)
        found = outcomes[item.student]
        found = found.pop(0) if isinstance(found, list) else found
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(grading, "_run", run)
    monkeypatch.setattr(grading, "_prepare", lambda *arguments: {})

    def grade(retry=False, check=False, **results):
        outcomes.update(results)
        for student in results:
            if student != "solution" and not (folder / f"{student}.ipynb").exists():
                (folder / f"{student}.ipynb").write_text("{}")
        return {one.name: one for one in grading.grade_folder(folder, assignment, out, 2, Watch(), retry, check)}

    return SimpleNamespace(grade=grade, calls=calls, out=out, folder=folder)


def result(points=2.0, **more):
    return {"scores": {"test": points}, "max_scores": {"test": 2.0}, "missed": [], "remarks": [], **more}, ""


@pytest.mark.parametrize(
    "error", [RecursionError("x"), UnicodeEncodeError("utf-8", "x", 0, 1, "no"), KeyError("x"), OSError("full")]
)
def test_whatever_one_submission_raises_the_others_are_graded(played, error):
    found = played.grade(bad=error, good=result())
    assert found["good.ipynb"].result and found["bad.ipynb"].result is None
    assert re.search("grading it failed|writing its results", found["bad.ipynb"].refused)


def test_names_that_look_alike_are_kept_apart(played):
    played.grade(**{"s": result(2.0), "s.json": result(0.0), "S": result(2.0)})
    rows = {row["student"]: row["points"] for row in read_csv(played.out / "grades.csv")}
    assert rows == {"s": "2", "s.json": "0", "S": "2"}
    played.calls.clear()
    assert not any(one.fresh for one in played.grade().values()) and played.calls == []
    (played.folder / "s.ipynb").unlink()
    assert set(played.grade()) == {"S.ipynb", "s.json.ipynb"} and played.calls == []


def test_files_with_names_of_any_bytes_are_named_and_refused(played):
    for name in ["홍길동.ipynb".encode("cp949"), b"-1+cmd|calc.ipynb", b"\x1b[2J.ipynb"]:
        with open(os.path.join(os.fsencode(played.folder), name), "wb") as stream:
            stream.write(b"{}")
    found = played.grade(good=result())
    assert found["good.ipynb"].result and found["홍길동.ipynb"].refused.startswith("its name is no student id")
    text = (played.out / "not_graded.csv").read_text()
    assert "'-1+cmd|calc.ipynb" in text and "\x1b" not in text


def test_who_had_no_processor_is_graded_again_alone(played):
    slow = result(0.0, slow=["cell 'x'"], starved=True)
    found = played.grade(anna=[slow, result()], ben=result(0.0, slow=["cell 'x'"], starved=False))
    assert found["anna.ipynb"].points == (2, 2) and played.calls.count("anna") == 2
    assert found["ben.ipynb"].points == (0, 2) and played.calls.count("ben") == 1, "it had the processor all the time"
    played.calls.clear()
    played.grade(retry=True, ben=result())
    assert played.calls == ["ben"], "no time limit is the last word"


def test_where_the_solution_itself_loses_points_nobody_is_graded(played):
    broken = result(0.0, errors={"test": "ModuleNotFoundError: no keras"})
    with pytest.raises(
        GradingError, match=r"does not earn its points here, so nobody was graded: test \(ModuleNotFoundError: no k"
    ):
        played.grade(check=True, solution=broken, anna=result())
    assert "anna" not in played.calls and read_csv(played.out / "grades.csv") == []
    with pytest.raises(GradingError, match="nobody was graded: cell 'setup', which is given, failed"):
        played.grade(check=True, solution=(None, "cell 'setup', which is given, failed"))
    assert played.grade(check=True, solution=result())["anna.ipynb"].result


def test_what_a_killed_grading_left_is_ended_and_removed(played, tmp_path):
    played.grade(anna=result())
    left = tmp_path / "aeutils-grading-left"
    left.mkdir()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(left / "job.json")])
    (played.out / ".state" / "running").write_text(str(left))
    time.sleep(0.5)
    threading.Thread(target=child.wait).start()
    played.grade()
    assert not left.exists() and not psutil.pid_exists(child.pid) and not (played.out / ".state" / "running").exists()


# ---- Pages ----


def render(*cells):
    from nbconvert import HTMLExporter

    notebook = nbformat.v4.new_notebook(cells=list(cells))
    feedback.clean_outputs(notebook)
    return feedback.clean_page(HTMLExporter().from_notebook_node(notebook)[0], "title")


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
OVERLAY = '<div style="position:fixed;top:0" class="navbar-fixed-top fine">over</div><form action="http://e.com"><input></form>'


def test_pages_hold_no_handlers_no_scripts_and_nothing_from_elsewhere():
    metadata = {"image/png": {"width": "1 onerror=alert(1)", "height": 7}, "text/html": {"isolated": "x"}, "x": 1}
    picture = new_output("display_data", data={"image/png": PIXEL}, metadata=metadata)
    rich = new_output("display_data", data={"text/html": "<b>bold</b><script>alert(2)</script><img src='http://e.com/x.png'>"
                                            "<svg onload=alert(3)></svg><style>body{display:none}</style><iframe src=x></iframe>"})  # fmt: skip
    code = new_code_cell("1 < 2  # 한글", outputs=[picture, rich])
    words = new_markdown_cell(
        f"[x](javascript:alert(4)) [y](https://e.com/y) ![z](http://e.com/z.png) ![w](data:image/png;base64,{PIXEL})\n\n{OVERLAY}\n\n"
        "<a href='data:text/html,x'>d</a> <meta http-equiv=refresh content='0;url=http://e.com'><base href='http://e.com'>"
    )
    page = render(code, words)
    body = page.partition("<body>")[2]
    assert "한글" in body and "<b>bold</b>" in body and body.count(f"data:image/png;base64,{PIXEL}") == 2 and 'height="7"' in body
    assert 'href="https://e.com/y"' in body and "over" in body
    for bad in ("alert", "onerror", "onload", "javascript:", "<script", "<iframe", "<svg", "style=", "fixed", "<form", "<input", "<meta",
                "<base", "e.com/x.png", "e.com/z.png", "data:text", "isolated"):  # fmt: skip
        assert bad not in body, bad
    assert "default-src 'none'; img-src data:" in page and "http://" not in page.partition("<body>")[0].replace(
        "http://www.w3.org", ""
    )


def test_references_to_lost_pictures_do_not_stop_a_page():
    notebook = nbformat.v4.new_notebook(cells=[new_markdown_cell("![a](attachment:a.png) ![b](attachment:b.png)")])
    notebook.cells[0].attachments = {"b.png": {"image/png": PIXEL}}
    autograder.restore_attachments(notebook)
    assert notebook.cells[0].source == "![a](#lost-a.png) ![b](attachment:b.png)"
    assert PIXEL in render(*notebook.cells)


# ---- Submissions: points without an answer, harm, and honest work ----

LAST_LINE = """import ast
class Last(ast.NodeTransformer):
    def visit_Module(self, node):
        node.body = node.body[-1:]
        return node
get_ipython().ast_transformers.append(Last())
double = 0"""
EQUAL = """class Yes(int):
    def __eq__(self, other):
        return True
    __ne__ = __lt__ = __gt__ = __ge__ = __le__ = __eq__
    __hash__ = int.__hash__
def double(x):
    return Yes(0)"""
OWN_YES = """class Yes:
    __eq__ = __gt__ = lambda self, other: True
own = Yes()"""
BUILTINS = """import builtins, types
class Loose(dict):
    pass
vars(builtins)["AssertionError"] = type("Quiet", (BaseException,), {})
setattr(builtins, "float", lambda x: 4)
def double(x):
    raise SystemExit"""
FORGED = """import aeutils.classroom.answers as answers
own = answers.Answers.answer
def forged(self, message):
    if message["ask"] == "end":
        return own(self, message)
    self.send({"answer": ({"double": 4, "own": 1}, {})})
answers.Answers.answer = forged
def double(x):
    return 0"""
RECORD = """seen = []
def double(x):
    seen.append(x)
    open('/tmp/seen', 'a').write(f'{x} ')
    return 2 * x"""
SHOW_RECORD = """import os
print('SEEN', seen, os.path.exists('/tmp/seen') and open('/tmp/seen').read())
own = mine['number'] + 1"""
DEEP = """import os
place = os.path.dirname(get_ipython().config.IPKernelApp.connection_file)
os.chdir(place)
for _ in range(1500):
    os.makedirs('d', exist_ok=True)
    os.chdir('d')
os.chdir('/tmp')
def double(x):
    return 2 * x"""
HIDDEN_FILES = """import os, time
os.chdir(os.path.dirname(get_ipython().config.IPKernelApp.connection_file))
kept = []
for number in range(11):
    kept.append(open('x', 'wb'))
    os.unlink('x')
    kept[-1].write(bytes(60_000_000)); kept[-1].flush()
time.sleep(20)"""
MANY_FOLDERS = """import os, time
os.chdir('/tmp')
for number in range(30_000):
    os.mkdir(f'd{number}')
time.sleep(20)"""
HONEST = """# 두 배로 만드는 함수
import numpy as np
from typing import Any
import os
os.mkdir("results")  # also in the second run
def double(x: Any) -> np.float64:
    return np.float64(x) * 2"""
RIGHT = {"double": "def double(x):\n    return 2 * x"}
ATTACKS = {  # by id: cells that are replaced; points expected, or words of the refusal
    "last-line": ({"double": LAST_LINE, "own": "own = 1"}, (0, 0)),
    "equal": ({"double": EQUAL, "own": OWN_YES}, (0, 0)),
    "builtins": ({"double": BUILTINS}, (0, None)),
    "forged": ({"double": FORGED, "own": "own = 7"}, (0, 0)),
    "record": ({"double": RECORD, "own": SHOW_RECORD}, (2, 1)),
    "deep": ({"double": DEEP}, (2, 1)),
    "hidden-files": ({"double": HIDDEN_FILES}, "it wrote more than 200 MB|took more than"),
    "many-folders": ({"double": MANY_FOLDERS}, "it made more than 10,000 files and folders"),
    "breaks-setup": ({"id": "import sys\nsys.modules['aeutils.classroom'] = None\nstudent_id = 'breaks-setup'"}, "cell 'setup', which is given, failed"),
    "honest": ({"id": 'student_id: str = "honest"', "double": HONEST}, (2, 1)),
}  # fmt: skip


@pytest.fixture(scope="module")
def attacked(toy, tmp_path_factory):  # noqa: F811
    if not CONTAINED:
        pytest.skip(NOT_RUN)
    assignment, submission = toy
    folder, out = tmp_path_factory.mktemp("attacks"), tmp_path_factory.mktemp("attacks-out")
    for student, (cells, _) in ATTACKS.items():
        notebook = submission(student, **{name: source for name, source in cells.items() if name != "id"})
        if "id" in cells:
            notebook.cells[0].source = cells["id"]
        nbformat.write(notebook, folder / f"{student}.ipynb")
    colab = submission("colab")
    colab.metadata = nbformat.from_dict(
        {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    for cell in colab.cells:
        cell.metadata["id"], cell.metadata["colab"] = "x", {"base_uri": "y"}
    colab.cells.insert(0, new_markdown_cell("![lost](attachment:lost.png)"))
    text = nbformat.writes(colab)
    (folder / "colab.ipynb").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    code = submission("vscode", double="def double(x):\r\n    return 2 * x\r\n")
    for cell in code.cells:
        cell.pop("id", None)
        cell.metadata["vscode"] = {"languageId": "python"}
    code.nbformat_minor = 2
    (folder / "vscode.ipynb").write_text(json.dumps(code))
    outcomes = {
        one.name: one
        for one in grading.grade_folder(folder, assignment, out, 2, Watch(seconds=180, cell_seconds=30), check=False)
    }
    return SimpleNamespace(outcomes=outcomes, out=out)


@pytest.mark.slow
def test_attacks_earn_nothing_and_honest_work_earns_its_points(attacked):
    expected = {student: points for student, (_, points) in ATTACKS.items()} | {"colab": (2, 1), "vscode": (2, 1)}
    for student, points in expected.items():
        outcome = attacked.outcomes[f"{student}.ipynb"]
        if isinstance(points, str):
            assert outcome.result is None and re.search(points, outcome.refused), (student, outcome)
            continue
        assert outcome.result, (student, outcome.refused)
        given = outcome.result["scores"]["test_double"], outcome.result["scores"]["test_own"]
        assert all(a == b for a, b in zip(given, points) if b is not None), (student, outcome.result)


@pytest.mark.slow
def test_what_hidden_tests_call_with_is_not_on_the_page(attacked):
    page = (attacked.out / "feedback" / "record.html").read_text()
    assert "SEEN [2, 2, 2]" in page or "SEEN [2, 2]" in page or "SEEN [2]" in page
    assert "21" not in re.search("SEEN.*", page).group() and SECRET not in page


def test_an_outcome_says_whether_it_was_starved():
    assert Outcome("a", {"starved": True}).starved and not Outcome("a", None).starved and not Outcome("a", {}).starved


@pytest.mark.parametrize(
    "source, refused",
    [
        ('student_id: str = "s1"', ""),
        ('student_id = "s1"\r', ""),
        ('student_id: str = "s2"', "the student id inside is 's2'"),
        ("student_id: str", "it has no line with the student id"),
        ("student_id: str = (1", "it has no line with the student id"),
    ],
)
def test_the_line_with_the_id(source, refused):
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell(source)])
    if refused:
        with pytest.raises(autograder.SubmissionError, match=re.escape(refused)):
            autograder.check_student(notebook, "s1")
    else:
        autograder.check_student(notebook, "s1")


def test_the_plan_ends_with_the_last_test_and_names_answers(toy):  # noqa: F811
    assignment, submission = toy
    notebook = submission("s1")
    notebook.cells.insert(3, new_code_cell("extra = 1"))
    plan = autograder.make_plan(nbformat.read(assignment.notebook, as_version=4), notebook)
    assert [step["kind"] for step in plan] == ["answer", "given", "answer", "answer", "test", "answer", "test"]
    assert plan[4]["answers"] == {"all": ["double"], "last": ["double"]} and SECRET in plan[4]["source"]
    assert plan[6]["answers"] == {"all": ["double", "own"], "last": ["own"]}
    assert named(notebook, "test_double").source != plan[4]["source"]
