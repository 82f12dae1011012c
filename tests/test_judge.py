"""The judge, with the test process in the place of a student's kernel."""

import os
import socket
import struct
import textwrap

import keras
import numpy as np
import pytest
from keras import layers

from aeutils.classroom import answers, exchange, provisioner, sandbox
from aeutils.classroom.judge import Judge


class Kernel(answers.Answers):
    """Answers as a kernel does, with the variables of a dict."""

    def __init__(self, path, names):
        super().__init__(exchange.connect(path))
        self.variables = names

    @property
    def names(self):
        return self.variables

    def serve(self):
        self.ended = False
        while not self.ended:
            self.answer(self.receive())


class Room:
    """A judge, and a kernel with the variables `names`."""

    def __init__(self, folder):
        kind = sandbox.find_kind()
        self.judge = Judge(
            folder, provisioner.environment_of("s1"), provisioner.readable_folders(), kind, (folder / "log").open("wb")
        )
        self.names, self.kernel = {}, None

    def give(self, *sources):
        self.judge.begin(do="given", sources=list(sources), student="s1")
        assert self.judge.end() == {}

    def test(self, source, seconds=60, last=None, **names):
        self.names.update(names)
        known = [name for name in self.names if not name.startswith("_")]
        answers = {"all": known, "last": known if last is None else last}
        self.judge.begin(do="test", source=textwrap.dedent(source), answers=answers, seconds=seconds)
        if self.kernel is None:
            self.kernel = Kernel(self.judge.path, self.names)
        self.kernel.serve()
        return self.judge.end()


@pytest.fixture(scope="module")
def keras_room(tmp_path_factory):
    room = Room(tmp_path_factory.mktemp("judge"))
    room.give(
        """
        import keras
        import numpy as np
        from unittest import mock
        from keras import layers, ops
        from aeutils.classroom import inside
        """.replace("        ", "")
    )
    yield room
    room.judge.close()


@pytest.fixture
def room(keras_room):
    keras_room.names.clear()
    return keras_room


def passes(result):
    assert result["passed"], result["error"]
    return True


def fails(result, words):
    assert not result["passed"] and words in result["error"], result
    return True


# ---- Values ----


def test_values_keep_their_kinds(room):
    values = {"a": [1, 2.5, "x", None, True], "b": (np.float64(1.5), np.int64(3)), "c": np.arange(6, dtype="float32").reshape(2, 3),
              "d": {1, 2}, "e": float("nan"), "f": np.array(["가", "b"]), "g": np.zeros((0, 3))}  # fmt: skip
    source = """
    assert values["a"] == [1, 2.5, "x", None, True] and isinstance(values["b"], tuple)
    assert isinstance(values["b"][0], float) and isinstance(values["b"][1], np.int64)
    assert values["c"].dtype == "float32" and values["c"][1, 2] == 5 and values["d"] == {1, 2} and np.isnan(values["e"])
    assert values["f"].tolist() == ["가", "b"] and values["g"].shape == (0, 3)
    """
    assert passes(room.test(source, values=values))


def test_a_function_is_called_where_it_is_and_what_it_changes_comes_back(room):
    def scale(x, factor=2):
        x *= factor
        return os.getpid()

    def draw(rng):
        return rng.random(3)

    source = """
    import os
    x = np.ones(3)
    assert scale(x, factor=3) != os.getpid() and x.tolist() == [3, 3, 3]
    rng = np.random.default_rng(5)
    a, b = draw(rng), draw(rng)
    assert np.allclose([*a, *b], np.random.default_rng(5).random(6))
    """
    assert passes(room.test(source, scale=scale, draw=draw))


def test_an_error_is_an_error_with_its_words(room):
    def broken(x):
        raise NotImplementedError("your code here")

    assert fails(room.test("broken(1)", broken=broken), "NotImplementedError: your code here")
    assert fails(room.test("assert missing(1)"), "NameError")
    assert fails(room.test("assert 'later' in globals(), 'later is not there yet'"), "later is not there yet")


def test_a_class_that_equals_everything_is_no_number(room):
    class Yes(float):
        def __eq__(self, other):
            return True

        __lt__ = __gt__ = __ne__ = __eq__
        __hash__ = float.__hash__

    class Anything:
        def __eq__(self, other):
            return True

        def __array__(self, *more):
            return np.array(4.0)

    assert fails(room.test("assert number == 4", number=Yes(5)), "AssertionError")
    assert fails(room.test("assert thing == 4", thing=Anything()), "AssertionError")
    assert fails(room.test("assert double(2) == 4", double=lambda x: Anything()), "AssertionError")


def test_comparisons_that_the_student_replaced_are_not_used(room, monkeypatch):
    monkeypatch.setattr(np, "allclose", lambda *a, **k: True)
    monkeypatch.setattr(np, "isclose", lambda *a, **k: True)
    assert fails(room.test("assert np.allclose(double(2), 4)", double=lambda x: 5), "AssertionError")


def test_objects_and_pickles_do_not_pass(room):
    bad = np.array([object()], dtype=object)
    assert fails(room.test("give()", give=lambda: bad), "an array of object")
    assert fails(room.test("take(np)", take=print), "a module cannot be sent")


# ---- Models ----


def test_a_model_is_rebuilt_and_shares_its_parts(room):
    def join(encoder, decoder):
        return keras.Sequential([encoder, decoder])

    def copy(encoder, decoder):
        twin = keras.models.clone_model(encoder)
        twin.set_weights(encoder.get_weights())
        return keras.Sequential([twin, decoder])

    source = """
    one = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    two = keras.Sequential([keras.Input((3,)), layers.Dense(16, "sigmoid"), layers.Reshape((4, 4, 1))])
    whole, x = join(one, two), np.random.default_rng(0).random((6, 4, 4, 1)).astype("float32")
    assert type(whole) is keras.Sequential and whole.layers[0] is one
    assert np.allclose(whole(x), two(one(x)), atol=1e-6) and whole.predict(x, verbose=0).shape == x.shape
    one.set_weights([0 * w for w in one.get_weights()])
    assert np.ptp(np.asarray(whole(x)), axis=0).max() < 1e-6, "a copy"
    """
    assert passes(room.test(source, join=join))
    assert fails(room.test(source.replace("join", "copy").replace("whole.layers[0] is one", "True"), copy=copy), "a copy")


def test_names_that_keras_chose_do_not_collide_and_others_stay(room):
    def extend(model):
        return keras.Sequential([*model.layers, *(layers.Dense(2) for _ in range(30))])

    source = """
    model = keras.Sequential([keras.Input((3,)), *(layers.Dense(2) for _ in range(30)), layers.Dense(2, name="mine")])
    whole = extend(model)
    assert len({layer.name for layer in whole.layers}) == 61 and whole.get_layer("mine") is model.layers[-1]
    """
    assert passes(room.test(source, extend=extend))


def test_training_and_freezing_come_back(room):
    def train(model, x, y):
        model.layers[0].trainable = False
        model.compile("sgd", "mse")
        model.fit(x, y, epochs=1, verbose=0)

    source = """
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dense(1)])
    before = [w.copy() for w in model.get_weights()]
    train(model, np.ones((8, 3), "float32"), np.ones((8, 1), "float32"))
    assert np.array_equal(before[0], model.get_weights()[0]) and not np.array_equal(before[2], model.get_weights()[2])
    assert len(model.trainable_weights) == 2 and not model.layers[0].trainable
    """
    assert passes(room.test(source, train=train))


def functional(n):
    x = keras.Input((n,))
    h = layers.Dense(4, activation="relu", name="code")(x)
    return keras.Model(x, layers.Concatenate()([layers.Dense(2)(h), h]))


class Subclassed(keras.Model):
    def __init__(self, n):
        super().__init__()
        self.hidden, self.out = layers.Dense(4, activation="relu"), layers.Dense(n)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x, training=False):
        return self.scale * self.out(self.hidden(x)) + (1.0 if training else 0.0)


def test_a_functional_model_is_rebuilt(room):
    source = """
    model = functional(5)
    x = np.random.default_rng(1).normal(size=(7, 5)).astype("float32")
    (k1, b1), (k2, b2) = [layer.get_weights() for layer in model.layers if layer.weights]
    h = np.maximum(x @ k1 + b1, 0)
    assert np.allclose(model(x), np.hstack([h @ k2 + b2, h]), atol=1e-5)
    assert model.get_layer("code").units == 4 and model.count_params() == 5 * 4 + 4 + 4 * 2 + 2
    """
    assert passes(room.test(source, functional=functional))


def test_a_subclassed_model_stays_where_it_is_and_is_asked(room):
    source = """
    model = build(5)
    x = np.random.default_rng(1).normal(size=(7, 5)).astype("float32")
    out = np.asarray(model(x))
    (k1, b1), (k2, b2) = [layer.get_weights() for layer in model.layers if layer.weights]
    assert out.shape == (7, 5) and np.allclose(out, np.maximum(x @ k1 + b1, 0) @ k2 + b2, atol=1e-5)
    assert np.allclose(model.predict(x, verbose=0), out, atol=1e-6)
    assert np.allclose(model(x, training=True), out + 1, atol=1e-5)
    assert model.count_params() == 5 * 4 + 4 + 4 * 5 + 5 + 1 and len(model.trainable_weights) == 5
    model.set_weights([0 * w for w in model.get_weights()])
    assert np.allclose(model(x), 0)
    whole = keras.Sequential([keras.Input((5,)), layers.Dense(5), model])
    assert whole.predict(x, verbose=0).shape == (7, 5) and len(whole.weights) == 7
    """
    assert passes(room.test(source, build=Subclassed))


class Double(layers.Layer):
    def call(self, z, training=False):
        return 3 * z if training else 2 * z


def test_a_layer_that_a_student_wrote_is_asked_also_inside_of_a_model(room):
    source = """
    layer, x = Layer(), np.ones((2, 3), "float32")
    assert np.allclose(layer(x), 2) and np.allclose(layer(x, training=True), 3)
    model = make()
    k, b = model.layers[0].get_weights()
    assert np.allclose(model(x), 2 * (x @ k + b), atol=1e-5) and model.get_layer("code").units == 4
    assert np.allclose(sum(float(loss) for loss in model.losses), 0.1 * np.abs(x @ k + b).sum() / 2, rtol=1e-3)
    """
    penalty = keras.regularizers.L1(0.1)

    def make():
        return keras.Sequential([keras.Input((3,)), layers.Dense(4, activity_regularizer=penalty, name="code"), Double()])

    assert passes(room.test(source, Layer=Double, make=make))


def test_a_configuration_can_name_nothing_else(room):
    class Lying(layers.Dense):
        pass

    Lying.__name__, Lying.__module__ = "Dense", "keras.src.layers.core.dense"
    evil = layers.Dense(2)
    evil.get_config = lambda: {"units": 2, "activation": {"module": "builtins", "class_name": "function", "config": "eval"}}
    evil.build((None, 3))
    assert passes(room.test("assert type(model()).__name__ == 'Distant'", model=lambda: evil))
    assert passes(room.test("assert type(model()).__name__ == 'Distant'", model=lambda: Lying(3)))
    assert passes(room.test("assert type(model()).__name__ == 'Distant'", model=lambda: layers.Lambda(lambda x: x)))


# ---- Stand-ins ----


def test_what_a_test_puts_in_the_place_of_an_answer_is_called_by_the_other_answers(room):
    names = room.names

    def helper(x):
        return x + 1000

    def answer(x):
        return 2 * names["helper"](x)

    source = """
    seen = []
    def stand_in(x):
        seen.append(x)
        return x + 1
    with mock.patch("__main__.helper", stand_in):
        assert answer(3) == 8
    assert seen == [3] and answer(3) == 2006
    """
    assert passes(room.test(source, helper=helper, answer=answer))
    assert passes(room.test("globals().update({'helper': lambda x: 0})\nassert answer(3) == 0"))
    assert passes(room.test("assert answer(3) == 0, 'it stays for later tests'"))


def test_a_stand_in_may_get_and_return_models(room):
    names = room.names

    def build(units):
        raise NotImplementedError

    def train(x, units):
        model = names["build"](units)
        model.set_weights([w + 1 for w in model.get_weights()])
        return model

    source = """
    made = []
    def right(units):
        made.append(keras.Sequential([keras.Input((3,)), layers.Dense(units, kernel_initializer="zeros")]))
        return made[-1]
    with mock.patch("__main__.build", right):
        model = train(np.zeros((2, 3)), 4)
    assert model is made[0] and np.allclose(model.get_weights()[0], 1)
    """
    assert passes(room.test(source, build=build, train=train))


def test_a_function_marked_inside_runs_where_the_answers_are(room):
    source = """
    import os
    @inside
    def measure(a, x):
        import os
        return os.getpid(), double(a) + x.sum()
    pid, value = measure(2, np.ones(3))
    assert pid != os.getpid() and value == 7
    """
    assert passes(room.test(source, double=lambda x: 2 * x))


def test_seeds_of_a_test_count_in_the_kernel(room):
    source = """
    keras.utils.set_random_seed(7)
    a = draw()
    keras.utils.set_random_seed(7)
    assert np.allclose(a, draw()) and not np.allclose(a, draw())
    """
    assert passes(room.test(source, draw=lambda: np.random.random(4)))


# ---- Controls ----


def test_a_test_that_a_wrong_answer_passes_is_reported(room):
    assert room.test("assert callable(double)", double=lambda x: 2 * x)["vacuous"]
    assert not room.test("assert double(2) == 4")["vacuous"]
    assert not room.test("for name in ('mine',):\n    assert name in globals()\nassert mine > 3", mine=5)["vacuous"]
    assert not room.test("assert 1 == 1", last=[])["vacuous"], "a test without an answer of its own"


def test_an_endless_answer_is_ended(tmp_path):
    room = Room(tmp_path)
    room.give("x = 1")
    room.judge.begin(do="test", source="answer()", answers={"all": ["answer"], "last": []}, seconds=1)
    connection = exchange.connect(room.judge.path)  # and never answers
    assert fails(room.judge.end(), "TimeoutError")
    room.judge.begin(do="test", source="answer()", answers={"all": ["answer"], "last": []}, seconds=1)
    assert fails(room.judge.end(), "the kernel did not connect")
    connection.close()
    room.judge.close()


def message(header, body=b""):
    return struct.pack(">Q", len(header)) + header + body


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">Q", 2**40),
        message(b"[1, 2]"),
        message(b'{"message": {"dict": [["answer", ' + b'{"list": [' * 3000 + b"]}" * 3000 + b'}]]}, "nodes": {}, "states": {}, "buffers": []}'),
        message(b'{"message": {"dict": []}, "nodes": {}, "states": {}, "buffers": [9000000000000]}'),
        message(b'{"message": {"dict": [["answer", {"array": ["|O", [1], 0]}]]}, "nodes": {}, "states": {}, "buffers": [8]}', bytes(8)),
        message(b'{"message": {"dict": [["answer", {"array": ["<f8", [9], 0]}]]}, "nodes": {}, "states": {}, "buffers": [8]}', bytes(8)),
        message(b'{"message": {"dict": [["answer", {"thing": "judge1"}]]}, "nodes": {}, "states": {}, "buffers": []}'),
        message(b'{"message": {"dict": [["answer", {"pickle": 0}]]}, "nodes": {}, "states": {}, "buffers": []}'),
    ],
)  # fmt: skip
def test_forged_messages_are_refused(data):
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    with pytest.raises(exchange.ExchangeError):
        exchange.Peer(ours, "judge").receive()
    ours.close()
    theirs.close()
