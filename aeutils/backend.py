"""TensorFlow and Keras, imported without TensorFlow's start-up lines.

TensorFlow prints several lines to stderr when it is first imported. This module imports it quietly, so import it, or a module
that uses it such as `aeutils.training`, before Keras. If the import fails, everything that TensorFlow printed is shown. To
see the lines always, set the environment variable ``TF_CPP_MIN_LOG_LEVEL`` to ``0``.
"""

import atexit
import gc
import logging
import os
import sys
import tempfile
from contextlib import contextmanager

from aeutils.errors import UserError


class BackendError(UserError, ImportError):
    """Keras is set to another backend than TensorFlow."""


@contextmanager
def _stderr_held_back():
    """Hold back everything written to stderr, also by C++ code; show it if the block raises."""
    if sys.stderr is not None:
        sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)  # replacing sys.stderr is not enough: C++ writes to the file descriptor
        failed = True
        try:
            yield
            failed = False
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                held.seek(0)
                os.write(2, held.read())


def _check(name, origin):
    if name != "tensorflow":
        raise BackendError(
            f"Keras is set to the backend {name!r} ({origin}), but this course runs on TensorFlow: "
            "set KERAS_BACKEND=tensorflow before Python starts, or remove the setting, and restart the kernel"
        )


_check(os.environ.get("KERAS_BACKEND") or "tensorflow", "environment variable KERAS_BACKEND")

if "tensorflow" not in sys.modules and os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
    with _stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the line about a missing GPU comes with the first look for one
else:
    import tensorflow as tf
import keras

_check(keras.backend.backend(), "Keras's configuration file keras.json")


def _is_no_retracing_warning(record):
    return "retracing" not in record.getMessage()


# A notebook builds several models, and each is a graph of its own; TensorFlow warns about every one after the fourth.
logging.getLogger("tensorflow").addFilter(_is_no_retracing_warning)

# At its end, Python searches all objects for unused ones several times. With TensorFlow's million objects this takes one to
# three seconds in every kernel. Frozen objects are not searched.
atexit.register(gc.freeze)

__all__ = ["BackendError", "keras", "tf"]
