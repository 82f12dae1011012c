"""Time to quality: seconds of training until the test error is as low as that of the TensorFlow tutorial's recipe.

Fashion-MNIST, all 60,000 training images, code of 64 units (dense), or the tutorial's denoising network (convolutional).
The clock runs from the building of the model, tracing and compiling included, to the end of an epoch; imports, loading of
data and the evaluation after each epoch are off the clock for everybody. The error to reach is the tutorial's own after
its ten epochs, mean over the seeds.
"""

import time

import numpy as np

from benchmarks import measure

OURS = {"epochs": 1, "batch_size": 40, "learning_rate": 6e-3}  # chosen on the validation split, as are all settings of ours
OURS_CONVOLUTIONAL = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-2}
# name -> (how to train, its settings, the package it needs)
DENSE = {
    "TensorFlow tutorial": ("keras", {"network": "tutorial", "epochs": 10}, "keras"),
    "ours, tutorial's network": ("ours", {"network": "tutorial", "epochs": 10, "batch_size": 32, "learning_rate": 2e-3}, "keras"),
    "ours, notebook 01's network": ("ours", {"network": "notebook", **OURS}, "keras"),
    "PyTorch": ("torch", {"network": "tutorial", "epochs": 10}, "torch"),
    "PyTorch, Glorot start": ("torch", {"network": "tutorial", "epochs": 10, "glorot": True}, "torch"),
    "PyTorch, our network and recipe": ("torch", {"network": "notebook", "glorot": True, "recipe": "ours", **OURS}, "torch"),
    "MLPRegressor": ("sklearn", {"epochs": 8}, "sklearn"),
    "MLPRegressor, batch 32": ("sklearn", {"epochs": 3, "batch_size": 32}, "sklearn"),
}
CONVOLUTIONAL = {
    "TensorFlow tutorial": ("keras", {"network": "convolutional", "epochs": 10}, "keras"),
    "ours, tutorial's network": ("ours", {"network": "convolutional", **OURS_CONVOLUTIONAL, "epochs": 3}, "keras"),
    "ours, kernels of 4": ("ours", {"network": "kernels of 4", **OURS_CONVOLUTIONAL}, "keras"),
    "PyTorch": ("torch", {"network": "convolutional", "epochs": 10}, "torch"),
    "PyTorch, our network and recipe": (
        "torch",
        {"network": "kernels of 4", "glorot": True, "recipe": "ours", **OURS_CONVOLUTIONAL},
        "torch",
    ),
}


def run(seeds=5, convolutional_seeds=5, limit=0):
    """Every contender once with seed 0, then with seed 1, and so on: a slower hour of the machine hits all of them."""
    result = {}
    for part, contenders, n in (("dense", DENSE, seeds), ("convolutional", CONVOLUTIONAL, convolutional_seeds)):
        trainings = {name: [] for name, (_, _, package) in contenders.items() if measure.is_installed(package)}
        for seed in range(n):
            for name, taken in trainings.items():
                kind, settings, _ = contenders[name]
                taken.append(measure.measure("quality", kind=kind, settings=settings, seed=seed, limit=limit))
                last = taken[-1]
                print(f"{part}, seed {seed}, {name}: {last['seconds'][-1]:.1f} s, test MSE {last['mse'][-1]:.5f}", flush=True)
        result[part] = conclude(trainings)
        result[part]["not installed"] = sorted(set(contenders) - set(trainings))
    return result


def conclude(trainings, reference="TensorFlow tutorial"):
    """The error to reach, and for every contender the seconds until it was reached, seed by seed (None: never)."""
    target = float(np.mean([training["mse"][-1] for training in trainings[reference]]))
    contenders = {}
    for name, runs in trainings.items():
        if name == reference:  # it defines the target, so each of its seeds takes its whole training
            reached = [run["seconds"][-1] for run in runs]
        else:
            reached = [next((seconds for seconds, mse in zip(run["seconds"], run["mse"]) if mse <= target), None) for run in runs]
        contenders[name] = {
            "seconds_to_target": reached,
            "final_seconds": [run["seconds"][-1] for run in runs],
            "final_mse": [run["mse"][-1] for run in runs],
            "epochs": len(runs[0]["mse"]),
            "curves": [{"seconds": run["seconds"], "mse": run["mse"]} for run in runs],
            "load": [run.get("load") for run in runs],
        }
    return {"target_mse": target, "contenders": contenders}


def main(kind, settings, seed, dataset="fashion_mnist", limit=0, validation=False):
    """One training. Returns seconds on the clock and test MSE after every epoch."""
    from aeutils import load_dataset

    data = load_dataset(dataset)
    if validation:  # for choosing settings; the test images stay unseen
        x_train, x_test = data.x_train, data.x_val
    else:
        x_train, x_test = np.concatenate([data.x_train, data.x_val]), data.x_test
    if limit:
        x_train, x_test = x_train[:limit], x_test[:limit]
    y_train, y_test = x_train, x_test
    if settings.get("network") in ("convolutional", "kernels of 4"):
        rng = np.random.default_rng(0)
        x_train, x_test = (
            (x + 0.2 * rng.standard_normal(x.shape, dtype="float32")).clip(0, 1) for x in (x_train, x_test)
        )  # the tutorial's noise
    train = {"keras": _train_keras, "ours": _train_ours, "torch": _train_torch, "sklearn": _train_sklearn}[kind]
    clock = _Clock(y_test)
    train(x_train, y_train, x_test, clock=clock, seed=seed, **settings)
    return {"seconds": clock.seconds, "mse": clock.mse}


class _Clock:
    """Counts the seconds of training and keeps the evaluations between the epochs out of it."""

    def __init__(self, y_test):
        self.y_test, self.seconds, self.mse = y_test, [], []
        self.lost, self.begin = 0.0, None

    def start(self):
        self.begin = time.perf_counter()

    def end_epoch(self, predict):
        now = time.perf_counter()
        self.seconds.append(now - self.begin - self.lost)
        y_hat = np.asarray(predict()).reshape(self.y_test.shape)
        self.mse.append(float(np.mean((y_hat - self.y_test) ** 2)))
        self.lost += time.perf_counter() - now


def _build_keras(network):
    import keras
    from keras import layers

    same = {"padding": "same", "strides": 2}
    if network == "tutorial":
        stack = [layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(784, activation="sigmoid")]
    elif network == "notebook":
        stack = [layers.Flatten(), layers.Dense(256, activation="elu"), layers.Dense(64), layers.Dense(256, activation="elu")]
        stack += [layers.Dense(784, activation="sigmoid")]
    elif network == "convolutional":  # the tutorial's
        stack = [layers.Conv2D(n, 3, activation="relu", **same) for n in (16, 8)]
        stack += [layers.Conv2DTranspose(n, 3, activation="relu", **same) for n in (8, 16)]
        stack += [layers.Conv2D(1, 3, activation="sigmoid", padding="same")]
    else:  # every pixel lies in as many windows as any other, and no layer works at full resolution
        stack = [layers.Conv2D(n, 4, activation="relu", **same) for n in (16, 32)]
        stack += [
            layers.Conv2DTranspose(16, 4, activation="relu", **same),
            layers.Conv2DTranspose(1, 4, activation="sigmoid", **same),
        ]
    return keras.Sequential([keras.Input((28, 28, 1)), *stack, layers.Reshape((28, 28, 1))])


def _train_keras(x, y, x_test, clock, seed, network, epochs):
    """As in the tutorial: compile(optimizer='adam', loss=MSE) and fit with its default batch of 32."""
    import keras

    keras.utils.set_random_seed(seed)
    clock.start()
    model = _build_keras(network)
    model.compile(optimizer="adam", loss=keras.losses.MeanSquaredError())
    evaluate = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: clock.end_epoch(lambda: model.predict(x_test, batch_size=1024, verbose=0))
    )
    model.fit(x, y, epochs=epochs, shuffle=True, verbose=0, callbacks=[evaluate])


def _train_ours(x, y, x_test, clock, seed, network, epochs, **settings):
    import keras

    from aeutils.training import fit

    keras.utils.set_random_seed(seed)
    clock.start()
    model = _build_keras(network)
    evaluate = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: clock.end_epoch(lambda: model.predict(x_test, batch_size=1024, verbose=0))
    )
    fit(model, x, y, epochs=epochs, seed=seed, callbacks=[evaluate], verbose=False, **settings)


def _build_torch(network):
    from torch import nn

    if network == "tutorial":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 784), nn.Sigmoid())
    if network == "notebook":
        middle = [nn.Linear(256, 64), nn.Linear(64, 256), nn.ELU()]
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ELU(), *middle, nn.Linear(256, 784), nn.Sigmoid())
    if network == "convolutional":
        down, relu = {"kernel_size": 3, "stride": 2, "padding": 1}, nn.ReLU()
        up = {**down, "output_padding": 1}
        return nn.Sequential(
            *(nn.Conv2d(1, 16, **down), relu, nn.Conv2d(16, 8, **down), relu),
            *(nn.ConvTranspose2d(8, 8, **up), relu, nn.ConvTranspose2d(8, 16, **up), relu),
            *(nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid()),
        )
    half, relu = {"kernel_size": 4, "stride": 2, "padding": 1}, nn.ReLU()
    return nn.Sequential(
        *(nn.Conv2d(1, 16, **half), relu, nn.Conv2d(16, 32, **half), relu),
        *(nn.ConvTranspose2d(32, 16, **half), relu, nn.ConvTranspose2d(16, 1, **half), nn.Sigmoid()),
    )


def _train_torch(x, y, x_test, clock, seed, network, epochs, batch_size=32, learning_rate=1e-3, glorot=False, recipe="idiomatic"):
    """PyTorch as its tutorials write it. `recipe` "ours": a straight decay, beta2 .99, fused Adam, batches cut from memory."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(measure.CORES)
    x, y, x_test = (torch.from_numpy(images.reshape(-1, 1, 28, 28).copy()) for images in (x, y, x_test))
    clock.start()
    model = _build_torch(network)
    if isinstance(model[0], nn.Flatten):
        y = y.flatten(1)
    if glorot:
        for layer in model:
            if hasattr(layer, "weight"):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def predict():
        with torch.no_grad():
            return torch.cat([model(batch) for batch in x_test.split(1024)]).numpy()

    loss_function = nn.MSELoss()
    if recipe == "idiomatic":
        dataset = torch.utils.data.TensorDataset(x, y)
        batches = torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True)
        optimizer, schedule = torch.optim.Adam(model.parameters(), lr=learning_rate), None
    else:
        batches = _SlicedBatches(x, y, batch_size)
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, 0.99), fused=True)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=epochs * len(batches))
    for _ in range(epochs):
        for x_batch, y_batch in batches:
            loss = loss_function(model(x_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
        clock.end_epoch(predict)


class _SlicedBatches:
    """Shuffled batches cut from two tensors in memory, without a DataLoader's work for each image."""

    def __init__(self, x, y, batch_size):
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __iter__(self):
        import torch

        for index in torch.randperm(len(self.x)).split(self.batch_size):
            yield self.x[index], self.y[index]


def _train_sklearn(x, y, x_test, clock, seed, epochs, **settings):
    from sklearn.neural_network import MLPRegressor

    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    clock.start()
    model = MLPRegressor(hidden_layer_sizes=(64,), random_state=seed, **settings)
    for _ in range(epochs):
        model.partial_fit(x, x)
        clock.end_epoch(lambda: model.predict(x_test).clip(0, 1))
