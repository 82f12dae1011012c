"""Networks that a lesson offers as an option but does not teach: a convolutional encoder and decoder for photographs."""

import math

from aeutils.backend import keras

layers = keras.layers


def scale_units(units, image_shape):
    """Fit the units of a hidden layer to the size of an image: `units` for 784 values, more for larger images.

    They grow with the square root of the number of values, so that a dense network for images of four times as many
    values has eight times as many weights.

    Examples
    --------
    >>> scale_units(256, (28, 28, 1)), scale_units(256, (32, 32, 3)), scale_units(256, (8, 8, 1))
    (256, 507, 256)
    """
    return round(units * math.sqrt(max(1, math.prod(image_shape) / 784)))


def build_conv_encoder(image_shape, latent_dim, filters=24):
    """Build a convolutional encoder: two convolutions with stride 2, then a dense layer without activation.

    Dense layers learn each place of an image anew; convolutions use the same weights everywhere, which suits
    photographs, where the same edges and textures occur in all places.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels), 4x4 pixels or more.
    latent_dim : int
        Units of the code.
    filters : int
        Channels after the first convolution; twice as many after the second.

    Returns
    -------
    keras.Sequential
        From images (n, height, width, channels) to codes (n, latent_dim).

    References
    ----------
    Masci, Meier, Ciresan, Schmidhuber 2011, ICANN (convolutional autoencoders). An option of notebook 01.
    """
    _check_shape(image_shape)
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(filters, 4, strides=2, padding="same", activation="elu"),
            layers.Conv2D(2 * filters, 4, strides=2, padding="same", activation="elu"),
            layers.Flatten(),
            layers.Dense(latent_dim),
        ],
        name="encoder",
    )


def build_conv_decoder(image_shape, latent_dim, filters=24):
    """Build the mirror image of `build_conv_encoder`: a dense layer, then two transposed convolutions, then a sigmoid.

    Parameters are those of `build_conv_encoder`. A height or width that is no multiple of 4 is made a little larger
    inside and cropped at the end.

    Returns
    -------
    keras.Sequential
        From codes (n, latent_dim) to images (n, height, width, channels) in [0, 1].
    """
    _check_shape(image_shape)
    height, width, channels = image_shape
    rows, columns = -(-height // 4), -(-width // 4)
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(rows * columns * 2 * filters, activation="elu"),
            layers.Reshape((rows, columns, 2 * filters)),
            layers.Conv2DTranspose(filters, 4, strides=2, padding="same", activation="elu"),
            layers.Conv2DTranspose(channels, 4, strides=2, padding="same", activation="sigmoid"),
            *([layers.CenterCrop(height, width)] if (4 * rows, 4 * columns) != (height, width) else []),
        ],
        name="decoder",
    )


def _check_shape(image_shape):
    if len(image_shape) != 3 or min(image_shape[:2]) < 4:
        raise ValueError(f"image_shape={tuple(image_shape)}: expected (height, width, channels), at least 4x4 pixels")
