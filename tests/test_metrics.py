import numpy as np
import pytest

from aeutils.metrics import compute_mse, count_png_bytes, reconstruct_with_pca


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
