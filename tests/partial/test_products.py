"""The gradients of a product are the same, however they are computed."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from surgeon import _keras
from surgeon.partial import narrow, products
from surgeon.partial.gradients import vjp
from tests.helpers import as_in_a_backward_pass, to_numpy
from tests.partial.test_blocks import BACKEND, WITH_XLA, compiled

BATCHES = {
    (1,),
    (3,),
    (20, 10),
    (products.FEW_IN_XLA,),
    (products.FEW,),
    (products.FEW + 1,),
    (narrow.MANY - 1,),
    (narrow.MANY,),
    (2, narrow.MANY),
}


def numbers(*sizes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=size).astype("float32") for size in sizes]


def given(batch, outputs):
    return numbers((*batch, 32), (32, outputs), (*batch, outputs))


def assert_are_gradients(found, inputs, kernel, upstream):
    """Compare the gradients of the inputs and of the kernel to numpy's."""
    to_inputs, to_kernel = map(np.asarray, found)
    rows, results = (each.reshape(-1, each.shape[-1]).astype("float64") for each in (inputs, upstream))
    assert to_inputs.shape == inputs.shape
    assert np.allclose(to_inputs, upstream @ kernel.T, rtol=1e-4, atol=1e-4)
    assert np.allclose(to_kernel, rows.T @ results, rtol=1e-4, atol=1e-3)


@WITH_XLA
@pytest.mark.parametrize("batch", sorted(BATCHES), ids=str)
@pytest.mark.parametrize("outputs", [1, 4, 9])
def test_compiled(batch, outputs, monkeypatch):
    arrays = given(batch, outputs)
    shapes, barrier = [], _keras.barrier

    def noting(tensor):
        shapes.append(tuple(tensor.shape))
        return barrier(tensor)

    monkeypatch.setattr(_keras, "barrier", noting)
    ways = products.input_gradient, products.kernel_gradient
    assert_are_gradients([compiled(way, *arrays) for way in ways], *arrays)
    rows = int(np.prod(batch))
    turned = [(32, rows)] if rows <= products.FEW_IN_XLA else []  # the gradient of the inputs
    is_narrow = rows >= narrow.MANY and outputs <= 4
    assert shapes == turned + ([(outputs, rows), (outputs, 32)] if is_narrow else [(32, rows)])


FEW = products.FEW_IN_XLA


@WITH_XLA
@pytest.mark.parametrize(
    "rows, inputs, outputs, is_laid_out",
    [(FEW, FEW + 1, FEW + 2, True), (FEW + 1, FEW + 1, FEW, False), (FEW + 1, FEW, FEW + 2, True)],
)
def test_rows_are_laid_out_anew_where_there_are_few_of_them_or_few_inputs(
    rows, inputs, outputs, is_laid_out, monkeypatch
):
    barrier = Mock(wraps=_keras.barrier)
    monkeypatch.setattr(_keras, "barrier", barrier)
    arrays = numbers((rows, inputs), (inputs, outputs), (rows, outputs))
    found = compiled(products.kernel_gradient, *arrays)
    assert barrier.called == is_laid_out
    assert np.allclose(found, arrays[0].T @ arrays[2], rtol=1e-4, atol=1e-3)


@WITH_XLA
def test_channels_are_taken_by_rows(monkeypatch):
    barrier = Mock(wraps=_keras.barrier)
    monkeypatch.setattr(_keras, "barrier", barrier)
    (tensor,) = numbers((3, 5, 8))
    found = compiled(products.take, tensor, np.array([1, 6], "int32"))
    assert barrier.called
    assert np.array_equal(found, tensor[..., [1, 6]])


@pytest.mark.parametrize("batch", [(3,), (2, 3, 5)], ids=str)
def test_as_it_comes(batch):
    arrays = given(batch, 4)
    tensors = list(map(ops.convert_to_tensor, arrays))
    ways = products.input_gradient, products.kernel_gradient
    with as_in_a_backward_pass():
        found = [to_numpy(way(*tensors)) for way in ways]
    assert_are_gradients(found, *arrays)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX is always compiled")
@pytest.mark.parametrize("batch", sorted(BATCHES), ids=str)
@pytest.mark.parametrize("is_large", [False, True])
def test_in_a_graph(batch, is_large, monkeypatch):
    import tensorflow as tf

    arrays = given(batch, 4)
    general = Mock(wraps=vjp)
    monkeypatch.setattr(products, "vjp", general)
    monkeypatch.setattr(_keras, "LARGE", 32 * 4 + (not is_large))
    found = tf.function(products.input_gradient, autograph=False)(*map(tf.constant, arrays))
    assert general.called != (is_large and np.prod(batch) <= products.FEW)
    assert found.shape == arrays[0].shape
    assert np.allclose(found, arrays[2] @ arrays[1].T, rtol=1e-4, atol=1e-4)


@WITH_XLA
def test_tensors_of_several_kinds(monkeypatch):
    arrays = given((3,), 4)

    def mixed(way):
        def call(inputs, kernel, upstream):
            return ops.cast(way(ops.cast(inputs, "float16"), kernel, upstream), "float32")

        return call

    monkeypatch.setattr(_keras, "barrier", None)
    found = [compiled(mixed(way), *arrays) for way in (products.input_gradient, products.kernel_gradient)]
    for each, exact in zip(found, (arrays[2] @ arrays[1].T, arrays[0].T @ arrays[2]), strict=True):
        assert np.allclose(each, exact, rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow traces steps for tensors of any size")
@pytest.mark.parametrize("shape", [(32,), (None, 32), (None,)], ids=["flat", "sequences", "nothing is known"])
def test_of_unknown_sizes(shape):
    import tensorflow as tf

    arrays = given((5, *[7] * (len(shape) - 1)), 4)
    last = (None, *shape[:-1], None if shape == (None,) else 4)
    specs = [tf.TensorSpec((None, *shape)), tf.TensorSpec((32, 4)), tf.TensorSpec(last)]
    for way in (products.input_gradient, products.kernel_gradient):
        function = tf.function(way, jit_compile=True, autograph=False, input_signature=specs)
        known = compiled(way, *arrays)
        assert np.allclose(function(*map(tf.constant, arrays)), known, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow traces steps for batches of any size")
@pytest.mark.parametrize("steps, is_turned", [(products.FEW_IN_XLA // products.BATCH, True), (20, False)])
def test_a_batch_of_unknown_size_counts_as_one_of_the_usual_size(steps, is_turned, monkeypatch):
    import tensorflow as tf

    barrier = Mock(wraps=_keras.barrier)
    monkeypatch.setattr(_keras, "barrier", barrier)
    specs = [tf.TensorSpec((None, steps, size)) for size in (32, 4)]
    function = tf.function(products.input_gradient, jit_compile=True, autograph=False)
    function.get_concrete_function(specs[0], tf.TensorSpec((32, 4)), specs[1])
    assert barrier.called == is_turned


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's vectorized_map")
@pytest.mark.parametrize("make", [lambda: layers.Dense(4), lambda: layers.Conv1D(4, 3, padding="same")])
@pytest.mark.parametrize("is_nested", [False, True])
def test_gradients_by_example_are_vectorized(make, is_nested):
    import tensorflow as tf

    start = keras.Input((5, 16))
    subject = make()
    subject.name = "d"
    tuned = sg.rewrite(keras.Model(start, subject(start)), sg.train("d", kernel=sg.channels([1])))
    compact = tuned.get_layer("d").kernel.compact

    def one(example):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tuned(example[None]) ** 2)
        return tape.gradient(loss, compact.value)

    def every(examples):
        each = tf.function(one, autograph=False) if is_nested else one
        return tf.vectorized_map(each, examples, fallback_to_while_loop=False)

    (x,) = numbers((3, 5, 16))
    expected = np.stack([one(tf.constant(each)).numpy() for each in x])
    assert np.allclose(compiled(every, x), expected, rtol=1e-4, atol=1e-4)


SELECTIONS = (sg.channels([1]), sg.rows([0, 3]), sg.elements(0.9, by="random"))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow traces steps for tensors of any size")
@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize("rank", [2, 3])
def test_fit_on_data_of_unknown_sizes(rank, selection):
    import tensorflow as tf

    (x,) = numbers((6, *[3] * (rank - 2), 8))
    spec = tf.TensorSpec((None,) * rank)
    data = tf.data.Dataset.from_generator(lambda: iter([(x, x)]), output_signature=(spec, spec))
    start = keras.Input(x.shape[1:])
    model = keras.Model(start, layers.Dense(8, name="d")(start))
    tuned = sg.rewrite(model, sg.train("d", kernel=selection))
    tuned.compile("sgd", "mse", jit_compile=True)
    tuned.fit(data.repeat(), steps_per_epoch=1, shuffle=False, verbose=0)
    kernel = tuned.get_layer("d").kernel
    moved = to_numpy(kernel) != to_numpy(model.get_layer("d").kernel)
    assert np.array_equal(moved, kernel.part.to_mask())


@WITH_XLA
@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize("rows", [4, 300])
def test_a_compiled_step_is_that_of_a_step_that_is_not(selection, rows):
    start = keras.Input((32,))
    x = layers.Dense(32, activation="tanh")(start)
    model = keras.Model(start, layers.Dense(3)(layers.Dense(32, name="d", activation="tanh")(x)))
    (x, y), found = numbers((rows, 32), (rows, 3)), []
    for way in ({"jit_compile": True}, {"run_eagerly": True}):
        tuned = sg.rewrite(model, sg.train("d", kernel=selection))
        tuned.compile(keras.optimizers.SGD(0.1), "mse", **way)
        tuned.train_on_batch(x, y)
        found.append([to_numpy(weight) for weight in tuned.weights])
    for one, two in zip(*found, strict=True):
        assert np.allclose(one, two, rtol=1e-4, atol=1e-5)
    kernel = tuned.get_layer("d").kernel
    moved = to_numpy(kernel) != to_numpy(model.get_layer("d").kernel)
    assert np.array_equal(moved, kernel.part.to_mask())
