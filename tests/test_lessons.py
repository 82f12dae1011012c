"""Whole lessons through the command, in a clone with nothing beside it."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest

from aeutils.running import reports

from conftest import NOTEBOOKS, REPOSITORY, read_checked

LESSONS = [path for path in NOTEBOOKS if path.parent.name == "notebooks"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    for name in ("aeutils", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    return folder


def _run_in(clone, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    return subprocess.run(
        [sys.executable, "-m", "aeutils", "run", *arguments], cwd=clone, env=environment, capture_output=True, text=True
    )


def _smoke(*extra):
    given = {"epochs": 1, "limit": 500, "code_sizes": "[2]", "n_seeds": 1, "min_steps": 0}
    return [word for name, value in given.items() for word in ("-p", name, str(value))] + list(extra)


def _metrics(clone, out):
    (run,) = reports.read_runs(clone / out)
    return run.dataset, run.metrics


@pytest.mark.slow
def test_offline_default_falls_back_to_digits_and_says_so(clone):
    done = _run_in(clone, "01", "--out", "first", *_smoke())
    assert done.returncode == 0, done.stderr
    dataset, metrics = _metrics(clone, "first")
    assert dataset == "digits" and metrics["test_mse"] > 0
    outputs = json.dumps(
        [cell.get("outputs") for cell in nbformat.read(clone / "first" / "01_basic_autoencoder.ipynb", as_version=4).cells]
    )
    assert outputs.count("fashion_mnist is not on this computer") == 1
    assert '"name": "stderr"' not in outputs, "nothing but results in the notebook"
    # And again: same seed, same figures, to the last bit.
    assert _run_in(clone, "01", "--out", "second", *_smoke("-p", "dataset", "digits")).returncode == 0
    assert _metrics(clone, "second")[1] == metrics


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["colour without labels", "grey with labels"])
def test_notebook_01_runs_on_a_users_own_file(clone, kind):
    rng = np.random.default_rng(0)
    x = np.zeros((300, 20, 24), np.uint8)
    for image in x:  # a bright box somewhere
        top, left = rng.integers(0, 12, 2)
        image[top : top + 8, left : left + 8] = rng.integers(100, 255)
    arrays = (
        {"x_train": np.repeat(x[..., None], 3, axis=-1)}
        if kind.startswith("colour")
        else {"x_train": x, "y_train": np.arange(300) % 2}
    )
    np.savez(clone / "boxes.npz", **arrays)
    done = _run_in(
        clone,
        "01",
        "--out",
        kind.split()[0],
        *_smoke("-p", "dataset", "boxes.npz", "-p", "latent_dim", "8", "-p", "epochs", "20"),
    )
    assert done.returncode == 0, done.stderr
    dataset, metrics = _metrics(clone, kind.split()[0])
    assert dataset == "boxes" and metrics["test_mse"] < metrics["mean_image_test_mse"]


# What each lesson has to reach on the embedded digits with its default parameters: orderings with wide margins, because the last
# digits of a trained loss differ between machines.
CLAIMS = {
    "01": lambda m: m["test_mse"] < m["pca_test_mse"] < m["mean_image_test_mse"],
    "02": lambda m: (
        m["val_mse_at_once"] > 0.95 * m["mean_image_val_mse"]  # at once it learns the mean image and no more
        and m["val_mse_pretrained"] < 0.6 * m["val_mse_at_once"]
        and m["val_mse_relu_at_once"] < m["val_mse_pretrained"]
        and m["first_layer_gradient_pretrained"] > 100 * m["first_layer_gradient_fresh"]
    ),
    "03": lambda m: (
        m["unet_test_psnr"] > m["ridge_test_psnr"] > m["noisy_test_psnr"] + 6
        and min(m["conv_test_psnr"], m["conv_long_test_psnr"]) > m["noisy_test_psnr"] + 6  # no network has died
        and m["salt_and_pepper_unet_psnr"] > max(m["salt_and_pepper_ridge_psnr"], m["salt_and_pepper_median_psnr"])
        and m["super_resolution_gain"] > 4
    ),
    "04": lambda m: (
        m["mean_auroc"] > m["mean_image_mean_auroc"] + 0.01
        and m["false_alarms_memorised"] > 0.5 > 0.1 > m["false_alarms"]
        and min(m["breast_cancer_auroc"], m["breast_cancer_auroc_network"]) > 0.88
        and m["sensors_auroc"] > m["sensors_auroc_length"] + 0.2  # no value of a broken sensor is unusual by itself
    ),
    "05": lambda m: (
        m["accuracy_pseudo_labels"] > m["logistic_regression_pixels"]
        and m["dense_rescaled_short"] > m["dense_pretrained_short"] + 0.1  # large codes were the reason
        and m["dense_scratch_long"] > m["dense_scratch_short"]
    ),
    "06": lambda m: (
        m["val_mse"] < m["val_mse_pca"]
        and m["mean_angle"] < m["mean_angle_random"] - 20
        and m["logistic_invariant_60_labels"] > m["logistic_raw_60_labels"]
        and m["motion_invariant"] < m["motion_undeformed"]
    ),
    "07": lambda m: (
        min(m["precision_long_bits"], m["precision_itq_long"]) > m["precision_pca_signs_long"]
        and m["precision_short_bits"] > 3 * m["precision_guess"]
        and m["memory_times_less"] > 50
    ),
    "08": lambda m: (
        m["test_mse_top_k"] < m["test_mse_pca"]
        # the code without a constraint passes on more of the noise than top-k does
        and m["noise_copied"] < 0.8 * m["noise_copied_top_k"]
        and m["dead"] < m["dead_naive"]
        and m["shrinkage_l1"] > m["shrinkage_top_k"]
        and m["val_mse_kl"] < m["val_mse_kl_active"]
    ),
    "09": lambda m: (
        m["miou_unet"] > max(m["miou_plain"], m["miou_plain_equal_time"]) > m["miou_background"]
        and m["accuracy_unet"] > m["accuracy_background"]
        and m["miou_cut_all"] < m["miou_unet_val"]
    ),
    "10": lambda m: (
        m["elbo_test"] < m["iw500_test"]
        and m["nats_bernoulli"] + 30 < m["nats_mixture_chosen"] < m["iw500_test"] - 10
        and m["rate_collapsed"] < 2 < 10 < m["rate_relu_warm_up"]
        and m["recognised_conditional_beta_1"] < m["recognised_conditional"] < m["judge_accuracy"]
        and m["frechet_floor"] < m["frechet_vae_mixture"] < m["frechet_vae"]  # the decoder is better than its codes
    ),
    "11": lambda m: (
        m["exact_stem"] > 0.3
        and m["exact_one_more_stem"] < m["exact_stem"]
        and m["cache_error"] < 1e-2
        and m["cache_same"] > 0.99
        and m["attention_on_digit_stem"] > m["attention_chance_stem"]
    ),
    "12": lambda m: (
        m["test_mse"] < m["pca_test_mse"] < m["mean_image_test_mse"]
        and m["perplexity_restart"] > 1.5 * max(m["perplexity_gradient"], m["perplexity_no_restart"])
        and m["bits_transformer"] < min(m["bits_unigram"], m["bits_bigram"], m["bits_place"])
        and m["both_prior"] > m["both_cells"]
        and m["class_agreement"] > 0.8
        and m["completed_own"] > m["completed_none"]
    ),
}


# Where the default run takes too long for a test, what is made shorter.
SHORTER = {
    "03": {"min_steps": 500, "n_side": 2500},
    "06": {"n_seeds": 1},
    "07": {"n_seeds": 1, "n_augmented": 20000},
    "08": {"min_steps": 300, "n_seeds": 1},
    "09": {"n_scenes": 1500, "n_eval": 100},
    "10": {"min_steps": 400},
    "11": {"n_steps": 400, "n_strips": 300, "mae_steps": [100], "tune_steps": 50},
    "12": {"min_steps": 400, "n_samples": 200},
}


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson_reaches_its_claims_on_digits_at_default_parameters(clone, path):
    number = path.stem[:2]
    assert number in CLAIMS, "say here what the lesson has to reach"
    shorter = [word for name, value in SHORTER.get(number, {}).items() for word in ("-p", name, str(value))]
    done = _run_in(clone, number, "--out", f"default_{number}", "-p", "dataset", "digits", *shorter)
    assert done.returncode == 0, done.stdout + done.stderr
    dataset, metrics = _metrics(clone, f"default_{number}")
    assert dataset == "digits" and all(value is not None for value in metrics.values()), "nothing has diverged"
    assert CLAIMS[number](metrics), metrics
    executed = nbformat.read(clone / f"default_{number}" / path.name, as_version=4)
    assert read_checked(executed) == read_checked(nbformat.read(path, as_version=4)), "what is the same on any machine and data"
    printed = [output for cell in executed.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert not printed, "nothing but results in the notebook"
