"""Layers that tests put in the place of a student's own, and that pass between the judge and the student's kernel."""

import keras
from keras import layers, ops


class Darken(layers.Layer):
    """In training, takes an amount from all pixels and sets a share of them to 0; counts its batches in ``batches``.

    Parameters
    ----------
    amount : float
    masked : float
        The share of pixels that are set to 0, drawn anew for each batch.
    seed : int
    """

    def __init__(self, amount=0.0, masked=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.amount, self.masked, self.seed = amount, masked, seed
        self.generator = keras.random.SeedGenerator(seed)
        self.batches = self.add_weight(shape=(), initializer="zeros", trainable=False, name="batches")

    def call(self, x, training=False):
        if training:
            self.batches.assign_add(1)
            kept = keras.random.uniform(ops.shape(x), seed=self.generator) >= self.masked
            x = ops.where(kept, x - self.amount, 0.0)
        return x

    def get_config(self):
        return {**super().get_config(), "amount": self.amount, "masked": self.masked, "seed": self.seed}
