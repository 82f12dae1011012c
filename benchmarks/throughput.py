"""Share of the machine's arithmetic peak in a steady epoch, and how an epoch grows with images, code size and batch.

The network is notebook 01's, 784-256-code-256-784. The peak is that of a large product of float32 matrices with the same
number of threads. A second figure is the rate of the network's own products, at its own batch size and nothing around
them: no training step of this network could be faster.
"""

import itertools
import time

import numpy as np

from benchmarks import measure

BASE = {"images": 60_000, "code": 64, "batch": 64}
VALUES = {
    "images": [10_000, 60_000, 120_000, 240_000],
    "code": [2, 32, 128, 512],
    "batch": [16, 64, 256, 1024],
}
HIDDEN = 256
WAYS = ("ours", "Keras fit")


def run(rounds=2, values=VALUES, base=BASE):
    """Peak, then a round of epochs with our `fit` and with Keras's own, and all of it again."""
    peaks, epochs = [], {way: {name: {value: [] for value in values[name]} for name in values} for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            peaks.append(measure.measure("throughput", what="peak", batch=base["batch"], code=base["code"]))
            taken = measure.measure("throughput", what="epochs", way=way, values=values, base=base)["epochs"]
            for name, value, seconds in taken:
                epochs[way][name][value].extend(seconds)
            print(f"{way}: " + ", ".join(f"{name} {value}: {min(s):.2f} s" for name, value, s in taken), flush=True)
    flops = base["images"] * count_flops(base["code"])
    rates = {way: flops / np.median(epochs[way]["images"][base["images"]]) / 1e9 for way in WAYS}
    peak = float(np.median([one["gflops"] for one in peaks]))
    return {
        "peak_gflops": measure.summarize([one["gflops"] for one in peaks]),
        "own_products_gflops": measure.summarize([one["own_gflops"] for one in peaks]),
        "epoch_gflops": rates,
        "share_of_peak": {way: rate / peak for way, rate in rates.items()},
        "base": base,
        "epochs": {
            way: {name: [[value, measure.summarize(s)] for value, s in by.items()] for name, by in names.items()}
            for way, names in epochs.items()
        },
    }


def layer_sizes(code):
    widths = [784, HIDDEN, code, HIDDEN, 784]
    return list(itertools.pairwise(widths))


def count_flops(code):
    """Multiplications and additions of one training step, per image: forward, weights' gradient, inputs' gradient.

    The gradient with respect to the images themselves is not needed, so the first layer has two products, the others three.
    """
    products = [n_in * n_out for n_in, n_out in layer_sizes(code)]
    return 2 * (3 * sum(products) - products[0])


def main(what, way=None, values=None, base=None, batch=64, code=64):
    if what == "peak":
        return {"gflops": _measure_peak(), "own_gflops": _measure_own_products(batch, code)}
    from aeutils import load_dataset

    data = load_dataset("fashion_mnist")
    x = np.concatenate([data.x_train, data.x_val])
    most = max([*values["images"], base["images"]])
    x = np.concatenate([x] * -(-most // len(x)))[:most]  # larger sets are copies: an epoch's time does not depend on it
    done, epochs = {}, []
    for name in values:
        for value in values[name]:
            setting = {**base, name: value}
            key = tuple(setting.values())
            if key not in done:
                done[key] = _time_epochs(way, x[: setting["images"]], setting["code"], setting["batch"])
            epochs.append([name, value, done[key]])
    return {"epochs": epochs}


def _best_seconds(function, repeats):
    function()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _measure_peak(n=3000):
    a, b = np.random.default_rng(0).standard_normal((2, n, n), dtype="float32")
    return 2 * n**3 / _best_seconds(lambda: a @ b, 10) / 1e9


def _measure_own_products(batch, code):
    """Rate of the products of one training step at the network's own sizes, with nothing between them."""
    rng, products = np.random.default_rng(0), []
    for number, (n_in, n_out) in enumerate(layer_sizes(code)):
        x, w, dy = (rng.standard_normal(shape, dtype="float32") for shape in ((batch, n_in), (n_in, n_out), (batch, n_out)))
        products += [(x, w), (x.T, dy)] + [(dy, w.T)] * (number > 0)
    outputs = [np.empty((len(a), b.shape[1]), "float32") for a, b in products]

    def step():
        for (a, b), output in zip(products, outputs):
            np.matmul(a, b, out=output)

    return batch * count_flops(code) / _best_seconds(step, 300) / 1e9


def _time_epochs(way, x, code, batch, epochs=2):
    """Seconds of every epoch but the first, which traces."""
    import keras
    from keras import layers

    from aeutils.training import fit

    keras.utils.set_random_seed(0)
    stack = [layers.Flatten(), layers.Dense(HIDDEN, activation="elu"), layers.Dense(code)]
    stack += [layers.Dense(HIDDEN, activation="elu"), layers.Dense(784, activation="sigmoid"), layers.Reshape((28, 28, 1))]
    model = keras.Sequential([keras.Input((28, 28, 1)), *stack])
    begin, seconds = [], []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: begin.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: seconds.append(time.perf_counter() - begin[-1]),
    )
    if way == "ours":
        fit(model, x, x, epochs=epochs, batch_size=batch, callbacks=[clock], verbose=False)
    else:
        model.compile(optimizer="adam", loss="mse")
        model.fit(x, x, epochs=epochs, batch_size=batch, callbacks=[clock], verbose=0)
    return seconds[1:]
