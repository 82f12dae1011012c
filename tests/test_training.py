import gc
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
from keras import layers

from aeutils import training
from aeutils.training import fit


def _model():
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="elu"), layers.Dense(6)])


@pytest.fixture
def x():
    return np.random.default_rng(0).random((500, 6), dtype=np.float32)


def test_two_runs_are_equal_and_another_seed_is_not(x):
    losses, weights = [], []
    for seed in (0, 0, 1):
        model = _model()
        losses.append(fit(model, x, x, epochs=3, seed=seed).history["loss"])
        weights.append(model.get_weights())
    assert losses[0] == losses[1] and all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1]))
    assert losses[0] != losses[2]


def test_loss_falls_and_one_line_is_printed(x, capsys):
    history = fit(_model(), x, x, epochs=10, validation_data=(x[:50], x[:50]))
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert len(history.history["val_loss"]) == 10
    printed = capsys.readouterr()
    assert printed.out.startswith("10 epochs of 8 steps in ") and printed.out.count("\n") == 1
    assert "val_loss" in printed.out and printed.err == ""


def test_second_training_of_a_model_starts_afresh(x):
    """It is not compiled again, but the optimizer is at zero: equal to the first training, and to that of a new model."""
    model = _model()
    start = model.get_weights()
    first = fit(model, x, x, epochs=2).history["loss"]
    trainer = training._trainers[-1]
    model.set_weights(start)
    assert fit(model, x, x, epochs=2).history["loss"] == first
    assert training._trainers[-1] is trainer
    first_weights = model.get_weights()[0]
    model.layers[0].trainable = False
    fit(model, x, x, epochs=2)
    assert np.array_equal(model.get_weights()[0], first_weights) and training._trainers[-1] is not trainer
    model.layers[0].trainable = True
    model.set_weights(start)
    assert fit(model, x, x, epochs=3).history["loss"] == fit(_model(), x, x, epochs=3).history["loss"]


def test_same_batches_give_the_losses_of_keras_own_loop(x):
    """500 rows in batches of 64: a block of eight batches, the last one short, twice over."""
    import tensorflow as tf

    order = tf.data.Dataset.range(500).shuffle(500, seed=0).batch(64)
    model = _model()
    schedule = keras.optimizers.schedules.PolynomialDecay(5e-3, 16, 0.0)
    model.compile(optimizer=keras.optimizers.Adam(schedule, beta_2=0.99), loss="mse")
    losses = model.fit(order.map(lambda i: (tf.gather(x, i), tf.gather(x, i))), epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(fit(_model(), x, x, epochs=2).history["loss"], losses, rtol=1e-5)


def test_length_of_a_block_changes_nothing(x, monkeypatch):
    expected = fit(_model(), x, x, epochs=2).history["loss"]
    ends = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(batch))
    monkeypatch.setattr("aeutils.training.BLOCK_BYTES", 3 * 64 * x[:1].nbytes)
    assert fit(_model(), x, x, epochs=2, callbacks=[count]).history["loss"] == expected
    assert ends == [0, 1, 2, 0, 1, 2]  # three blocks of three, three and two batches


def test_keras_can_fit_the_model_afterwards(x):
    model = _model()
    fit(model, x, x, epochs=1, decay=False)
    after = model.fit(x, x, batch_size=50, epochs=3, verbose=0)
    assert after.params["steps"] == 10 and after.history["loss"][-1] < after.history["loss"][0]


def test_model_without_input_is_built_on_the_way(x):
    model = keras.Sequential([layers.Dense(3), layers.Dense(6)])
    history = fit(model, x, x, epochs=10)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_only_the_latest_models_are_remembered(x):
    models = [_model() for _ in range(training.N_REMEMBERED + 2)]
    for model in models:
        fit(model, x, x, epochs=1, verbose=False)
    assert [trainer.model for trainer in training._trainers] == models[2:]


def test_losses_of_layers_count(x):
    """Regularisers and losses that a layer adds are part of the loss, as in Keras's own loop."""

    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * keras.ops.mean(inputs**2))
            return inputs

    def build():
        keras.utils.set_random_seed(3)
        return keras.Sequential(
            [keras.Input((6,)), layers.Dense(3, kernel_regularizer="l2", activity_regularizer="l1"), Penalty(), layers.Dense(6)]
        )

    ours, plain = build(), build()
    losses = fit(ours, x, x, epochs=2, batch_size=len(x), learning_rate=1e-2, decay=False).history["loss"]
    plain.compile(keras.optimizers.Adam(1e-2), "mse")
    np.testing.assert_allclose(losses, plain.fit(x, x, epochs=2, batch_size=len(x), verbose=0).history["loss"], rtol=1e-5)
    assert losses[0] > 1.2 * keras.ops.mean((build()(x) - x) ** 2), "the penalties are not small here"


def test_model_with_its_own_training_step_is_trained_by_it(x):
    steps = []

    class Own(keras.Sequential):
        def train_step(self, data):
            steps.append(True)  # while it is traced
            return super().train_step(data)

    own = Own([keras.Input((6,)), layers.Dense(3, activation="elu"), layers.Dense(6)])
    own.set_weights(_model().get_weights())
    losses = fit(own, x, x, epochs=2).history["loss"]
    assert steps
    np.testing.assert_allclose(losses, fit(_model(), x, x, epochs=2).history["loss"], rtol=1e-5)


def test_callbacks_see_the_users_model(x, tmp_path):
    """So a checkpoint holds this model, and early stopping puts its best weights back."""
    model = _model()
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras")
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=10.0, restore_best_weights=True)
    history = fit(model, x, x, epochs=20, decay=False, callbacks=[best, stop])
    assert history.model is model and stop.model is model and len(history.epoch) == 2
    saved = keras.models.load_model(tmp_path / "best.keras")
    assert [weight.shape for weight in saved.weights] == [weight.shape for weight in model.weights]
    after_one = _model()
    fit(after_one, x, x, epochs=1, decay=False)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), after_one.get_weights())), "the weights of epoch 1"


def test_nothing_on_the_users_model_is_replaced(x):
    model = _model()
    before = dict(vars(type(model))), set(vars(model))
    fit(model, x, x, epochs=1)
    methods = ("fit", "train_step", "make_train_function", "call", "compute_loss", "get_metrics_result")
    assert not set(methods) & set(vars(model)), "no method is shadowed by an attribute"
    assert dict(vars(type(model))) == before[0] and model.train_function is None


def test_plain_adam_takes_over_where_keras_lacks_what_the_fused_one_needs(x, monkeypatch):
    """As if another version of Keras called Adam's moments by other names: the same losses, and one warning."""
    expected = fit(_model(), x, x, epochs=2).history["loss"]
    original = training.FusedAdam.add_variable_from_reference

    def rename(self, reference_variable, name=None, initializer="zeros"):
        return original(self, reference_variable, name=f"new_{name}", initializer=initializer)

    monkeypatch.setattr(training.FusedAdam, "add_variable_from_reference", rename)
    training._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="Adam is not fused with this version of Keras") as warned:
        losses = fit(_model(), x, x, epochs=2).history["loss"]
    assert len(warned) == 1
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_this_version_of_keras_offers_what_the_fused_adam_needs(x):
    """A new release that ends this is to be noticed here, not by slow notebooks."""
    import warnings

    training._warn_once.cache_clear()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Adam is not fused")
        fit(_model(), x, x, epochs=1)


# ---- Length, time and memory ----


def test_plan_gives_small_data_more_epochs_and_large_images_a_smaller_rate(capsys):
    settings = {"batch_size": 64, "learning_rate": 0.005}
    assert training.plan_training(np.zeros((640, 2)), epochs=3, min_steps=0, **settings) == (3, 0.005)
    assert training.plan_training(np.zeros((640, 784)), epochs=3, min_steps=30, **settings) == (3, 0.005)
    assert capsys.readouterr().out == ""
    assert training.plan_training(np.zeros((640, 784)), epochs=3, min_steps=31, **settings) == (4, 0.005)
    assert capsys.readouterr().out == "640 examples are 10 steps an epoch: 4 epochs instead of 3, so that there are 40 steps.\n"
    epochs, rate = training.plan_training(np.zeros((10, 28, 28, 4)), epochs=3, min_steps=0, **settings)
    assert (epochs, rate) == (3, 0.00125)
    assert capsys.readouterr().out == "An example has 3,136 values: learning rate 0.0013 instead of 0.005.\n"


def test_multiplications_are_counted_by_layer():
    layers = keras.layers
    dense = keras.Sequential([keras.Input((5,)), layers.Dense(7), layers.ReLU(), layers.Dense(2)])
    assert training._count_multiplications(dense) == 5 * 7 + 7 * 2
    down = layers.Conv2D(4, 3, strides=2, padding="same")  # to 4x4 places
    up = layers.Conv2DTranspose(2, 3, strides=2, padding="same")  # from 4x4 places
    conv = keras.Sequential([keras.Input((8, 8, 3)), down, up])
    assert training._count_multiplications(conv) == 3 * 3 * 3 * 4 * 16 + 3 * 3 * 4 * 2 * 16
    assert training._count_multiplications(keras.Sequential([keras.Input((8, 8, 3)), conv])) == (108 + 72) * 16


def test_long_training_is_announced_before_it_starts(monkeypatch, capsys):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    monkeypatch.setattr(training, "_measure_speed", lambda: 1e6)
    seconds, n_bytes = training.estimate_training(model, 1000, 10)
    assert seconds == pytest.approx(1.5 * 3 * 1e4 * 10 * 1000 / 1e6 + 1) and n_bytes == 16 * 10_100
    plan = {"epochs": 1, "batch_size": 10, "learning_rate": 0.01, "model": model}
    training.plan_training(np.zeros((100, 100)), min_steps=1000, **plan)
    assert "This training" not in capsys.readouterr().out, "450 seconds"
    training.plan_training(np.zeros((100, 100)), min_steps=2000, **plan)
    assert "This training will take about 15 minutes and 0.0 GiB of memory. To make it shorter:" in capsys.readouterr().out


def test_fit_announces_a_long_training_too(monkeypatch, capsys, x):
    monkeypatch.setattr(training, "LONG", 0)
    fit(_model(), x, x, epochs=2, batch_size=8)
    assert capsys.readouterr().out.count("This training will take about 0 minutes") == 1
    fit(_model(), x, x, epochs=1, verbose=False)
    assert capsys.readouterr().out == ""


def test_training_without_enough_memory_does_not_start(monkeypatch, x):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 10})())
    model = _model()
    with pytest.raises(
        training.TrainingError, match="for the .* weights of this network, and 0.0 GiB of memory are free.*--size"
    ):
        fit(model, x, x, epochs=1)


def test_images_are_freed_after_the_training():
    x = np.random.default_rng(0).random((300, 6), dtype="float32")
    y = x.copy()
    x_left, y_left = weakref.ref(x), weakref.ref(y)
    fit(_model(), x, y, epochs=1)
    del x, y
    gc.collect()
    assert x_left() is None and y_left() is None


def test_silent_training_prints_nothing(x, capsys):
    fit(_model(), x, x, epochs=1, verbose=False)
    assert capsys.readouterr() == ("", "")


def test_update_is_adams(x):
    """The fused update gives the weights of Keras's own Adam with the same schedule, step for step."""
    fused, plain = _model(), _model()
    fit(fused, x, x, epochs=2, batch_size=len(x), learning_rate=1e-2)
    schedule = keras.optimizers.schedules.PolynomialDecay(1e-2, 2, 0.0)
    plain.compile(keras.optimizers.Adam(schedule, beta_2=0.99), "mse")
    plain.fit(x, x, epochs=2, batch_size=len(x), shuffle=False, verbose=0)
    for a, b in zip(fused.get_weights(), plain.get_weights()):
        assert np.allclose(a, b, atol=1e-6)
    assert not np.allclose(fused.get_weights()[0], _model().get_weights()[0], atol=1e-3), "and the weights moved"


def test_without_decay_the_update_is_plain_adam(x):
    fused, plain = _model(), _model()
    start = fused.get_weights()
    plain.compile(keras.optimizers.Adam(1e-2), "mse")
    plain.fit(x, x, epochs=3, batch_size=len(x), shuffle=False, verbose=0)
    for epochs in (2, 3):  # the second time is neither traced again nor does it go on from the first
        fused.set_weights(start)
        fit(fused, x, x, epochs=epochs, batch_size=len(x), learning_rate=1e-2, decay=False)
    for a, b in zip(fused.get_weights(), plain.get_weights()):
        assert np.allclose(a, b, atol=1e-6)


def test_summary_counts_the_epochs_that_were_run(x, capsys):
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=10.0)
    fit(_model(), x, x, epochs=20, decay=False, callbacks=[stop])
    assert capsys.readouterr().out.startswith("2 epochs of 8 steps")


def test_targets_other_than_inputs_are_used(x):
    model = _model()
    fit(model, x, np.full_like(x, 2.0), epochs=60, learning_rate=3e-2)
    assert np.abs(model.predict(x, verbose=0) - 2).mean() < 0.1


def test_loss_and_metrics_are_passed_on(x):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, activation="softmax")])
    y = (x[:, 0] > 0.5).astype(int)
    history = fit(model, x, y, epochs=40, learning_rate=5e-2, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    assert history.history["accuracy"][-1] > 0.9


def test_every_row_is_seen_once_an_epoch():
    x = np.arange(10, dtype=np.float32)[:, None]
    seen = []

    class Spy(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs, training=False):
            if training:
                import tensorflow as tf

                tf.py_function(lambda batch: seen.extend(batch.numpy().ravel().tolist()), [inputs], [])
            return self.dense(inputs)

    fit(Spy(), x, x, epochs=2, batch_size=4)
    assert sorted(seen) == sorted([*range(10)] * 2)
    assert seen[:10] != seen[10:], "each epoch has an order of its own"


def test_saved_model_loads_as_a_plain_keras_model(x, tmp_path):
    model = _model()
    fit(model, x, x, epochs=1)
    model.save(tmp_path / "model.keras")
    code = (
        "import keras, sys; m = keras.models.load_model(sys.argv[1]);"
        "assert type(m.optimizer) is keras.optimizers.Adam and 'aeutils' not in sys.modules; print(m.count_params())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.keras")], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == model.count_params()


def test_divergence_is_said(x, capsys):
    fit(_model(), 1e30 * x, 1e30 * x, epochs=1)
    assert "choose a smaller learning_rate" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y": np.zeros((3, 6))}, "x has 500 rows and y has 3"),
        ({"epochs": 0}, "epochs=0: expected a whole number"),
        ({"epochs": 1.5}, "epochs=1.5: expected a whole number"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": 0}, "learning_rate=0: expected a number above 0"),
    ],
)
def test_bad_arguments(x, change, message):
    arguments = {"x": x, "y": x, "epochs": 1} | change
    with pytest.raises(ValueError, match=message):
        fit(_model(), **arguments)


def test_other_than_arrays_are_refused(x):
    with pytest.raises(TypeError, match=r"y is a list; expected a NumPy array, which np.asarray\(y\) makes of it"):
        fit(_model(), x, x.tolist(), epochs=1)
