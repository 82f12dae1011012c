import numpy as np
import pytest

from aeutils.corruption import add_gaussian_noise, add_salt_and_pepper, mask_pixels

GREY = np.full((4, 50, 40, 1), 0.5)
ALL = [(add_gaussian_noise, 0.1), (add_salt_and_pepper, 0.2), (mask_pixels, 0.3)]


@pytest.mark.parametrize(("corrupt", "amount"), ALL)
def test_shape_dtype_range_and_the_same_seed_twice(corrupt, amount):
    x = np.random.default_rng(0).random((3, 5, 7, 3))
    before = x.copy()
    noisy = corrupt(x, amount, seed=1)
    assert noisy.shape == x.shape and noisy.dtype == np.float32
    assert noisy.min() >= 0 and noisy.max() <= 1
    assert np.array_equal(noisy, corrupt(x, amount, seed=1)) and not np.array_equal(noisy, corrupt(x, amount, seed=2))
    assert np.array_equal(x, before), "the clean images stay as they are"


@pytest.mark.parametrize(("corrupt", "amount"), ALL)
def test_nothing_happens_at_zero(corrupt, amount):
    assert np.array_equal(corrupt(GREY, 0), GREY.astype(np.float32))


def test_gaussian_noise_has_its_standard_deviation_where_nothing_is_clipped():
    noise = add_gaussian_noise(GREY, 0.1) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.03) and abs(noise.mean()) < 0.005


def test_gaussian_noise_on_black_is_clipped_for_half_of_the_pixels():
    noisy = add_gaussian_noise(np.zeros((100, 100)), 0.5)
    assert np.mean(noisy == 0) == pytest.approx(0.5, abs=0.03)
    assert noisy.mean() > 0.15, "and has no mean of 0 any more"


def test_salt_and_pepper_in_equal_parts_and_the_rest_untouched():
    noisy = add_salt_and_pepper(GREY, 0.2)
    assert [np.mean(noisy == value) for value in (0, 1)] == pytest.approx([0.1, 0.1], abs=0.015)
    assert set(np.unique(noisy)) == {0, 0.5, 1}
    assert set(np.unique(add_salt_and_pepper(GREY, 1))) == {0, 1}


def test_masked_pixels_are_black_and_the_rest_untouched():
    noisy = mask_pixels(GREY, 0.3)
    assert np.mean(noisy == 0) == pytest.approx(0.3, abs=0.02) and set(np.unique(noisy)) == {0, 0.5}
    assert not mask_pixels(GREY, 1).any()


@pytest.mark.parametrize(("corrupt", "amount"), ALL)
@pytest.mark.parametrize("x", [np.array([0.0, 255.0]), np.array([-0.1]), np.array([np.nan]), np.zeros((0, 2))])
def test_images_must_lie_between_0_and_1(corrupt, amount, x):
    with pytest.raises(ValueError, match=r"x: expected at least one image with values in \[0, 1\], got"):
        corrupt(x, amount)


@pytest.mark.parametrize("corrupt", [add_salt_and_pepper, mask_pixels])
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_0_and_1(corrupt, share):
    with pytest.raises(ValueError, match="share=.*: expected a number from 0 to 1"):
        corrupt(GREY, share)


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_sigma_is_not_negative(sigma):
    with pytest.raises(ValueError, match="sigma=.*: expected 0 or more"):
        add_gaussian_noise(GREY, sigma)
