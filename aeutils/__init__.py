"""Helpers of the autoencoder notebooks: what a lesson needs but does not teach."""

from aeutils.datasets import Dataset, load_dataset

__version__ = "2.0.0.dev0"
__all__ = ["Dataset", "load_dataset"]
