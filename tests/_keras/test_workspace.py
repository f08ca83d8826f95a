"""The memory that steps keep changes nothing but where a gradient lies."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from surgeon import _keras
from surgeon._keras import donated, workspace
from surgeon.partial import blocks
from tests.helpers import same_bits, to_numpy
from tests.zoo import jitter

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no XLA here")
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="for TensorFlow alone")
ON_JAX = pytest.mark.skipif(BACKEND != "jax", reason="for JAX alone")
JITS = [False, True] if BACKEND == "tensorflow" else ["auto"]
SIZE, LARGE = 48, 512
"""Units of a layer, and of one whose kernel is written in place, too."""


def inputs_for(model):
    return np.random.default_rng(0).normal(size=(6, *model.input_shape[1:])).astype("float32")


@pytest.fixture(autouse=True)
def _every_gradient_pays(monkeypatch):
    monkeypatch.setattr(blocks, "MUCH", 0)
    workspace._has_references.cache_clear()
    yield
    workspace._has_references.cache_clear()


def two_layers(kind=keras.Model, calls=1, size=SIZE):
    """Return a model whose layer `d` is called so many times."""
    start = keras.Input((size,))
    x, dense = layers.Dense(size, name="first")(start), layers.Dense(size, activation="tanh", name="d")
    for _ in range(calls):
        x = dense(x)
    return jitter(kind(start, x))


def trained(model, optimizer=keras.optimizers.Adam, **options):
    """Return a copy of a model after some steps, with half of the kernel of `d` trained."""
    tuned = sg.rewrite(model, sg.train("d", kernel=sg.elements(0.5, by="random", seed=1)))
    keep = {"jit_compile": False, **options} if BACKEND == "tensorflow" else options
    tuned.compile(optimizer(), "mse", **keep)
    x = inputs_for(model)
    tuned.fit(x, x, batch_size=4, epochs=2, shuffle=False, verbose=0)  # steps of four rows and of two
    return tuned


def memory(model):
    return model.get_layer("d").kernel.workspace._memory


@contextmanager
def without():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_keras.Workspace, "fill", lambda *_: None)
        yield


def same_kernels(kept, plain):
    """Return the kernel of `d`, after a check that it is the same but for how XLA rounds in two programs."""
    found, expected = (to_numpy(each.get_layer("d").kernel) for each in (kept, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return found


def check(model, *optimizer, **options):
    """Check that training with memory that is kept is training without; return the model with it."""
    with without():
        plain = trained(model, *optimizer, **options)
    kept = trained(model, *optimizer, **options)
    found = same_kernels(kept, plain)
    changed = found != to_numpy(model.get_layer("d").kernel)
    assert changed.mean() == pytest.approx(0.5, abs=0.01)
    assert np.isin(changed.reshape(-1).nonzero()[0], to_numpy(kept.get_layer("d").kernel.index)).all()
    return kept


@pytest.mark.parametrize("jit", JITS)
def test_training_is_the_same(jit):
    kept = check(two_layers(size=LARGE), jit_compile=jit)
    assert list(memory(kept)) == [(LARGE * LARGE // 2, "float32")]


@pytest.mark.parametrize("jit", JITS)
def test_what_is_in_it_is_of_no_meaning(jit):
    kept = check(two_layers(), jit_compile=jit)
    before = to_numpy(kept.get_layer("d").kernel)
    (held,) = memory(kept).values()
    if BACKEND == "jax":
        held[...] = ops.full(held.shape, np.nan)
    else:
        held.assign(ops.full(held.shape, np.nan))
    x = inputs_for(kept)
    kept.fit(x, x, verbose=0)
    assert np.isfinite(to_numpy(kept.get_layer("d").kernel)).all()
    assert (to_numpy(kept.get_layer("d").kernel) != before).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("jit", JITS)
def test_a_layer_that_is_called_three_times(jit):
    assert len(memory(check(two_layers(calls=3, size=LARGE), jit_compile=jit))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("jit", JITS)
def test_steps_in_a_loop_of_their_own(jit):
    assert memory(check(two_layers(), jit_compile=jit, steps_per_execution=2))


@pytest.mark.slow
@pytest.mark.parametrize("jit", JITS)
def test_gradients_that_are_added_up_over_steps(jit):
    optimizer = partial(keras.optimizers.Adam, gradient_accumulation_steps=2)
    assert memory(check(two_layers(), optimizer, jit_compile=jit))


@pytest.mark.slow
@pytest.mark.parametrize("jit", JITS)
def test_two_models_that_share_a_layer(jit):
    model, keep = two_layers(), {"jit_compile": jit} if BACKEND == "tensorflow" else {}

    def in_turns():
        first = trained(model, **keep)
        second = keras.Model(first.input, layers.Dense(1, kernel_initializer="ones")(first.output))
        second.compile("sgd", "mse", **keep)
        x = inputs_for(model)
        for _ in range(2):
            second.fit(x, x[:, :1], shuffle=False, verbose=0)
            first.fit(x, x, shuffle=False, verbose=0)
        return first

    with without():
        plain = in_turns()
    kept = in_turns()
    found, start = same_kernels(kept, plain), to_numpy(model.get_layer("d").kernel)
    assert (found != start).mean() == pytest.approx(0.5, abs=0.01)
    assert len(memory(kept)) == 1


def test_in_half_precision_it_has_the_dtype_of_the_computation():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = two_layers()
        assert {dtype for _, dtype in memory(trained(model))} == {"bfloat16"}
    finally:
        keras.config.set_dtype_policy("float32")


@ON_JAX  # Keras's own raises in a graph of TensorFlow's
def test_a_layer_that_is_computed_twice_to_save_memory():
    with keras.RematScope("full"):
        assert not memory(check(two_layers()))  # it has a trace of its own


def test_a_prediction_needs_none():
    tuned = sg.rewrite(two_layers(), sg.train("d", kernel=sg.elements(0.5, by="random", seed=1)))
    tuned.compile("sgd", "mse")
    x = inputs_for(tuned)
    tuned.predict(x, verbose=0)
    tuned.evaluate(x, x, verbose=0)
    assert not memory(tuned)


def test_it_is_a_part_of_no_file_and_no_list_of_variables(tmp_path):
    kept = trained(two_layers())
    assert memory(kept)
    held = sum(int(np.prod(each.shape)) for each in kept.variables)
    kept.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert sum(int(np.prod(each.shape)) for each in loaded.variables) == held
    assert not memory(loaded)
    assert same_bits(*(to_numpy(each.get_layer("d").kernel) for each in (kept, loaded)))


@ON_TENSORFLOW
@pytest.mark.slow
def test_two_gradients_of_one_tape_that_are_both_held():
    import tensorflow as tf

    class Twice(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                found = self(x, training=True)
                one, two = tf.reduce_mean((found - y) ** 2), tf.reduce_mean(found**4)
            values = [each.value for each in self.trainable_variables]
            both = zip(tape.gradient(one, values), tape.gradient(two, values), strict=True)
            self.optimizer.apply([2 * a + b for a, b in both], self.trainable_variables)
            return {"loss": one}

    for jit in JITS:
        assert memory(check(two_layers(Twice), jit_compile=jit))


@ON_TENSORFLOW
@pytest.mark.parametrize("jit", [False, True])
def test_the_gradient_of_a_gradient_that_no_tape_records(jit):
    import tensorflow as tf

    class Penalized(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            values = [each.value for each in self.trainable_variables]
            slope = sum(tf.reduce_sum(each**2) for each in tape.gradient(loss, values))
            slopes = tf.gradients(loss + slope, [each.handle for each in values])
            self.optimizer.apply(slopes, self.trainable_variables)
            return {"loss": loss}

    assert memory(check(two_layers(Penalized), jit_compile=jit))


@ON_JAX
def test_a_step_that_somebody_exports_has_none():
    import jax

    tuned = trained(two_layers())
    x = inputs_for(tuned)[:4]
    kinds = ("trainable", "non_trainable", "optimizer", "metrics")
    state = tuned._get_jax_state(**{f"{kind}_variables": True for kind in kinds})
    assert memory(tuned)

    def step(*given):
        return tuned.train_step(*given)

    exported = jax.export.export(jax.jit(step))(state, (x, x, None))
    logs, _ = jax.export.deserialize(exported.serialize()).call(state, (x, x, None))
    assert np.isfinite(logs["loss"])


@ON_JAX
def test_a_step_that_raises_can_be_trained_again():
    import jax

    tuned = sg.rewrite(two_layers(), sg.train("d", kernel=sg.elements(0.5, by="random", seed=1)))
    tuned.compile("adam", "mse")
    values, x = tuned.get_weights(), inputs_for(tuned)
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        tuned.train_on_batch(x * np.nan, x)
    assert not memory(tuned)
    tuned.set_weights(values)
    tuned.train_on_batch(x, x)
    assert np.isfinite(to_numpy(tuned.get_layer("d").kernel)).all()


@ON_JAX
def test_a_derivative_within_a_step():
    import jax

    class Steep(layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return x + jax.grad(lambda x: (self.inner(x) ** 2).sum())(x)

    start = keras.Input((SIZE,))
    dense = layers.Dense(SIZE, activation="tanh", name="d")
    model = jitter(keras.Model(start, Steep(dense)(dense(start))))
    assert memory(check(model))


@ON_JAX
@pytest.mark.parametrize("reason", ["no references", "a step of one's own", "two devices"])
def test_where_jax_keeps_none(monkeypatch, reason):
    import jax

    if reason == "no references":
        monkeypatch.delattr(jax, "new_ref")
    elif reason == "two devices":
        devices = jax.devices
        monkeypatch.setattr(jax, "devices", lambda *given, **named: devices(*given, **named) * 2)
    else:
        monkeypatch.setattr(donated, "_is_of_keras", lambda _: False)
    assert not memory(trained(two_layers()))
