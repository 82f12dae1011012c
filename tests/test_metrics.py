import numpy as np
import pytest

from aeutils.metrics import compress_jpeg, compute_mse, compute_psnr, compute_ssim, count_png_bytes, reconstruct_with_pca


def test_mse_by_hand():
    x = np.zeros((2, 1, 2, 1), np.float32)
    x_hat = np.array([0.0, 0.2, 0.4, 0.4], np.float32).reshape(x.shape)
    assert compute_mse(x, x_hat, per_image=True) == pytest.approx([0.02, 0.16])
    assert compute_mse(x, x_hat) == pytest.approx(0.09)
    assert isinstance(compute_mse(x, x_hat), float)


def test_mse_of_integers_does_not_wrap_around():
    assert compute_mse(np.array([[0]], np.uint8), np.array([[255]], np.uint8)) == 255**2


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1), (0, 2)])
def test_mse_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="expected the same shape with at least one image"):
        compute_mse(np.zeros((3, 2)) if shape[0] else np.zeros(shape), np.zeros(shape))


def test_pca_is_exact_on_a_subspace_and_the_mean_alone_without():
    rng = np.random.default_rng(0)
    x = (0.5 + 0.1 * rng.standard_normal((50, 2)) @ rng.standard_normal((2, 12)) / 4).reshape(50, 4, 3, 1).astype(np.float32)
    assert np.allclose(reconstruct_with_pca(x, x, 2), x, atol=1e-5)
    error = [compute_mse(x, reconstruct_with_pca(x, x, n)) for n in (1, 2)]
    assert error[0] > 100 * error[1]
    assert reconstruct_with_pca(x, x[:7], 1).shape == (7, 4, 3, 1)


def test_pca_is_clipped_and_limited_to_what_there_is():
    x = np.random.default_rng(0).integers(0, 2, (6, 2, 2, 1)).astype(np.float32)
    x_hat = reconstruct_with_pca(x, x, 1000)
    assert np.allclose(x_hat, x, atol=1e-5) and x_hat.min() >= 0 and x_hat.max() <= 1
    coarse = reconstruct_with_pca(x, 3 * x, 1)
    assert coarse.min() >= 0 and coarse.max() <= 1


def test_png_bytes_follow_the_content():
    flat = np.zeros((1, 28, 28, 1))
    noise = np.random.default_rng(0).random((1, 28, 28, 1))
    colour = np.random.default_rng(0).random((1, 28, 28, 3))
    sizes = [int(count_png_bytes(x)[0]) for x in (flat, noise, colour)]
    assert sizes[0] < 100 < 28 * 28 < sizes[1] < 28 * 28 * 3 < sizes[2]


def test_psnr_by_hand_and_its_mean_is_over_images():
    x = np.zeros((2, 4, 5, 1), np.float32)
    x_hat = np.stack([np.full((4, 5, 1), 0.1), np.full((4, 5, 1), 1.0)]).astype(np.float32)
    assert compute_psnr(x, x_hat, per_image=True) == pytest.approx([20, 0], abs=1e-4)
    assert compute_psnr(x, x_hat) == pytest.approx(10, abs=1e-4) and isinstance(compute_psnr(x, x_hat), float)
    assert compute_psnr(x, x) == np.inf


def test_ssim_is_1_for_equal_images_and_falls_with_noise():
    x = np.random.default_rng(0).random((2100, 12, 13, 1)).astype(np.float32)  # more than two batches
    slightly, strongly = (np.clip(x + s * np.random.default_rng(1).standard_normal(x.shape), 0, 1) for s in (0.05, 0.5))
    assert compute_ssim(x, x) == pytest.approx(1, abs=1e-5)
    assert 1 > compute_ssim(x, slightly) > compute_ssim(x, strongly)
    per_image = compute_ssim(x, slightly, per_image=True)
    assert per_image.shape == (2100,) and per_image.mean() == pytest.approx(compute_ssim(x, slightly), abs=1e-6)


def test_ssim_of_flat_images_by_hand():
    x, x_hat = np.full((1, 11, 11, 1), 0.5), np.full((1, 11, 11, 1), 0.25)
    c1 = 0.01**2  # without any contrast only the term of the brightness is left
    assert compute_ssim(x, x_hat) == pytest.approx((2 * 0.5 * 0.25 + c1) / (0.5**2 + 0.25**2 + c1), abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (1, 5, 30, 3), (1, 1, 1, 1)])
def test_ssim_takes_images_smaller_than_its_window(shape):
    assert compute_ssim(np.full(shape, 0.3), np.full(shape, 0.3)) == pytest.approx(1)


@pytest.mark.parametrize("compute", [compute_psnr, compute_ssim])
@pytest.mark.parametrize("shapes", [((2, 8, 8, 1), (3, 8, 8, 1)), ((0, 8, 8, 1),) * 2, ((2, 64), (2, 64))])
def test_psnr_and_ssim_refuse_other_shapes(compute, shapes):
    with pytest.raises(ValueError, match=r"expected the same shape \(n, height, width, channels\), at least one image"):
        compute(*map(np.zeros, shapes))


def test_jpeg_is_small_and_near_the_image():
    ramp = np.linspace(0, 1, 32 * 32 * 3).reshape(1, 32, 32, 3).repeat(2, axis=0)
    n_bytes, decoded = compress_jpeg(ramp, 90)
    assert n_bytes.shape == (2,) and n_bytes.dtype == np.int64 and n_bytes[0] == n_bytes[1] < ramp[0].size
    assert decoded.shape == ramp.shape and decoded.dtype == np.float32 and 0 <= decoded.min() and decoded.max() <= 1
    assert compute_mse(ramp, decoded) < 0.001 < compute_mse(ramp, compress_jpeg(ramp, 1)[1])
