"""Typical mistakes in assignments 04 and 05 cost the points of their own tasks, and no others."""

import nbformat
import pytest

from aeutils import classroom
from aeutils.__main__ import main

from test_classroom import read_csv, solve

MISTAKES = {  # assignment: {submission: {task that loses its points: (what was right, what stands there)}}
    "04_anomaly_detection": {
        "careless": {
            "test_pick_normal": ("y == normal_class", "y != normal_class"),
            "test_compute_score": ("return np.mean(np.square(x - x_hat), axis=1)", "return np.sum(np.square(x - x_hat), axis=1)"),
            "test_choose_threshold": ("1 - false_alarm_rate", "false_alarm_rate"),
            "test_judge": ("flagged[is_anomaly].mean()", "is_anomaly[flagged].mean()"),
            "test_compute_auroc": ("score[is_anomaly][:, None] - score[~is_anomaly]", "score[~is_anomaly][:, None] - score[is_anomaly]"),
            "test_compute_precision": ("share * recall, (1 - share) * false_alarms", "recall, false_alarms"),
        },
        "hasty": {
            "test_build_autoencoder": (', activation="sigmoid"', ""),
            "test_compute_score": ("np.mean(np.square(x - x_hat), axis=1) / (ink + 0.01)", "np.mean(np.square(x - x_hat)) / (ink.mean() + 0.01)"),
            "test_score_by_distance": ("x_normal.mean(axis=0)", "x.mean(axis=0)"),
            "test_run_detector": (
                "compute_score(x_held_out, autoencoder.predict(x_held_out, verbose=0))",
                "compute_score(x_normal, autoencoder.predict(x_normal, verbose=0))",
            ),
            "test_my_numbers": ("pick_normal(data.x_val, data.y_val,", "pick_normal(data.x_train, data.y_train,"),
        },
        "leaky": {  # only hidden tests see them: trained on what sets the threshold, typed in, a number of somebody else's
            "test_run_detector": (
                "autoencoder.fit(x_normal, x_normal,",
                "x_normal = np.concatenate([x_normal, x_held_out])\n    autoencoder.fit(x_normal, x_normal,",
            ),
            "test_compute_auroc": ("return float(np.mean(difference > 0)", "return 0.75 if np.ptp(score) > 0 else 0.5\n    return float(np.mean(difference > 0)"),
            "test_my_numbers": ('mine["latent_dim"]', "9"),
        },
        "forgetful": {"test_run_detector": ("keras.utils.set_random_seed(seed)", "pass")},
    },
    "05_pretrain_finetune": {
        "careless": {
            "test_choose_labelled": ("default_rng(seed)", "default_rng(0)"),
            "test_rescale": ("(bias - z.mean(axis=0)) / deviation", "bias / deviation"),
            "test_train_classifier": ("classifier.layers[0].trainable = not frozen", "pass"),
            "test_measure_accuracy": ("np.mean(p.argmax(axis=1) == y)", "np.sum(p.argmax(axis=1) == y)"),
            "test_train_three": ("transfer(pretrained, encoder)", "pass"),
            "test_describe_gain": ("ddof=1", "ddof=0"),
        },
        "hasty": {
            "test_build_classifier": (', activation="softmax"', ""),
            "test_pretrain": ("keras.Sequential([encoder, decoder])", "keras.Sequential([keras.models.clone_model(encoder), decoder])"),
            "test_transfer": ("target.set_weights(source.get_weights())", "source.set_weights(target.get_weights())"),
            "test_train_classifier": ("classifier.layers[0].trainable = not frozen", "if frozen:\n        classifier.layers[0].trainable = False"),
            "test_my_numbers": ("classifier, data.x_test, data.y_test", "classifier, data.x_val, data.y_val"),
        },
        "leaky": {  # only hidden tests see them: no seed, typed in, few images pretrained on, a number of somebody else's
            "test_pretrain": ("keras.utils.set_random_seed(seed)\n    decoder", "decoder"),
            "test_measure_accuracy": ("float(np.mean(p.argmax(axis=1) == y))", "0.75"),
            "test_train_three": ("pretrain(pretrained, x, seed)", "pretrain(pretrained, x_labelled, seed)"),
            "test_my_numbers": ('mine["latent_dim"]', "30"),
        },
        "forgetful": {  # one deviation for all units; one encoder for all classifiers
            "test_rescale": ("z.std(axis=0) > 0, z.std(axis=0), 1", "z.std() > 0, z.std(), 1"),
            "test_train_three": ("encoder = build_encoder(x.shape[1:], hidden_units, latent_dim)\n        if", "encoder = pretrained\n        if"),
        },
    },
}


@pytest.fixture(scope="module", params=MISTAKES)
def real(request, tmp_path_factory):
    """(assignment, rows of grades by student, folder of results)."""
    name = request.param
    made, folder, out = (tmp_path_factory.mktemp(part) for part in ("made", "submissions", "grades"))
    assert main(["assignments", name, "--out", str(made)]) == 0
    release, source = made / "release" / name / f"{name}.ipynb", classroom.SOURCES / name / f"{name}.ipynb"
    nbformat.write(solve(release, source, "solved"), folder / "solved.ipynb")
    (folder / "untouched.ipynb").write_bytes(release.read_bytes())
    for student, mistakes in MISTAKES[name].items():
        notebook = solve(release, source, student)
        for right, wrong in mistakes.values():
            answers = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution") and right in cell.source]
            assert len(answers) == 1, right
            answers[0].source = answers[0].source.replace(right, wrong)
        nbformat.write(notebook, folder / f"{student}.ipynb")
    assert main(["grade", str(folder), "--assignment", name, "--out", str(out)]) == 0
    return name, {row["student"]: row for row in read_csv(out / "grades.csv")}, out


def test_full_solution_earns_all_points_but_those_that_a_person_gives(real):
    row = real[1]["solved"]
    assert (row["points"], row["possible"], row["still_to_read"], row["remarks"]) == ("15", "20", "2", "")


def test_untouched_student_version_fails_each_visible_test_for_want_of_an_answer(real):
    _, rows, out = real
    assert rows["untouched"]["points"] == "0" and rows["untouched"]["still_to_read"] == "0"
    (path,) = (out / ".state" / "untouched").rglob("autograded/*/*/*.ipynb")
    errors = {
        cell.metadata.nbgrader.grade_id: [output.evalue for output in cell.outputs if output.output_type == "error"]
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
    }
    (own,) = errors.pop("test_my_numbers")
    assert own.startswith("my_") and own.endswith(" is not there yet")
    assert errors and all(error == ["your code here"] for error in errors.values())


def test_mistakes_cost_their_own_points_and_no_others(real):
    name, rows, _ = real
    for student, mistakes in MISTAKES[name].items():
        tasks = {task: float(points) for task, points in rows[student].items() if task.startswith("test_")}
        assert {task for task, points in tasks.items() if points == 0} == set(mistakes), student
        full = sum(float(rows["solved"][task]) for task in tasks if task not in mistakes)
        assert float(rows[student]["points"]) == full, student


def test_feedback_has_no_hidden_test(real):
    for student in real[1]:
        page = (real[2] / "feedback" / f"{student}.html").read_text()
        assert not [word for word in ("stand_ins", "right_score", "known_pretrain", "setdefault", "HIDDEN") if word in page], student
