"""In the kernel of a student: answer what the judge asks. See `aeutils.classroom.exchange`.

This runs beside the student's code, which can change all of it. Nothing here is trusted by the judge.
"""

import os
import sys
import tempfile

import numpy as np

from aeutils.classroom.exchange import ExchangeError, Peer, Remote, connect

_peer = None
_seeds = []  # the last one that was set here, and that the judge does not have yet


class Answers(Peer):
    """The kernel's side of the exchange."""

    def __init__(self, connection):
        super().__init__(connection, "kernel")
        self.originals, self.ended = {}, False

    @property
    def names(self):
        return vars(sys.modules["__main__"])

    def do_names(self, names):
        """Return those variables of the notebook that exist."""
        return {name: self.names[name] for name in names if name in self.names}

    def do_put(self, name, value):
        """Put a function of the judge in the place of one of the student's."""
        self.originals.setdefault(name, self.names.get(name))
        self.names[name] = _as_function(value) if isinstance(value, Remote) else value

    def do_restore(self, name):
        self.names[name] = self.originals.pop(name)

    def do_define(self, name, source):
        """Define a function of a test that has to run here; see `aeutils.classroom.inside`."""
        scope = dict(self.names)
        exec(source, scope)
        return scope[name]

    def do_seed(self, seed):
        if "keras" in sys.modules:
            sys.modules["keras"].utils.set_random_seed(seed)
            _seeds.clear()  # the judge has it

    def take_seed(self):
        return _seeds.pop() if _seeds else None

    def do_attribute(self, target, name):
        return getattr(target, name)

    def do_layer_call(self, target, x, training):
        result = target(x) if training is None else target(x, training=training)
        return [np.asarray(each) for each in result] if isinstance(result, list | tuple) else np.asarray(result)

    def do_layer_predict(self, target, x):
        return target.predict(x, verbose=0) if hasattr(target, "predict") else target(x)

    def do_layer_shape(self, target, shape):
        keras = sys.modules["keras"]
        return list(target.compute_output_spec(keras.KerasTensor(tuple(shape), dtype="float32")).shape)

    def do_end(self):
        self.ended = True


def prepare():
    """Begin again: forget the variables of the notebook, in an empty folder, and note the seeds that are set from here on.

    What a test puts in the place of an answer runs in the judge; where it draws weights, the student's seed has to count.
    """
    from IPython import get_ipython

    get_ipython().reset(new_session=False)
    os.chdir(tempfile.mkdtemp())  # files of the first run are not in the way
    if "keras" in sys.modules:
        note_seeds(sys.modules["keras"])


def note_seeds(keras):
    """Note the seeds that are set from here on."""
    own = keras.utils.set_random_seed

    def set_random_seed(seed):
        own(seed)
        _seeds[:] = [int(seed)]

    keras.utils.set_random_seed = set_random_seed


def _as_function(remote):
    """A plain function, as a student's own would be."""

    def function(*args, **kwargs):
        return remote(*args, **kwargs)

    function.__name__ = remote.__name__
    return function


def serve(path):
    """Answer until the judge has no more questions for now."""
    global _peer
    if _peer is None:
        _peer = Answers(connect(path))
    _peer.ended = False
    while not _peer.ended:
        try:
            message = _peer.receive()
        except KeyboardInterrupt:  # the judge, too, looks at the time
            continue
        except ExchangeError as error:
            _peer.send({"error": "ExchangeError", "text": str(error)})
            continue
        _peer.answer(message)
