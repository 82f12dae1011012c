"""Train the small networks of the pages to touch, with the recipes of the lessons, and store their weights for the browser.

``python site/export_weights.py [code vae threshold units noise]`` writes `site/static/touch/NAME.js`; about three minutes on two cores.

A number is stored in 12 bits, as two characters of base64. A matrix has one scale for each column, so that the browser's result
differs from that of Keras by less than 1e-3 (`tests/test_site.py`).
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent / "static" / "touch"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
LEVELS = 4095  # the largest number of 12 bits


def pack(values):
    """Pack an array into a dict for JSON: shape, lowest value and step of each column, and two letters a number."""
    values = np.asarray(values, dtype=np.float64)
    columns = values.reshape(-1, values.shape[-1])
    low = columns.min(axis=0)
    step = np.maximum(columns.max(axis=0) - low, 1e-9) / LEVELS
    low, step = low.astype(np.float32).astype(float), step.astype(np.float32).astype(float)  # shorter in JSON
    numbers = np.rint((columns - low) / step).clip(0, LEVELS).astype(int).ravel()
    letters = "".join(LETTERS[number >> 6] + LETTERS[number & 63] for number in numbers)
    return {"shape": list(values.shape), "low": _shorten(low), "step": _shorten(step), "data": letters}


def unpack(packed):
    """Return the array that the browser sees."""
    places = np.zeros(128, dtype=int)
    places[[ord(letter) for letter in LETTERS]] = np.arange(64)
    pairs = places[np.frombuffer(packed["data"].encode(), dtype=np.uint8)].reshape(-1, 2)
    numbers = (pairs[:, 0] * 64 + pairs[:, 1]).reshape(-1, len(packed["low"]))
    return (np.array(packed["low"]) + numbers * np.array(packed["step"])).reshape(packed["shape"])


def _shorten(values):
    return [float(f"{value:.7g}") for value in values]


def pack_row(values):
    """Pack values that share one range, such as pixels or scores."""
    values = np.asarray(values)
    return {**pack(values.reshape(-1, 1)), "shape": list(values.shape)}


def pack_layers(model):
    """Pack the kernels and biases of a model's dense layers, with their activations."""
    layers = [layer for layer in model.layers if layer.get_weights()]
    kernels = [(layer.activation.__name__, *layer.get_weights()) for layer in layers]
    return [{"activation": name, "kernel": pack(kernel), "bias": pack_row(bias)} for name, kernel, bias in kernels]


def read(name, folder=OUT):
    """Read a stored file back, as JSON."""
    return json.loads((folder / f"{name}.js").read_text(encoding="utf-8").partition(" = ")[2].rstrip(";\n"))


def write(name, content):
    """Write a file that a page loads as a script: a browser does not load JSON from a folder without a server."""
    OUT.mkdir(parents=True, exist_ok=True)
    text = f"globalThis.touchData = {json.dumps(content, ensure_ascii=False, separators=(',', ':'))};\n"
    (OUT / f"{name}.js").write_text(text, encoding="utf-8")
    print(f"{name}: {len(text) / 1000:.0f} kB")


def build_halves(latent_dim, hidden_units=256):
    """Build encoder and decoder of lesson 01 for images of 784 values."""
    import keras
    from keras import layers

    encoder = [layers.Flatten(), layers.Dense(hidden_units, activation="elu"), layers.Dense(latent_dim)]
    decoder = [layers.Dense(hidden_units, activation="elu"), layers.Dense(784, activation="sigmoid")]
    shape = (28, 28, 1)
    return (
        keras.Sequential([keras.Input(shape), *encoder], name="encoder"),
        keras.Sequential([keras.Input((latent_dim,)), *decoder], name="decoder"),
    )


def train(model, x, y, epochs, learning_rate=0.005, loss="mse"):
    """Train with a learning rate that falls to 0, as the lessons do."""
    import keras

    schedule = keras.optimizers.schedules.PolynomialDecay(learning_rate, epochs * math.ceil(len(x) / 64), 0.0)
    model.compile(optimizer=keras.optimizers.Adam(schedule, beta_2=0.99), loss=loss)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)


def sample(images):
    """Every seventh pixel of the result of Keras, to compare the browser's with."""
    return [_shorten(row) for row in np.asarray(images)[:, ::7]]


def flatten(x):
    return x.reshape(len(x), -1)


def export_code(data):
    """Lesson 01 with two units: the decoder, and the codes of 1,000 test images."""
    import keras

    keras.utils.set_random_seed(0)
    encoder, decoder = build_halves(2)
    x = flatten(data.x_train)
    train(keras.Sequential([encoder, decoder]), data.x_train, x, epochs=3)
    return describe_code(decoder, encoder.predict(data.x_test, verbose=0), data)


def describe_code(decoder, z, data):
    """What a page needs that shows a map of codes and what the decoder makes of its points."""
    probes = np.quantile(z, [0.1, 0.5, 0.9], axis=0).round(3)
    return {
        "decoder": pack_layers(decoder),
        "points": pack(z[:1000]),
        "labels": data.y_test[:1000].tolist(),
        "classes": list(data.class_names),
        "probes": probes.tolist(),
        "expected": sample(decoder.predict(probes, verbose=0)),
    }


def export_vae(data, epochs=3):
    """A variational autoencoder with two units: its decoder, and the mean codes of 1,000 test images."""
    import keras
    from keras import layers, ops

    class Sample(layers.Layer):
        """Draw a code around its mean, and add the divergence from the standard normal distribution to the loss."""

        def __init__(self):
            super().__init__()
            self.noise = keras.random.SeedGenerator(0)

        def call(self, mean, log_var):
            self.add_loss(0.5 * ops.mean(ops.sum(ops.exp(log_var) + mean**2 - 1 - log_var, axis=1)) / 784)
            return mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean), seed=self.noise)

    keras.utils.set_random_seed(0)
    x = keras.Input((784,))
    hidden = layers.Dense(256, activation="elu")(x)
    mean, log_var = layers.Dense(2)(hidden), layers.Dense(2)(hidden)
    _, decoder = build_halves(2)
    train(keras.Model(x, decoder(Sample()(mean, log_var))), *2 * [flatten(data.x_train)], epochs, 0.003, "binary_crossentropy")
    return describe_code(decoder, keras.Model(x, mean).predict(flatten(data.x_test), verbose=0), data)


def export_threshold(data):
    """Lesson 04: the scores of all test images by a network that has seen threes only, and some of the images."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    normal = 3
    x_train, x_val, x_test = (flatten(x) for x in (data.x_train, data.x_val, data.x_test))
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(784, activation="sigmoid"),
        ]
    )
    x_train, x_val = x_train[data.y_train == normal], x_val[data.y_val == normal]
    train(model, x_train, x_train, epochs=10)

    def score(x):
        error = np.mean((x - model.predict(x, batch_size=2048, verbose=0)) ** 2, axis=1)
        return error / (np.sqrt(np.mean(x**2, axis=1)) + 0.01)

    scores, is_anomaly = score(x_test), data.y_test != normal
    chosen = []
    for which in (~is_anomaly, is_anomaly):  # twelve of each, from the lowest score to the highest
        order = np.flatnonzero(which)[np.argsort(scores[which])]
        chosen += order[np.linspace(0, len(order) - 1, 12).astype(int)].tolist()
    from sklearn.metrics import roc_auc_score

    return {
        "auroc": float(f"{roc_auc_score(is_anomaly, scores):.5f}"),
        "scores": pack_row(scores),
        "is_anomaly": "".join("01"[int(flag)] for flag in is_anomaly),
        "quantile": float(f"{np.quantile(score(x_val), 0.95):.6f}"),
        "chosen": chosen,
        "images": pack_row(x_test[chosen]),
    }


def export_units(data, sizes=(1, 2, 4, 8, 16, 32, 64), epochs=1):
    """Lesson 01: PCA of 64 components, and autoencoders of several sizes on eight test images."""
    import keras
    from sklearn.decomposition import PCA

    x_train, x_val = flatten(data.x_train), flatten(data.x_val)
    eight = data.x_test[:8]
    pca = PCA(64, random_state=0).fit(x_train)
    z = pca.transform(x_val)
    errors = [np.mean((x_val - (z[:, :n] @ pca.components_[:n] + pca.mean_).clip(0, 1)) ** 2) for n in range(1, 65)]
    networks = []
    for size in sizes:
        keras.utils.set_random_seed(0)
        encoder, decoder = build_halves(size)
        model = keras.Sequential([encoder, decoder])
        train(model, data.x_train, x_train, epochs=epochs)
        error = np.mean((x_val - model.predict(data.x_val, batch_size=1000, verbose=0)) ** 2)
        images = pack_row(model.predict(eight, verbose=0))
        networks.append({"units": size, "error": float(f"{error:.5f}"), "images": images})
    return {
        "images": pack_row(flatten(eight)),
        "mean": pack_row(pca.mean_),
        "components": pack(pca.components_.T),
        "errors": [float(f"{error:.5f}") for error in errors],
        "networks": networks,
        "epochs": epochs,
        "expected": sample((pca.transform(flatten(eight))[:, :10] @ pca.components_[:10] + pca.mean_).clip(0, 1)),
    }


def export_noise(data, sigma=0.5):
    """Lesson 03's task with one hidden layer: noise of one strength in training, eight test images."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = flatten(data.x_train)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.GaussianNoise(sigma, seed=0),
            layers.ReLU(max_value=1),
            layers.Dense(128, activation="relu"),
            layers.Dense(784, activation="sigmoid"),
        ]
    )
    train(model, x, x, epochs=3)
    eight = flatten(data.x_test[:8])
    expected = sample(model.predict(eight, verbose=0))  # without noise
    return {"layers": pack_layers(model), "images": pack_row(eight), "sigma": sigma, "expected": expected}


EXPORTS = {
    "code": (export_code, "fashion_mnist"),
    "vae": (export_vae, "fashion_mnist"),
    "threshold": (export_threshold, "mnist"),
    "units": (export_units, "fashion_mnist"),
    "noise": (export_noise, "fashion_mnist"),
}


def main(names):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from aeutils import load_dataset

    for name in names or EXPORTS:
        export, dataset = EXPORTS[name]
        write(name, {"page": name, **export(load_dataset(dataset))})


if __name__ == "__main__":
    main(sys.argv[1:])
