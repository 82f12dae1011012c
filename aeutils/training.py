"""Training: Keras's own `fit`, set up to be quick on a laptop and quiet in a notebook."""

import functools
import math
import time
import types
import warnings
import weakref

import numpy as np

from aeutils.backend import keras, tf
from aeutils.errors import UserError
from aeutils.progress import Progress

USUAL_VALUES = 784  # of one image in the lessons, for which their learning rates were chosen
LONG = 600  # seconds; a training that will take longer says so soon after its start
BLOCK_BYTES = 32 * 2**20  # of images in one block
N_REMEMBERED = 4  # trainers kept for models that are trained again


class TrainingError(UserError, MemoryError):
    """A training that cannot be done on this computer."""


def plan_training(x, *, epochs, batch_size, learning_rate, min_steps, model=None):
    """Fit the length of a training and its learning rate to the size of the data.

    A few epochs are enough for the 54,000 images of the lessons. Small data would get few steps, and the network would
    stay untrained. Large images need a smaller learning rate: with it, the outputs of a dense layer change about as much
    in one step as for the images of the lessons. If anything is changed, one line says what. If the training will take more
    than ten minutes, another line says how long, how much memory it needs, and what would shorten it.

    Parameters
    ----------
    x : numpy.ndarray
        Training examples, first axis n.
    epochs, batch_size : int
    learning_rate : float
        For images of 784 values. It is multiplied by 784 / number of values, if that is below 1.
    min_steps : int
        Smallest number of training steps. More epochs are added to reach it; 0 keeps `epochs`.
    model : keras.Model, optional
        For the estimate of time and memory, which is made from its layers and the speed of this computer.

    Returns
    -------
    epochs : int
    learning_rate : float

    Examples
    --------
    >>> plan_training(np.zeros((640, 4)), epochs=3, batch_size=64, learning_rate=0.005, min_steps=100)
    640 examples are 10 steps an epoch: 10 epochs instead of 3, so that there are 100 steps.
    (10, 0.005)
    """
    steps = -(-len(x) // batch_size)
    enough = max(epochs, -(-min_steps // steps))
    rate = learning_rate * min(1, USUAL_VALUES / max(1, x[0].size))
    if enough > epochs:
        print(
            f"{len(x):,} examples are {steps:,} {'step' if steps == 1 else 'steps'} an epoch: {enough} epochs instead of {epochs}, "
            f"so that there are {enough * steps:,} steps."
        )
    if rate < learning_rate:
        print(f"An example has {x[0].size:,} values: learning rate {rate:.2g} instead of {learning_rate:g}.")
    if model is not None:
        _announce(model, x, enough * steps, batch_size)
    return enough, rate


def _announce(model, x, n_steps, batch_size):
    """Print how long a training will take and how much memory it needs, if it is long."""
    seconds, n_bytes = estimate_training(model, n_steps, batch_size)
    if seconds > LONG:
        print(
            f"This training will take about {seconds / 60:.0f} minutes and {(n_bytes + x.nbytes) / 2**30:.1f} GiB of memory. To make "
            "it shorter: smaller images (python -m aeutils import FOLDER out.npz --size 32), fewer examples (limit), fewer hidden "
            "units, fewer epochs or steps.",
            flush=True,
        )


def estimate_training(model, n_steps, batch_size):
    """Estimate the time and the memory of a training from the layers of a model, before it starts.

    Parameters
    ----------
    model : keras.Model
        Built. Dense and convolutional layers are counted, also inside of other models.
    n_steps, batch_size : int

    Returns
    -------
    seconds : float
        Three passes of multiplications for each step (forward, and backward for weights and inputs), at two thirds of the
        speed that a matrix product reaches on this computer now, plus a millisecond a step.
    n_bytes : int
        For weights, gradients and Adam's two moments.
    """
    products = batch_size * n_steps * 3.0 * _count_multiplications(model)
    return 1.5 * products / _measure_speed() + n_steps / 1000, 16 * model.count_params()


def _count_multiplications(layer):
    """Multiplications of one example in a forward pass."""
    if hasattr(layer, "layers"):
        return sum(_count_multiplications(part) for part in layer.layers)
    if getattr(layer, "kernel", None) is None or len(layer.output.shape) < 2:
        return 0
    kernel = math.prod(layer.kernel.shape)
    if len(layer.kernel.shape) == 2:
        return kernel
    larger = layer.input if "Transpose" in type(layer).__name__ else layer.output
    return kernel * math.prod(larger.shape[1:-1])


@functools.cache
def _measure_speed():
    """Multiplications a second of TensorFlow's matrix product."""
    a = tf.ones((1024, 1024))
    times = []
    for _ in range(4):  # the first is a warm-up
        start = time.perf_counter()
        tf.linalg.matmul(a, a).numpy()
        times.append(time.perf_counter() - start)
    return 1024**3 / min(times)


def fit(
    model,
    x,
    y,
    *,
    epochs,
    batch_size=64,
    learning_rate=5e-3,
    decay=True,
    loss="mse",
    metrics=(),
    validation_data=None,
    callbacks=(),
    seed=0,
    verbose=True,
):
    """Compile `model` and train it with Keras, quickly and with one line of output.

    It does what ``model.compile(...)`` and ``model.fit(...)`` do, with these differences:

    - Adam's learning rate falls in a straight line from `learning_rate` to 0 over the whole training, and ``beta_2`` is
      0.99. The rate can therefore start several times higher than the usual 1e-3, and a few epochs are enough.
    - Batches are trained in blocks of up to 128. Callbacks run once per block, not once per batch.
    - A second training of the same model with the same settings is not compiled again. The optimizer starts from zero in
      every training.
    - A progress bar is shown during the training; afterwards one summary line remains in the notebook. A training that
      will take more than ten minutes says so before it starts. One that needs more memory than there is does not start.

    The model stays an ordinary Keras model: afterwards it can be evaluated, trained further with ``model.fit``, or saved
    and loaded anywhere. A model with its own ``train_step`` or ``compute_loss`` is trained by it, batch by batch.

    Parameters
    ----------
    model : keras.Model
        Built or not, compiled or not. The training starts from its present weights.
    x, y : numpy.ndarray
        Inputs and targets, first axis n. For an autoencoder they are the same array.
    epochs, batch_size : int
    learning_rate : float
        The highest rate, used in the first step.
    decay : bool
        If False, the rate is constant and ``beta_2`` is Adam's default 0.999. Use it when the length of the training is
        not known in advance, or to repeat what others did.
    loss, metrics
        As in ``model.compile``.
    validation_data : tuple (x_val, y_val), optional
        Evaluated after each epoch.
    callbacks : sequence of keras.callbacks.Callback
    seed : int
        Seed of the order of the images. To seed the weights, call `keras.utils.set_random_seed` before building the model.
    verbose : bool
        If False, show neither progress bar nor summary line.

    Returns
    -------
    keras.callbacks.History
        ``history.history["loss"]``: mean over the images of each epoch; ``"val_loss"`` after each epoch.

    Raises
    ------
    TypeError
        `x` or `y` is not a NumPy array.
    ValueError
        `x` and `y` have different lengths or are empty; `epochs` or `batch_size` below 1; `learning_rate` not positive.
    TrainingError
        The weights and what Adam keeps for them need more memory than this computer has.

    References
    ----------
    Kingma & Ba 2015, arXiv:1412.6980, algorithm 1 (Adam). Introduced in notebook 01.
    """
    _check_arguments(x, y, epochs, batch_size, learning_rate)
    _check_memory(model, x)
    steps = -(-len(x) // batch_size)
    settings = (epochs * steps if decay else None, batch_size, float(learning_rate), loss, tuple(metrics))
    if _has_own_step(model):
        _compile(model, keras.optimizers.Adam, model, *settings)
        trainer, block = model, 1
    else:
        trainer = _find_trainer(model, settings)
        block = min(steps, 128, max(1, BLOCK_BYTES // (batch_size * x[:1].nbytes)))  # batches

    if verbose and model.built:
        _announce(model, x, epochs * steps, batch_size)
    bar = Progress(total=epochs * steps, desc="training", unit="step") if verbose else None
    shown = [_ShowProgress(bar, steps, block)] if bar else []
    history = trainer.history = keras.callbacks.History()
    start = time.perf_counter()
    summary = ""
    try:
        trainer.fit(
            _make_blocks(x, y, block * batch_size, seed),
            epochs=epochs,
            validation_data=validation_data,
            validation_batch_size=1024,
            callbacks=keras.callbacks.CallbackList([*shown, *callbacks, history], model=model, epochs=epochs, verbose=0),
            verbose=0,
            shuffle=False,  # the blocks already are
        )
        summary = _summarize(history.history, len(history.epoch), steps, time.perf_counter() - start)
    finally:
        if bar:
            bar.finish(summary)
    if not model.optimizer.built:  # a saved model would load with a warning
        model.optimizer.build(model.trainable_variables)
    return history


def _check_arguments(x, y, epochs, batch_size, learning_rate):
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{name} is a {type(value).__name__}; expected a NumPy array, which np.asarray({name}) makes of it")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x has {len(x)} rows and y has {len(y)}; expected the same number, at least one")
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate={learning_rate!r}: expected a number above 0, for example 5e-3")


def _check_memory(model, x):
    if not model.built:
        return
    import psutil

    weights = 4 * model.count_params()
    needed, available = 4 * weights, psutil.virtual_memory().available  # weights, gradients, and two moments of Adam
    if needed > available:
        raise TrainingError(
            f"the training needs {needed / 2**30:.1f} GiB for the {model.count_params():,} weights of this network, and "
            f"{available / 2**30:.1f} GiB of memory are free; expected a smaller network. An example has {x[0].size:,} values: smaller "
            "images (python -m aeutils import FOLDER out.npz --size 64) or fewer hidden units help"
        )


# ---- The model that trains another one ----


class BlockTrainer(keras.Model):
    """Trains a model on blocks: one call of `train_step` loops over all batches of a block, compiled by TensorFlow."""

    def __init__(self, model, batch_size):
        super().__init__()
        self.model, self.batch_size = model, batch_size

    def call(self, inputs, training=None):
        return self.model(inputs)  # Keras passes `training` on

    def train_step(self, data):
        x, y = data

        def step(start):
            end = start + self.batch_size
            keras.Model.train_step(self, (x[start:end], y[start:end]))
            return end

        tf.while_loop(lambda start: start < tf.shape(x)[0], step, [0], parallel_iterations=1)
        return self.get_metrics_result()

    @property
    def stop_training(self):
        """Set by callbacks, which know the trained model only."""
        return self.model.stop_training

    @stop_training.setter
    def stop_training(self, value):
        self.model.stop_training = value


class FusedAdam(keras.optimizers.Adam):
    """Adam with TensorFlow's fused kernel: the same formula, in one operation for each variable.

    If this version of Keras does not offer what the kernel needs, Keras's own update is used, with one warning.
    """

    def add_variable_from_reference(self, reference_variable, name=None, initializer="zeros"):
        slot = super().add_variable_from_reference(reference_variable, name=name, initializer=initializer)
        if not hasattr(self, "slots"):
            self.slots = types.SimpleNamespace(of={})  # not a dict, which Keras would search for variables
        self.slots.of.setdefault(_get_tensor(reference_variable).ref(), {})[name] = slot
        return slot

    def update_step(self, gradient, variable, learning_rate):
        try:
            slots = self.slots.of[_get_tensor(variable).ref()]
            var, m, v = (_get_tensor(part).handle for part in (variable, slots["momentum"], slots["velocity"]))
        except (AttributeError, KeyError) as error:
            _warn_once(f"Adam is not fused with this version of Keras ({error!r}); training is slower, not different")
            return super().update_step(gradient, variable, learning_rate)

        def power(beta):
            return tf.pow(tf.constant(beta, variable.dtype), tf.cast(self.iterations + 1, variable.dtype))

        tf.raw_ops.ResourceApplyAdam(
            var=var,
            m=m,
            v=v,
            beta1_power=power(self.beta_1),
            beta2_power=power(self.beta_2),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


@functools.cache
def _warn_once(text):
    warnings.warn(text, stacklevel=3)


def _get_tensor(variable):
    """TensorFlow's variable inside Keras's."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _has_own_step(model):
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in ("train_step", "compute_loss"))


_trainers = []  # the latest few


def _find_trainer(model, settings):
    """The compiled trainer of a model, with its optimizer at zero; one of an earlier training if everything is the same."""
    key = (settings, [id(weight) for weight in model.trainable_variables])  # freezing a layer changes the latter
    trainer = next((trainer for trainer in _trainers if trainer.model is model and trainer.key.value == key), None)
    if trainer:
        _trainers.remove(trainer)
        for variable in trainer.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
    else:
        _compile(model, keras.optimizers.Adam, model, *settings)
        trainer = BlockTrainer(model, settings[1])
        trainer.key = types.SimpleNamespace(value=key)
        _compile(trainer, FusedAdam, model, *settings)
    _trainers.append(trainer)
    del _trainers[:-N_REMEMBERED]
    return trainer


def _compile(trainer, adam, model, total_steps, batch_size, learning_rate, loss, metrics):
    decay = total_steps is not None
    end = 0.0 if decay else learning_rate
    schedule = keras.optimizers.schedules.PolynomialDecay(learning_rate, total_steps or 1, end)
    trainer.compile(
        optimizer=adam(schedule, beta_2=0.99 if decay else 0.999),
        loss=loss,
        metrics=list(metrics),
        jit_compile=False,  # XLA is slower for models of this size on a CPU
    )
    if model.built:  # otherwise Keras does it during the first step
        trainer.optimizer.build(model.trainable_variables)


# ---- Data and progress ----


def _make_blocks(x, y, size, seed):
    """Shuffled blocks of (x, y), cut by NumPy in the background; TensorFlow would copy all images first."""
    arrays = [x] if y is x else [x, y]
    held = [weakref.ref(array) for array in arrays]  # TensorFlow never frees a function given to numpy_function

    def take(index):
        return [array()[index] for array in held]

    def gather(index):
        block = tf.numpy_function(take, [index], [array.dtype for array in arrays], stateful=False)
        for tensor, array in zip(block, arrays):
            tensor.set_shape([None, *array.shape[1:]])
        return block[0], block[-1]

    options = tf.data.Options()
    options.autotune.enabled = False  # there is nothing to tune, and ending its thread can take seconds
    return tf.data.Dataset.range(len(x)).shuffle(len(x), seed=seed).batch(size).map(gather).prefetch(1).with_options(options)


class _ShowProgress(keras.callbacks.Callback):
    def __init__(self, bar, steps, block):
        super().__init__()
        self.bar, self.steps, self.block, self.epoch = bar, steps, block, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(self.epoch * self.steps + min((batch + 1) * self.block, self.steps) - self.bar.n)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in (logs or {}).items()}, refresh=False)


def _summarize(history, epochs, steps, seconds):
    last = ", ".join(f"{name} {values[-1]:.4f}" for name, values in history.items())
    diverged = "" if np.isfinite(history["loss"][-1]) else " (it diverged: choose a smaller learning_rate)"
    return f"{epochs} {'epoch' if epochs == 1 else 'epochs'} of {steps:,} steps in {seconds:.1f} s: {last}{diverged}"
