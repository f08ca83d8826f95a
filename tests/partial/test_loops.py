"""However training is run, interrupted, copied or saved, no frozen element changes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import assert_same_outputs, to_numpy
from tests.partial import matrix
from tests.zoo import jitter

BACKEND = keras.backend.backend()
X, Y = matrix.samples(steps=8)


@pytest.fixture
def model():
    made = matrix.rewritten()
    made.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), "mse")
    return made


@pytest.fixture
def holds(model):
    """Check that nothing frozen moved since the test began, and that something else did."""
    where, before = matrix.masks(model), matrix.values(model)

    def check(other=model):
        counts = matrix.changed(before, matrix.values(other), where)
        assert all(frozen == 0 for frozen, _ in counts.values()), counts
        assert counts["few/kernel"][1] > 0

    return check


def fit(model, epochs=1, **options):
    return model.fit(X, Y, batch_size=matrix.BATCH, shuffle=False, verbose=0, epochs=epochs, **options)


def test_train_on_batch_with_toggles_between_steps(model, holds):
    for _ in range(2):
        model.trainable = False
        model.trainable = True
        for layer in model.layers:
            layer.trainable = True
        model.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), "mse")
        for _ in range(3):
            model.train_on_batch(X[:4], Y[:4])
    holds()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a tape is TensorFlow's")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_loop_with_a_gradient_tape(model, holds, compiled):
    import tensorflow as tf

    optimizer = keras.optimizers.Lion(0.01, weight_decay=0.1)
    optimizer.build(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2) + tf.add_n(model.losses)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    run = tf.function(step) if compiled else step
    for _ in range(5):
        run(tf.constant(X[:4]), tf.constant(Y[:4]))
    holds()


@pytest.mark.skipif(BACKEND != "jax", reason="a functional step is JAX's")
def test_a_loop_with_stateless_calls(model, holds):
    import jax

    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.build(model.trainable_variables)

    def loss(trainable, rest, x, y):
        outputs, rest = model.stateless_call(trainable, rest, x, training=True)
        return ((outputs - y) ** 2).mean(), rest

    @jax.jit
    def step(trainable, rest, slots):
        gradients, rest = jax.grad(loss, has_aux=True)(trainable, rest, X[:4], Y[:4])
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return trainable, rest, slots

    variables = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple([v.value for v in group] for group in variables)
    for _ in range(5):
        state = step(*state)
    for group, values in zip(variables, state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    holds()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="written for TensorFlow")
def test_a_train_step_of_the_users_own():
    import tensorflow as tf

    class Scaled(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = 3.0 * self.compute_loss(x, y, self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}

    stock = matrix.subject()
    model = sg.rewrite(Scaled(stock.inputs, stock.outputs), matrix.RULES, validate="none")
    assert isinstance(model, Scaled)
    where, before = matrix.masks(model), matrix.values(model)
    model.compile("adamw", "mse")
    fit(model)
    counts = matrix.changed(before, matrix.values(model), where)
    assert all(frozen == 0 for frozen, _ in counts.values())
    assert counts["few/kernel"][1] > 0


def test_a_run_that_is_saved_and_loaded_midway_ends_as_one_that_is_not(model, holds, tmp_path):
    fit(model)
    model.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    fit(loaded)
    holds(loaded)
    fit(model)
    straight, resumed = matrix.values(model), matrix.values(loaded)
    assert all(np.array_equal(straight[path], resumed[path]) for path in straight)


def _with_a_norm(seed):
    """Return a model whose constraint looks at frozen elements, too."""
    keras.utils.set_random_seed(seed)
    start = keras.Input((6,))
    dense = layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.1), name="d")
    stock = keras.Model(start, dense(start))
    model = sg.rewrite(stock, sg.train("d", kernel=sg.elements([0, 5, 9, 14, 20])))
    model.compile("sgd", "mse")
    return model


def _fit_with_a_norm(model):
    x = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    model.fit(x, np.ones((8, 4), "float32"), verbose=0)
    return to_numpy(model.get_layer("d").kernel)


def test_a_constraint_sees_the_frozen_elements_that_were_loaded_since_the_last_step(tmp_path):
    other, model = _with_a_norm(1), _with_a_norm(2)
    other.save_weights(tmp_path / "other.weights.h5")
    _fit_with_a_norm(model)
    model.load_weights(tmp_path / "other.weights.h5")
    # Two compilations may round differently; what was there before the load is another model's.
    assert np.allclose(_fit_with_a_norm(model), _fit_with_a_norm(other), rtol=1e-6, atol=1e-7)


def test_a_constraint_sees_what_is_frozen_after_an_adjustment():
    model = _with_a_norm(1)
    _fit_with_a_norm(model)
    rule = sg.train("d", kernel=sg.elements([1, 6, 10, 15, 21]))
    other = sg.rewrite(model, rule)
    sg.adjust(model, rule)
    assert np.array_equal(_fit_with_a_norm(model), _fit_with_a_norm(other))


def test_a_clone_trains_the_same_elements(model):
    where = matrix.masks(model)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.compile("adamw", "mse")
    before = matrix.values(clone)
    assert all(np.array_equal(where[path], mask) for path, mask in matrix.masks(clone).items())
    fit(clone)
    counts = matrix.changed(before, matrix.values(clone), where)
    assert all(frozen == 0 for frozen, _ in counts.values())
    assert counts["few/kernel"][1] > 0


@pytest.mark.parametrize("selection", [sg.channels([1]), sg.rows([0]), sg.elements([1, 5])], ids=str)
def test_a_layer_that_sets_its_kernel_in_a_call_sets_the_trainable_part_and_computes_with_it(selection):
    start = keras.Input((6,))
    wrapped = layers.SpectralNormalization(layers.Dense(4), name="sn")
    stock = jitter(keras.Model(start, wrapped(start)))
    tuned = sg.rewrite(stock, sg.train("sn/layer", kernel=selection), validate="none")
    kernel = tuned.get_layer("sn").layer.kernel
    mask, before = kernel.part.to_mask(), to_numpy(kernel)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    outputs = tuned(x, training=True)
    after = to_numpy(kernel)
    stock(x, training=True)
    assert np.array_equal(after, np.where(mask, to_numpy(stock.get_layer("sn").layer.kernel), before))
    assert (after != before)[mask].all()
    assert_same_outputs(outputs, tuned(x, training=False))
