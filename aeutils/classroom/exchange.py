"""Messages between the judge, which runs the tests, and the kernel, which runs a student's code. Only plain data passes.

A message is a header, JSON, and buffers, the bytes of its arrays. Each side may ask the other for something while it is being
asked itself: the kernel answers calls of a student's function, and asks back when that function calls one that the judge put in
its place. Numbers, texts, lists, dicts and arrays pass by value. A Keras model passes as a description and its weights (see
`aeutils.classroom.replicas`), and whatever one side changes in it, or in an array that it was given, is changed on the other
side when it answers. Functions pass as numbers by which they can be called. Nothing is ever unpickled or evaluated.
"""

import json
import math
import socket
import struct
import sys

import numpy as np

MAX_HEADER = 32 * 2**20  # bytes
MAX_BUFFERS = 512 * 2**20  # bytes of all arrays of a message
MAX_DEPTH, MAX_VALUES = 40, 500_000
_KINDS = "biufcU"  # of NumPy's types: numbers, bool and text, never objects


class ExchangeError(Exception):
    """What the other side sent, or what it should be sent, does not fit."""


class AnswerError(Exception):
    """The other side raised something; the text says what."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind


class Remote:
    """A function, or another thing, of the other side. Calling it calls it there."""

    def __init__(self, peer, number, name):
        self._peer, self._number, self.__name__ = peer, number, name

    def __call__(self, *args, **kwargs):
        return self._peer.call(self, args, kwargs)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._peer.ask("attribute", target=self, name=name)

    def __repr__(self):
        return f"<{self.__name__}, which runs where the student's code runs>"


class Peer:
    """One side of the exchange.

    Parameters
    ----------
    connection : socket.socket
    side : str
        ``judge`` or ``kernel``; begins the numbers of what it sends.
    """

    def __init__(self, connection, side):
        self.connection, self.side = connection, side
        self.things = {}  # number: function, model, generator, ... of either side
        self.numbers = {}  # id of such a thing: its number
        self.before_asking = lambda: None
        self._synced = {}  # number: what both sides know of its state
        self._received, self._last = bytearray(), 0

    # ---- Asking and answering ----

    def ask(self, kind, **values):
        """Send a request and wait for its answer; requests that come meanwhile are answered."""
        self.before_asking()
        self.send({"ask": kind, **values})
        while True:
            message = self.receive()
            if "ask" not in message:
                if "error" in message:
                    raise AnswerError(str(message["error"]), str(message.get("text", ""))[:2000])
                return message.get("answer")
            self.answer(message)

    def call(self, target, args, kwargs):
        """Call a function of the other side. What it changes in the arrays that it is given is changed here, too."""
        value, changed = self.ask("call", target=target, args=list(args), kwargs=kwargs, seed=self.take_seed())
        for index, array in changed.items():
            given = args[index]
            if not isinstance(array, np.ndarray) or array.shape != given.shape or array.dtype != given.dtype:
                raise ExchangeError("an argument came back with another shape")
            np.copyto(given, array)
        return value

    def answer(self, message):
        """Do what a request asks for, and send what comes out."""
        try:
            handle = getattr(self, f"do_{message.pop('ask')}")
            reply = {"answer": handle(**message)}
            self.send(reply)
        except ExchangeError as error:
            self.send({"error": "ExchangeError", "text": str(error)})
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            self.send({"error": type(error).__name__, "text": str(error)})

    def take_seed(self):
        """The seed of random numbers that was set on this side, and that the other side has to set before a call."""

    def use_seed(self, seed):
        """Set a seed that was set on the other side."""

    def do_call(self, target, args, kwargs, seed=None):
        """Call a function of this side."""
        if seed is not None:
            self.use_seed(seed)
        before = {index: value.copy() for index, value in enumerate(args) if isinstance(value, np.ndarray)}
        value = target(*args, **kwargs)
        changed = {index: args[index] for index, copy in before.items() if not np.array_equal(args[index], copy, equal_nan=True)
                   } if before and all(args[index].dtype.kind in "biufc" for index in before) else {}  # fmt: skip
        return value, changed

    # ---- Messages ----

    def send(self, message):
        """Send a message, with the state of all things that have changed on this side since the last one."""
        buffers, fresh, nodes, states, synced = [], {}, {}, {}, dict(self._synced)
        try:
            packed = self._pack(message, buffers, fresh, 0)
            while fresh:  # describing a model may bring more of them
                number, thing = fresh.popitem()
                nodes[number] = None
                nodes[number] = self._pack(self._describe(thing), buffers, fresh, 0)
            for number, state in self._find_changes():
                states[number] = self._pack(state, buffers, fresh, 0)
        except BaseException:  # the other side never hears of these
            for number in [*nodes, *fresh]:
                self.numbers.pop(id(self.things.pop(number)), None)
            self._synced = synced
            raise
        sizes = [len(buffer) for buffer in buffers]
        header = json.dumps({"message": packed, "nodes": nodes, "states": states, "buffers": sizes}).encode()
        if len(header) > MAX_HEADER or sum(sizes) > MAX_BUFFERS:
            raise ExchangeError("more data than a test needs")
        self.connection.sendall(struct.pack(">Q", len(header)) + header + b"".join(buffers))

    def receive(self):
        """Receive a message.

        Raises
        ------
        ExchangeError
            It is not one.
        EOFError
            The other side is gone.
        """
        (length,) = struct.unpack(">Q", self._peek(0, 8))
        if length > MAX_HEADER:
            raise ExchangeError("a header that is too long")
        try:
            header = json.loads(self._peek(8, length))
            sizes = header["buffers"]
            if not all(type(size) is int and size >= 0 for size in sizes) or sum(sizes) > MAX_BUFFERS:
                raise ExchangeError("more data than a test needs")
            whole = self._peek(8 + length, sum(sizes))
            del self._received[: 8 + length + len(whole)]
            starts = np.cumsum([0, *sizes]).tolist()
            buffers = [whole[start : start + size] for start, size in zip(starts, sizes)]
            self._count = 0
            self._read_nodes(header["nodes"], buffers)
            for number, state in header["states"].items():
                self._read_state(number, self._unpack(state, buffers, 0))
            message = self._unpack(header["message"], buffers, 0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise ExchangeError(f"not a message ({type(error).__name__}: {str(error)[:200]})") from None
        if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
            raise ExchangeError("not a message")
        return message

    def _peek(self, start, length):
        """Return bytes of what was received; more is waited for. An interruption loses nothing."""
        while len(self._received) < start + length:
            part = self.connection.recv(1 << 20)
            if not part:
                raise EOFError("the other side is gone")
            self._received += part
        return bytes(self._received[start : start + length])

    # ---- Values ----

    def _pack(self, value, buffers, fresh, depth):
        if depth > MAX_DEPTH:
            raise ExchangeError("a value that is nested too deeply")
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if isinstance(value, np.ndarray | np.generic):
            return self._pack_array("array" if isinstance(value, np.ndarray) else "scalar", np.asarray(value), buffers)
        if isinstance(value, list | tuple | set | frozenset | range):
            name = "tuple" if isinstance(value, tuple) else "set" if isinstance(value, set | frozenset) else "list"
            return {name: [self._pack(each, buffers, fresh, depth + 1) for each in value]}
        if isinstance(value, dict):
            return {"dict": [[self._pack(each, buffers, fresh, depth + 1) for each in pair] for pair in value.items()]}
        if isinstance(value, bool | int | float | str):
            return next(base(value) for base in (int, float, str) if isinstance(value, base))
        if isinstance(value, Remote) or _is_layer(value):
            return {"thing": self._number(value, fresh)}
        if _is_tensor(value):
            return self._pack_array("tensor", np.asarray(value), buffers)
        return {"thing": self._number(value, fresh)}

    def _pack_array(self, name, array, buffers):
        if array.dtype.kind not in _KINDS:
            raise ExchangeError(f"an array of {array.dtype}; expected numbers, bool or text")
        buffers.append(np.ascontiguousarray(array).tobytes())
        return {name: [array.dtype.str, list(array.shape), len(buffers) - 1]}

    def _unpack(self, packed, buffers, depth):
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_VALUES:
            raise ExchangeError("a value that is nested too deeply, or too large")
        if packed is None or type(packed) in (bool, int, float, str):
            return packed
        ((name, content),) = packed.items()
        if name in ("list", "tuple", "set"):
            values = [self._unpack(each, buffers, depth + 1) for each in content]
            return {"list": list, "tuple": tuple, "set": set}[name](values)
        if name == "dict":
            return {self._unpack(key, buffers, depth + 1): self._unpack(each, buffers, depth + 1) for key, each in content}
        if name in ("array", "scalar", "tensor"):
            array = _unpack_array(*content, buffers)
            return array[()] if name == "scalar" else _to_tensor(array) if name == "tensor" else array
        if name == "thing":
            return self._find(content)
        raise ExchangeError(f"a value of the unknown kind {name!r:.30}")

    # ---- Things that both sides know ----

    def _number(self, thing, fresh=None):
        if isinstance(thing, Remote):
            return thing._number
        if id(thing) not in self.numbers:
            self._last += 1
            number = f"{self.side}{self._last}"
            self.things[number], self.numbers[id(thing)] = thing, number
            if fresh is not None:
                fresh[number] = thing
        return self.numbers[id(thing)]

    def _find(self, number):
        if number not in self.things:
            raise ExchangeError(f"nothing has the number {number!r:.30}")
        return self.things[number]

    def _keep(self, number, thing):
        """Keep a thing that the other side made, under its number."""
        if number in self.things or number.startswith(self.side) or len(number) > 20:
            raise ExchangeError(f"the number {number!r:.30} is in use")
        self.things[number], self.numbers[id(thing)] = thing, number
        return thing

    def _describe(self, thing):
        """Describe a thing that the other side does not know yet."""
        if isinstance(thing, np.random.Generator):
            return {"generator": True}
        if _is_layer(thing):
            from aeutils.classroom import replicas

            return replicas.describe(thing)
        self.check_sent(thing)
        return {"name": str(getattr(thing, "__name__", type(thing).__name__))[:100]}

    def check_sent(self, thing):
        """Raise ExchangeError for what must not be sent."""

    def _read_nodes(self, nodes, buffers):
        todo = {number: self._unpack_node(node, buffers) for number, node in nodes.items()}

        def make(number, depth=0):
            if number in self.things:
                return self.things[number]
            node = todo[number]
            if depth > MAX_DEPTH:
                raise ExchangeError("a model that is nested too deeply")
            if "generator" in node:
                thing = np.random.Generator(np.random.PCG64())
            elif "layer" in node:
                from aeutils.classroom import replicas

                thing = replicas.rebuild(node, [make(child, depth + 1) for child in node["children"]], self, number)
            else:
                thing = Remote(self, number, str(node["name"]))
            return self._keep(number, thing)

        for number in todo:
            make(number)

    def _unpack_node(self, packed, buffers):
        pairs = packed["dict"]
        node = {}
        for key, value in pairs:
            if key == "children":  # numbers of things, some of which are still to be made
                node[key] = [each["thing"] for each in value["list"]]
            else:
                node[key] = self._unpack(value, buffers, 0)
        return node

    def _find_changes(self):
        for number, thing in list(self.things.items()):
            if isinstance(thing, np.random.Generator):
                state = thing.bit_generator.state
                if type(thing.bit_generator) is not np.random.PCG64:
                    continue
                if state != self._synced.get(number):
                    self._synced[number] = state
                    yield number, state
            elif _is_layer(thing):
                from aeutils.classroom import replicas

                state = replicas.read_state(thing)
                if state is not None and not replicas.is_same(state, self._synced.get(number)):
                    self._synced[number] = state
                    yield number, state

    def _read_state(self, number, state):
        thing = self._find(number)
        if isinstance(thing, np.random.Generator):
            thing.bit_generator.state = state
            self._synced[number] = thing.bit_generator.state
        elif _is_layer(thing):
            from aeutils.classroom import replicas

            replicas.write_state(thing, state)
            self._synced[number] = state
        else:
            raise ExchangeError("a state of something that has none")


def _unpack_array(dtype, shape, index, buffers):
    dtype = np.dtype(dtype) if type(dtype) is str and len(dtype) < 10 else None
    if dtype is None or dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise ExchangeError("an array of a type that no test needs")
    if len(shape) > 10 or not all(type(size) is int and size >= 0 for size in shape):
        raise ExchangeError("an array of a shape that no test needs")
    buffer = buffers[index]
    if math.prod(shape) * dtype.itemsize != len(buffer):
        raise ExchangeError("an array with too few or too many bytes")
    return np.frombuffer(buffer, dtype).reshape(shape).copy()


def _is_layer(thing):
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(thing, keras.layers.Layer)


def _is_tensor(value):
    keras = sys.modules.get("keras")
    return keras is not None and (keras.ops.is_tensor(value) or isinstance(value, keras.Variable))


def _to_tensor(array):
    keras = sys.modules.get("keras")
    return keras.ops.convert_to_tensor(array) if keras is not None and array.dtype.kind != "U" else array


def connect(path):
    """Connect to the socket at a path."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection
