"""The gradient of single elements, computed in blocks, is what is picked out of the whole gradient."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import surgeon as sg
from surgeon.partial import blocks
from tests.helpers import to_numpy
from tests.zoo import jitter

BACKEND = keras.backend.backend()
WITH_XLA = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no XLA here")
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="for TensorFlow alone")
ON_JAX = pytest.mark.skipif(BACKEND != "jax", reason="for JAX alone")


def compiled(function, *arrays):
    """Return what a function compiled by XLA returns."""
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.jit(function)(*arrays))
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)(*map(tf.constant, arrays)).numpy()


def whole(rows, results, index):
    return keras.ops.take(
        keras.ops.reshape(keras.ops.matmul(keras.ops.transpose(rows), results), (-1,)), index
    )


@WITH_XLA
@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(1, 5), inputs=st.integers(1, 40), outputs=st.integers(1, 40),
    block=st.integers(1, 300), stride=st.integers(1, 80), data=st.data(),
)  # fmt: skip
def test_in_blocks_of_any_size_nothing_is_left_out(count, inputs, outputs, block, stride, data):
    places = data.draw(st.sets(st.integers(0, inputs * outputs - 1), min_size=1))
    index = np.sort(np.array(list(places), "int32"))
    rng = np.random.default_rng(len(places))
    rows, results = (rng.integers(-9, 9, (count, size)).astype("float32") for size in (inputs, outputs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "STRIDE", stride)
        found = compiled(blocks.pick_in_blocks, rows, results, index)
    assert np.array_equal(found, (rows.T @ results).reshape(-1)[index])


@pytest.fixture
def product(monkeypatch):
    """Return inputs, the gradient of a result, positions and weights, for a kernel of 9 x 11."""
    monkeypatch.setattr(blocks, "BLOCK", 60)
    rng = np.random.default_rng(0)
    rows, results, weights = (rng.normal(size=size).astype("float32") for size in ((4, 9), (4, 11), (50,)))
    return rows, results, np.sort(rng.choice(99, 50, replace=False)).astype("int32"), weights


def in_blocks(rows, results, index):
    return blocks.gradient_of_elements(rows, keras.ops.zeros((9, 11)), index, results)


@ON_JAX
def test_its_own_gradient_is_that_of_the_whole(product):
    import jax

    rows, results, index, weights = product

    def slopes(way):
        def loss(rows, results):
            return (way(rows, results, index) * np.sin(weights)).sum()

        along = jax.jvp(lambda rows: loss(rows, results), (rows,), (rows,))
        return [*jax.jit(jax.grad(loss, argnums=(0, 1)))(rows, results), *along]

    same(slopes(in_blocks), slopes(whole))


@ON_TENSORFLOW
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_its_own_gradient_is_that_of_the_whole_in_a_graph(product, jit, persistent):
    import tensorflow as tf

    rows, results, index, weights = map(tf.constant, product)

    def slopes(way):
        @tf.function(jit_compile=jit, autograph=False)
        def gradients():
            with tf.GradientTape(persistent=persistent) as outer:
                outer.watch([rows, results])
                with tf.GradientTape(persistent=persistent) as tape:
                    tape.watch([rows, results])
                    picked = way(rows, results, index)
                    loss = tf.reduce_sum(picked * picked * tf.sin(weights))
                first = tape.gradient(loss, [rows, results])
                total = sum(tf.reduce_sum(each**2) for each in first)
            return *first, *outer.gradient(total, [rows, results])

        return gradients()

    same(slopes(in_blocks), slopes(whole))


def same(found, expected):
    for one, two in zip(found, expected, strict=True):
        assert np.allclose(one, two, rtol=1e-4, atol=1e-5)
        assert np.abs(one).max() > 0.1


@ON_JAX
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_numbers_of_python_have_64_bits(dtype, monkeypatch):
    import jax

    monkeypatch.setattr(blocks, "BLOCK", 60)
    rng = np.random.default_rng(0)
    rows, results = (rng.integers(-9, 9, (4, size)).astype(dtype) for size in (9, 11))
    index = np.array([0, 5, 40, 98], "int32")
    with jax.enable_x64(True):
        given = [jax.numpy.asarray(each) for each in (rows, index, results)]
        assert np.array_equal(
            blocks.gradient_of_elements(given[0], np.zeros((9, 11)), given[1], given[2]),
            (rows.T @ results).reshape(-1)[index],
        )


JITS = [False, True] if BACKEND == "tensorflow" else ["auto"]


@WITH_XLA
@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("shape", [(512,), (3, 512)], ids=["flat", "sequences"])
def test_a_step_of_a_large_layer_goes_this_way_and_is_the_same(monkeypatch, share, shape, jit):
    start = keras.Input(shape)
    model = jitter(keras.Model(start, layers.Dense(512, name="d")(layers.Dense(512)(start))))
    selection = sg.elements(share, by="random", seed=1)
    found: list[np.ndarray] = []
    counted = []
    way = blocks.gradient_of_elements

    def counting(*given):
        counted.append(len(found))
        return way(*given)

    monkeypatch.setattr(blocks, "gradient_of_elements", counting)
    monkeypatch.setattr(blocks, "MUCH", 0)
    for pays in (blocks.pays, lambda *_: False):
        monkeypatch.setattr(blocks, "pays", pays)
        tuned = sg.rewrite(model, sg.train("d", kernel=selection))
        tuned.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
        x = np.random.default_rng(2).normal(size=(6, *shape)).astype("float32")
        tuned.fit(x, x, epochs=2, batch_size=4, shuffle=False, verbose=0)
        found.append(to_numpy(tuned.get_layer("d").kernel))
    assert set(counted) == {0}, "the first model computes in blocks"
    one, two = found
    assert np.allclose(one, two, rtol=1e-5, atol=1e-6)
    assert (one != to_numpy(model.get_layer("d").kernel)).mean() == pytest.approx(share, abs=0.01)


def test_only_where_xla_computes_it_and_it_is_much(monkeypatch):
    rows, kernel, results = (np.zeros(size, "float32") for size in ((2, 512), (512, 512), (2, 512)))
    given = [keras.ops.convert_to_tensor(each) for each in (rows, kernel, np.zeros(9, "int32"), results)]
    assert not blocks.pays(*given), "less than the system zeroes each time"
    monkeypatch.setattr(blocks, "MUCH", 4 * (512 * 512 + 9) - 1)
    assert blocks.pays(*given) == (BACKEND == "jax")
    assert not blocks.pays(given[0][:0], given[1], given[2], given[3][:0])
    assert not blocks.pays(keras.ops.cast(given[0], "float16"), *given[1:])


def traced(function, *signature, jit=False):
    """Return a graph of the name that Keras's steps have, or of another if it is a function of one's own."""
    import tensorflow as tf

    specs = [tf.TensorSpec(shape) for shape in signature]
    return tf.function(function, input_signature=specs, jit_compile=jit, autograph=False)


@ON_TENSORFLOW
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_in_a_step_of_batches_of_any_size(monkeypatch, jit):
    import tensorflow as tf

    monkeypatch.setattr(blocks, "MUCH", 0)
    kernel, index = tf.zeros((3, 4)), tf.constant([1, 5, 6, 11])

    def one_step_on_data(rows, results):
        assert blocks.pays(rows, kernel, index, results)
        return blocks.gradient_of_elements(rows, kernel, index, results)

    pick = traced(one_step_on_data, (None, 2, 3), (None, 2, 4), jit=jit)
    for count in (5, 2, 0):
        rows, results = (np.random.default_rng(0).normal(size=(count, 2, last)) for last in (3, 4))
        expected = rows.reshape(-1, 3).T @ results.reshape(-1, 4)
        found = pick(rows.astype("float32"), results.astype("float32"))
        assert np.allclose(found, expected.reshape(-1)[index], atol=1e-5)


@ON_TENSORFLOW
@pytest.mark.parametrize(
    ("name", "shape", "jit", "pays"),
    [
        ("one_step_on_data", (None, 2, 3), False, True),
        ("one_step_on_data", (None, None, 3), False, False),
        ("one_step_on_data", (None, None, 3), True, True),
        ("my_step", (None, 2, 3), False, False),
        ("my_step", None, True, True),
    ],
)
def test_where_each_length_would_be_compiled_or_another_runtime_might_run_it(
    monkeypatch, name, shape, jit, pays
):
    import tensorflow as tf

    monkeypatch.setattr(blocks, "MUCH", 0)

    def step(rows, results):
        found.append(blocks.pays(rows, tf.zeros((3, 4)), tf.constant([1, 5]), results))
        return rows

    found: list[bool] = []
    step.__name__ = name
    traced(step, shape, shape and (*shape[:-1], 4), jit=jit).get_concrete_function()
    assert found == [pays]


@ON_TENSORFLOW
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_a_step_whose_gradient_has_a_penalty(monkeypatch, jit):
    import tensorflow as tf

    class Penalized(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    found = self(x, training=True)
                slope = inner.gradient(found, x)
                loss = tf.reduce_mean((found - y) ** 2) + tf.reduce_mean(slope**2)
            values = [each.value for each in self.trainable_variables]
            self.optimizer.apply(tape.gradient(loss, values), self.trainable_variables)
            return {"loss": loss}

    start = keras.Input((8,))
    hidden = layers.Dense(12, activation="tanh", name="d")(start)
    model = jitter(Penalized(start, layers.Dense(1)(hidden)))
    x, y = (np.random.default_rng(0).normal(size=(6, size)).astype("float32") for size in (8, 1))
    monkeypatch.setattr(blocks, "MUCH", 0)
    found: list[np.ndarray] = []
    for pays in (blocks.pays, lambda *_: False):
        monkeypatch.setattr(blocks, "pays", pays)
        tuned = sg.rewrite(model, sg.train("d", kernel=sg.elements(0.5, by="random", seed=1)))
        tuned.compile(keras.optimizers.SGD(0.1), jit_compile=jit)
        tuned.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        found.append(to_numpy(tuned.get_layer("d").kernel))
    assert np.allclose(found[0], found[1], rtol=1e-4, atol=1e-6)
    assert (found[0] != to_numpy(model.get_layer("d").kernel)).mean() == pytest.approx(0.5, abs=0.02)


@ON_TENSORFLOW
def test_not_in_what_goes_through_many_examples_at_once(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(blocks, "MUCH", 0)
    paid = []

    def one_step_on_data(rows, results):
        def one(pair):
            paid.append(blocks.pays(pair[0], tf.zeros((3, 4)), tf.constant([1, 5]), pair[1]))
            return pair[0]

        return tf.vectorized_map(one, (rows, results))

    traced(one_step_on_data, (5, 2, 3), (5, 2, 4)).get_concrete_function()
    assert paid == [False]
