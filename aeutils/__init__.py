"""Helpers of the autoencoder notebooks: what a lesson does not teach.

Import this package before Keras: it keeps TensorFlow's start-up lines out of the notebook, and lets Python end at once.
It does nothing else.
"""

import atexit
import gc
import importlib.abc
import importlib.util
import logging
import os
import sys
from contextlib import contextmanager

from aeutils.datasets import Dataset, load_dataset

__all__ = ["Dataset", "load_dataset"]


@contextmanager
def _stderr_to_devnull():
    # TensorFlow's C++ code writes to file descriptor 2 before its own log level is in force,
    # so replacing sys.stderr is not enough.
    sys.stderr.flush()
    saved, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(devnull)


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Wraps the loader of `tensorflow`, so that its first import is quiet whenever it comes, and costs nothing until then."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None:
            load = spec.loader.exec_module

            def load_quietly(module):
                with _stderr_to_devnull():
                    load(module)
                    module.config.list_physical_devices()  # the complaint about a missing GPU comes with the first look for one
                # A notebook that trains several models traces several graphs; TensorFlow warns of each beyond the fourth.
                logging.getLogger("tensorflow").addFilter(lambda line: "retracing" not in line.getMessage())

            spec.loader.exec_module = load_quietly
        return spec


# Someone who sets another TF_CPP_MIN_LOG_LEVEL wants to decide for themselves.
if "tensorflow" not in sys.modules and os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
    sys.meta_path.insert(0, _QuietTensorFlow())

# Before it ends, Python looks through the million objects of TensorFlow for unused ones, more than once: one to three seconds
# at the end of each kernel. Frozen ones are not looked at.
atexit.register(gc.freeze)
