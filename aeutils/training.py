"""Training: Keras's own `fit`, set up to be quick on a laptop and quiet in a notebook."""

import time
import weakref

import keras
import numpy as np
import tensorflow as tf

from aeutils.progress import Progress

BLOCK_BYTES = 32 * 2**20  # of images in one compiled loop


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
    """Compile `model` and train it with `keras.Model.fit`, quickly and with one line of output.

    What differs from a plain ``compile`` and ``fit``, and why:

    - Adam's learning rate falls in a straight line from `learning_rate` to 0 over the whole training, so it can start
      several times higher than the usual 1e-3 and a few epochs do the work of many; ``beta_2=0.99`` lets the step
      sizes follow within so few steps.
    - Up to 128 steps run in one compiled loop over a block of shuffled images before Python has its turn. The loop takes
      the place of ``model.train_function`` and calls ``model.train_step`` for each batch. Keras's own way to that,
      ``steps_per_execution``, puts two copies of the step and a branch around each batch into the graph: the same losses
      bit for bit, but an epoch takes a sixth longer at a batch of 64, and the first step twice as long. Callbacks hear
      of a block where Keras would tell them of every batch.
    - TensorFlow's fused kernel does Adam's update. The formula is the same, but Keras's own update passes over all
      weights about ten times, which at this size takes longer than the gradient.
    - A model that comes back for a training with the same settings, with other weights for another seed say, is not
      traced again, which saves a second or two; the optimiser starts from zero all the same.
    - Blocks are cut from the arrays beside the training; Keras would first copy all images to a tensor of its own.
    - A progress bar while it runs; afterwards only a summary line is left in the notebook.

    Parameters
    ----------
    model : keras.Model
        Built or not, compiled or not. Its training starts from its weights and a fresh optimiser.
    x, y : numpy.ndarray
        Inputs and targets, first axis n. For an autoencoder they are the same array.
    epochs, batch_size : int
    learning_rate : float
        The highest rate, at the first step.
    decay : bool
        False: the rate stays as it is and ``beta_2`` is Adam's own 0.999, for a training whose length is not known
        beforehand, or to do as others did.
    loss, metrics
        As in ``model.compile``.
    validation_data : tuple (x_val, y_val), optional
        Evaluated after each epoch.
    callbacks : sequence of keras.callbacks.Callback
    seed : int
        Seed of the order of the batches. Seed the weights with `keras.utils.set_random_seed` before building.
    verbose : bool
        False: neither bar nor summary line, for one training of many.

    Returns
    -------
    keras.callbacks.History
        ``history.history["loss"]``: mean over the batches of each epoch; ``"val_loss"`` after each epoch.

    Raises
    ------
    TypeError
        `x` or `y` is no NumPy array.
    ValueError
        `x` and `y` of different or no length; `epochs` or `batch_size` below 1; `learning_rate` not positive.

    References
    ----------
    Kingma & Ba 2015, arXiv:1412.6980, algorithm 1 (Adam). Introduced in notebook 01.
    """
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

    steps = -(-len(x) // batch_size)
    settings = (epochs * steps if decay else None, batch_size, float(learning_rate), loss, tuple(metrics))
    compiled_for = (settings, [id(weight) for weight in model.trainable_variables])  # freezing a layer changes the latter
    if getattr(getattr(model, "optimizer", None), "compiled_for", None) == compiled_for:
        for variable in model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
    else:
        _compile(model, *settings)
        model.optimizer.compiled_for = compiled_for
    block = min(steps, 128, max(1, BLOCK_BYTES // (batch_size * x[:1].nbytes)))  # steps
    model.train_function = model.optimizer.train_function
    bar = Progress(total=epochs * steps, desc="training", unit="step") if verbose else None
    start = time.perf_counter()
    summary = ""
    try:
        history = model.fit(
            _blocks(x, y, block * batch_size, seed),
            epochs=epochs,
            validation_data=validation_data,
            validation_batch_size=1024,
            callbacks=[*([_ShowProgress(bar, steps, block)] if bar else []), *callbacks],
            verbose=0,
            shuffle=False,  # the blocks already are
        )
        summary = _summarize(history.history, len(history.epoch), steps, time.perf_counter() - start)
    finally:
        model.train_function = None  # Keras makes its own where somebody calls model.fit
        if bar:
            bar.finish(summary)
    return history


def _compile(model, total_steps, batch_size, learning_rate, loss, metrics):
    decay = total_steps is not None
    end = 0.0 if decay else learning_rate  # a schedule in both cases: a plain rate would be one of the optimiser's variables
    schedule = keras.optimizers.schedules.PolynomialDecay(learning_rate, total_steps or 1, end)
    model.compile(
        optimizer=_fuse(keras.optimizers.Adam(schedule, beta_2=0.99 if decay else 0.999)),
        loss=loss,
        metrics=list(metrics),
        jit_compile=False,  # XLA is slower for models of this size on a CPU
    )
    if model.built:  # else Keras does it while it traces, and traces once more
        model.optimizer.build(model.trainable_variables)
    model.optimizer.train_function = _make_train_function(model, batch_size)


def _make_train_function(model, batch_size):
    """What `fit` calls for each element of its data: here one compiled loop over the batches of a block."""

    @tf.function(reduce_retracing=True, autograph=False)
    def train_on_block(iterator):
        x, y = iterator.get_next()

        def step(start):
            model.train_step((x[start : start + batch_size], y[start : start + batch_size]))
            return start + batch_size

        tf.while_loop(lambda start: start < tf.shape(x)[0], step, [0], parallel_iterations=1)

    def train_function(iterator):
        train_on_block(iterator)
        return model.get_metrics_result()

    return train_function


def _fuse(adam):
    """Let a plain Adam do its update in one kernel; it stays a plain Adam, so a saved model loads anywhere."""

    def update_step(gradient, variable, learning_rate):
        def power(beta):
            return tf.pow(tf.constant(beta, variable.dtype), tf.cast(adam.iterations + 1, variable.dtype))

        index = adam._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(adam._momentums[index]),
            v=_handle(adam._velocities[index]),
            beta1_power=power(adam.beta_1),
            beta2_power=power(adam.beta_2),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=adam.beta_1,
            beta2=adam.beta_2,
            epsilon=adam.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )

    adam.update_step = update_step
    return adam


def _handle(variable):
    return getattr(variable, "_value", variable).handle  # Keras wraps TensorFlow's variable


def _blocks(x, y, size, seed):
    """Shuffled blocks of (x, y), cut by NumPy beside the training: a copy of all images would cost memory and a pause."""

    arrays = [x] if y is x else [x, y]
    held = [weakref.ref(array) for array in arrays]  # TensorFlow never lets go of a function like the next

    def take(index):
        return [array()[index] for array in held]

    def gather(index):
        block = tf.numpy_function(take, [index], [array.dtype for array in arrays], stateful=False)
        for tensor, array in zip(block, arrays):
            tensor.set_shape([None, *array.shape[1:]])
        return block[0], block[-1]

    options = tf.data.Options()
    options.autotune.enabled = False  # nothing to tune, and its thread can hold up the end of an epoch
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
