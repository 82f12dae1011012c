"""Describe Keras models as plain data, and rebuild them from it: `aeutils.classroom.exchange` sends them so.

A layer that Keras itself has is rebuilt from its configuration and its weights, a Sequential or functional model from its
layers; what they give is then computed here. Whatever a student wrote, a class of layers or of models, stays on the student's
side: a `Distant` layer stands for it, has its weights, and asks the other side what it gives. Configurations are checked before
they are used: they can name nothing but what is in the lists below.
"""

import functools
import math
import re

import keras
import numpy as np
import tensorflow as tf

from aeutils.classroom.exchange import AnswerError, ExchangeError
from aeutils.classroom.standins import Darken

LAYERS = (
    "Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D BatchNormalization Concatenate "
    "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Cropping1D Cropping2D Dense DepthwiseConv2D Dot Dropout ELU Embedding "
    "Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GroupNormalization Identity InputLayer LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D Maximum Minimum Multiply "
    "Normalization PReLU Permute ReLU RepeatVector Rescaling Reshape SeparableConv2D Softmax SpatialDropout1D SpatialDropout2D "
    "Subtract UnitNormalization UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D"
).split()
PARTS = {  # what the configuration of a layer may name, by module
    "keras": "DTypePolicy",
    "keras.initializers": "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling GlorotNormal "
    "GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity",
    "keras.regularizers": "L1 L2 L1L2 OrthogonalRegularizer",
    "keras.constraints": "MaxNorm NonNeg UnitNorm MinMaxNorm",
}
MAX_WEIGHTS = 50_000_000  # numbers in one layer
MAX_LAYERS = 300


def _class_of(name):
    return Darken if name == "Darken" else getattr(keras.layers, name) if name in LAYERS else None


# ---- Describing ----


def describe(layer):
    """Describe a layer or model by plain data; its parts stand under ``children``, as they are."""
    name = type(layer).__name__
    base = {"layer": name, "name": layer.name, "children": [], "kind": "distant"}
    if type(layer) is keras.Sequential:
        return base | {"kind": "sequential", "children": list(layer.layers)}
    if isinstance(layer, keras.Model):
        base["children"] = list(layer.layers)
        return base | (_describe_graph(layer) or {})
    if type(layer) is _class_of(name):
        try:
            config = layer.get_config()
            _check(config)
            return base | {"kind": "layer", "config": config}
        except Exception:  # for example an activation that a student wrote
            pass
    return base


def _describe_graph(model):
    """Describe how the layers of a functional model are joined; None if the model is of another kind."""
    if type(model).__name__ != "Functional" or not type(model).__module__.startswith("keras."):
        return None
    try:
        config = model.get_config()
        number = {layer.name: index for index, layer in enumerate(model.layers)}
        inputs, steps = [], []
        for item in config["layers"]:
            layer = model.get_layer(item["name"])
            if isinstance(layer, keras.layers.InputLayer):
                inputs.append([number[layer.name], [*layer.batch_shape], layer.dtype])
            for node in item["inbound_nodes"]:
                if node["args"]:
                    steps.append([number[item["name"]], _plain(node["args"], number), _plain(node["kwargs"], number)])
        ends = [[number[name], node, index] for name, node, index in _triples(config["output_layers"])]
        starts = [number[name] for name, _, _ in _triples(config["input_layers"])]
        single = isinstance(model.output, keras.KerasTensor)
        return {"kind": "graph", "inputs": inputs, "starts": starts, "steps": steps, "ends": ends, "single": single}
    except Exception:  # operations that are no layers, and the like
        return None


def _triples(places):
    return [places] if places and isinstance(places[0], str) else places


def _plain(value, number):
    """Write places in a graph as [index of the layer, node, output]."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, node, index = value["config"]["keras_history"]
            return {"tensor": [number[name], node, index]}
        return {key: _plain(each, number) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, number) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ExchangeError("a model that cannot be described")


def _check(value, depth=0):
    """Raise ExchangeError if a configuration names anything that is not listed."""
    if depth > 10:
        raise ExchangeError("a configuration that is nested too deeply")
    if isinstance(value, dict):
        if "class_name" in value or "module" in value:
            module, name = value.get("module"), value.get("class_name")
            registered = value.get("registered_name") in (None, name)
            if not (type(module) is str and type(name) is str and registered and name in PARTS.get(module, "").split()):
                raise ExchangeError(f"a layer with {str(module)[:40]}.{str(name)[:40]}")
            _check(value.get("config"), depth + 1)
        else:
            for key, each in value.items():
                if type(key) is not str:
                    raise ExchangeError("a configuration with other keys than names")
                _check(each, depth + 1)
            if "activation" in value and not isinstance(value["activation"], str | None):
                raise ExchangeError("an activation that Keras does not have")
            if isinstance(value.get("activation"), str) and not hasattr(keras.activations, value["activation"]):
                raise ExchangeError("an activation that Keras does not have")
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each, depth + 1)
    elif not (value is None or isinstance(value, bool | int | float | str | np.generic)) and not (
        isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    ):
        raise ExchangeError(f"a configuration with a {type(value).__name__}")


# ---- Rebuilding ----


def rebuild(node, children, peer, number):
    """Rebuild a layer or model from its description and its children; what cannot be rebuilt becomes `Distant`."""
    if len(children) > MAX_LAYERS or not all(isinstance(child, keras.layers.Layer) for child in children):
        raise ExchangeError("a model with too many layers, or with parts that are no layers")
    kind, name = node["kind"], _make_unique(str(node["name"])[:200], str(node["layer"]), number)
    if kind == "layer":
        layer_class = _class_of(str(node["layer"]))
        if layer_class is None:
            raise ExchangeError(f"a layer of the unknown class {str(node['layer'])[:40]}")
        _check(node["config"])
        return layer_class.from_config({**node["config"], "name": name})
    if kind == "sequential":
        model = keras.Sequential(children, name=name)
    elif kind == "graph":
        model = _rebuild_graph(node, children, name)
    else:
        return Distant(peer, number, children, name)
    model.run_eagerly = True  # for the few arrays of a test, tracing would take longer than it saves
    return model


def _make_unique(name, class_name, number):
    """Change a name that Keras chose (``dense_3``): on this side another layer may have it, and a model wants each name once."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)).lower()
    return f"{name}_{number}" if re.fullmatch(rf"{re.escape(words)}(_\d+)?", name) else name


def _rebuild_graph(node, children, name):
    outputs, inputs = {}, {}  # of each layer, by the number of its call
    for index, shape, dtype in node["inputs"]:
        inputs[index] = keras.Input(batch_shape=_check_shape(shape), dtype=str(dtype), name=str(children[index].name))
        outputs[index] = [[inputs[index]]]

    def put_in(value):
        if isinstance(value, dict) and "tensor" in value:
            layer, call, output = value["tensor"]
            return outputs[layer][call][output]
        if isinstance(value, dict):
            return {key: put_in(each) for key, each in value.items()}
        return [put_in(each) for each in value] if isinstance(value, list) else value

    todo = list(node["steps"])
    while todo:
        later = []
        for index, args, kwargs in todo:
            try:
                args, kwargs = put_in(args), put_in(kwargs)
            except (KeyError, IndexError):
                later.append([index, args, kwargs])
                continue
            made = children[index](*args, **kwargs)
            outputs.setdefault(index, []).append(made if isinstance(made, list | tuple) else [made])
        if len(later) == len(todo):
            raise ExchangeError("a model whose layers do not fit together")
        todo = later
    ends = [outputs[layer][call][output] for layer, call, output in node["ends"]]
    starts = [inputs[index] for index in node["starts"]]
    return keras.Model(starts[0] if len(starts) == 1 else starts, ends[0] if node["single"] is True else ends, name=name)


def _check_shape(shape):
    shape = tuple(shape)
    if not all(size is None or type(size) is int and 0 < size for size in shape):
        raise ExchangeError("a shape that is none")
    if math.prod(size or 1 for size in shape) > MAX_WEIGHTS:
        raise ExchangeError("a shape that is too large")
    return shape


class Distant(keras.Model):
    """A layer or model that a student wrote. It stands for the one on the other side and asks it what it gives."""

    def __init__(self, peer, number, parts, name):
        super().__init__(name=name)
        self._link = _Link(peer, number, parts)
        self.built = True
        self.run_eagerly = True

    def call(self, x, training=None):
        training = None if training is None else bool(training)
        if not tf.executing_eagerly():  # within a function that TensorFlow traces, for example of `predict`
            spec = self.compute_output_spec(x)
            ask = functools.partial(self._link.ask, "layer_call", training=training)
            result = tf.numpy_function(lambda x: np.asarray(ask(x=x), "float32"), [x], tf.float32)
            return tf.ensure_shape(result, spec.shape)
        values = [np.asarray(each) for each in x] if isinstance(x, list | tuple) else np.asarray(x)
        result = self._link.ask("layer_call", x=values, training=training)
        return keras.tree.map_structure(keras.ops.convert_to_tensor, result)

    def predict(self, x, **kwargs):
        return self._link.ask("layer_predict", x=np.asarray(x))

    def compute_output_spec(self, inputs, *args, **kwargs):
        try:
            shape = self._link.ask("layer_shape", shape=[*inputs.shape])
        except AnswerError:  # it can only be known by a try
            shape = inputs.shape
        return keras.KerasTensor(_check_shape(shape), dtype="float32")

    def get_config(self):
        return self._link.ask("attribute", name="get_config")()

    @property
    def layers(self):
        return self._link.parts

    @property
    def losses(self):
        return self._link.ask("attribute", name="losses")

    @property
    def weights(self):
        return _without_repeats([*self._link.own, *(w for part in self._link.parts for w in part.weights)])

    @property
    def trainable_weights(self):
        own = [w for w in self._link.own if w.trainable]
        return _without_repeats([*own, *(w for part in self._link.parts for w in part.trainable_weights)])

    @property
    def non_trainable_weights(self):
        trainable = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trainable]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self):
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights):
        for variable, value in zip(self.weights, weights, strict=True):
            variable.assign(value)

    def count_params(self):
        return sum(math.prod(w.shape) for w in self.weights)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._link.ask("attribute", name=name)


class _Link:
    """What a `Distant` layer knows of the other side; no layer itself, so that Keras does not look into it."""

    def __init__(self, peer, number, parts):
        self.peer, self.number, self.parts, self.own = peer, number, parts, []

    def ask(self, kind, **values):
        with tf.init_scope():  # out of a graph that is being made: weights have values only there
            return self.peer.ask(kind, target=self.peer.things[self.number], **values)


def _without_repeats(variables):
    return list({id(variable): variable for variable in variables}.values())


# ---- The state of a layer: weights, and whether they are trained ----


def _own_variables(layer):
    if isinstance(layer, Distant):
        return layer._link.own
    if not _is_composite(layer):
        return layer.weights
    inside = {id(variable) for part in layer.layers for variable in part.weights}
    return [variable for variable in layer.weights if id(variable) not in inside]


def _is_composite(layer):
    return isinstance(layer, keras.Model)


def read_state(layer):
    """Read what can change in a layer."""
    state = {"trainable": bool(layer.trainable)}
    if type(layer) is keras.Sequential or isinstance(layer, keras.Model) and type(layer).__name__ == "Functional":
        first = layer.inputs[0] if getattr(layer, "inputs", None) else None
        return state | {"input": None if first is None else [[*first.shape], first.dtype]}
    variables = _own_variables(layer)
    state["weights"] = [np.asarray(variable) for variable in variables]
    state["trained"] = [bool(variable.trainable) for variable in variables]
    state["build"] = layer.get_build_config() if layer.built and variables and not _is_composite(layer) else None
    return state


def is_same(state, other):
    """Whether two states are the same."""
    if other is None or state.keys() != other.keys():
        return False
    rest = [key for key in state if key != "weights"]
    if any(state[key] != other[key] for key in rest):
        return False
    a, b = state.get("weights", []), other.get("weights", [])
    return len(a) == len(b) and all(x.shape == y.shape and np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b))


def write_state(layer, state):
    """Give a layer the state that it has on the other side."""
    if "weights" in state:
        _write_weights(layer, state)
    elif state.get("input") and type(layer) is keras.Sequential and not layer.built:
        shape, _ = state["input"]
        layer.build(_check_shape(shape))
    if layer.trainable != bool(state["trainable"]):
        layer.trainable = bool(state["trainable"])


def _write_weights(layer, state):
    weights = state["weights"]
    if not all(isinstance(each, np.ndarray) and each.dtype.kind in "biuf" for each in weights):
        raise ExchangeError("weights that are no arrays of numbers")
    if isinstance(layer, Distant):
        own = layer._link.own
        if len(own) != len(weights):
            own[:] = [keras.Variable(each, trainable=flag is True) for each, flag in zip(weights, state["trained"])]
        for variable, each in zip(own, weights):
            variable.assign(each)
        return
    config = state["build"]
    if config and not layer.built and not _is_composite(layer):
        shapes = config["shapes_dict"].values() if "shapes_dict" in config else [config["input_shape"]]
        for shape in shapes:
            for each in shape if shape and isinstance(shape[0], list | tuple) else [shape]:
                _check_shape(each)
        layer.build_from_config(config)
    variables = _own_variables(layer)
    if [tuple(variable.shape) for variable in variables] != [each.shape for each in weights]:
        there = [tuple(variable.shape) for variable in variables]
        raise ExchangeError(f"layer {layer.name} has weights {there}, but got {[each.shape for each in weights]}")
    for variable, each in zip(variables, weights):
        variable.assign(each)
