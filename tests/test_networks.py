import numpy as np
import pytest

from aeutils.networks import build_conv_decoder, build_conv_encoder, scale_units


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (5, 9, 1)])
def test_encoder_and_decoder_mirror_each_other(shape):
    encoder, decoder = build_conv_encoder(shape, 7, filters=4), build_conv_decoder(shape, 7, filters=4)
    x = np.random.default_rng(0).random((2, *shape), np.float32)
    z = encoder(x)
    assert z.shape == (2, 7)
    x_hat = np.asarray(decoder(z))
    assert x_hat.shape == x.shape and 0 <= x_hat.min() and x_hat.max() <= 1
    assert (encoder.name, decoder.name) == ("encoder", "decoder"), "as the dense ones of notebook 01"


@pytest.mark.parametrize("shape", [(3, 8, 1), (140,)])
@pytest.mark.parametrize("build", [build_conv_encoder, build_conv_decoder])
def test_shapes_without_pixels_are_refused(build, shape):
    with pytest.raises(ValueError, match="expected .height, width, channels., at least 4x4 pixels"):
        build(shape, 7)


def test_hidden_units_never_shrink():
    assert [scale_units(100, (side, side, 1)) for side in (8, 28, 56)] == [100, 100, 200]
