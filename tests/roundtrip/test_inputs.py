"""Inputs of every structure and kind, and their names."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import to_numpy


def vectors(*names, **kwargs):
    return [keras.Input((4,), name=name, **kwargs) for name in names]


def joined(tensors, **outputs):
    return layers.Dense(2, name="head")(layers.Concatenate(name="concat")(tensors))


def of_a_list():
    a, b = vectors("a", "b")
    return keras.Model([a, b], joined([a, b]))


def of_one_in_a_list():
    (a,) = vectors("a")
    return keras.Model([a], [layers.Dense(2, name="head")(a)])


def of_a_tuple_of_lists():
    a, b, c = vectors("a", "b", "c")
    return keras.Model([a, [b, c]], [joined([a, b, c])])


def of_a_dict():
    a, b = vectors("a", "b")
    y = joined([b, a])
    return keras.Model({"a": a, "b": b}, {"score": y, "double": y * 2})


def of_a_dict_that_is_not_sorted():
    z, a = vectors("z", "a")
    return keras.Model({"z": z, "a": a}, joined([z, a]))


def with_a_batch_size():
    (a,) = vectors("a", batch_size=1)
    return keras.Model(a, layers.Dense(2)(a))


def with_several_dtypes():
    a, n, flag = (
        vectors("a")[0],
        keras.Input((3,), dtype="int32", name="n"),
        keras.Input((3,), dtype="bool", name="f"),
    )
    embedded = layers.Flatten()(layers.Embedding(9, 2, name="embedding")(n))
    return keras.Model([a, n, flag], joined([a, embedded, ops.cast(flag, "float32")]))


def with_an_unused_input():
    a, b = vectors("a", "unused")
    return keras.Model([a, b], layers.Dense(2, name="head")(a))


def with_an_input_that_is_an_output():
    a, b = vectors("a", "b")
    return keras.Model([a, b], [layers.Dense(2, name="head")(a), b])


LOOSE_INPUTS = pytest.mark.skipif(
    keras.version() < "3.13", reason="Keras 3.12 makes no model with an input that no layer reads"
)


@pytest.mark.parametrize(
    "build",
    [
        of_a_list,
        of_one_in_a_list,
        of_a_tuple_of_lists,
        of_a_dict,
        of_a_dict_that_is_not_sorted,
        with_a_batch_size,
        with_several_dtypes,
        pytest.param(with_an_unused_input, marks=LOOSE_INPUTS),
        pytest.param(with_an_input_that_is_an_output, marks=LOOSE_INPUTS),
    ],
    ids=lambda build: build.__name__,
)
def test_inputs(build):
    model = zoo.jitter(build())
    check_exact(model)
    same = sg.rewrite(model, [])
    assert [tensor.name for tensor in same.inputs] == [tensor.name for tensor in model.inputs]
    assert [tensor.shape for tensor in same.inputs] == [tensor.shape for tensor in model.inputs]


def test_an_optional_input_can_still_be_left_out():
    model = zoo.optional()
    check_exact(model)
    inputs = zoo.sample_inputs(model, leave_out_optional=True)
    assert np.array_equal(to_numpy(model(inputs)), to_numpy(sg.rewrite(model, [])(inputs)))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no sparse tensors on PyTorch")
def test_a_sparse_input_stays_sparse():
    (a,) = vectors("a", sparse=True)
    model = zoo.jitter(keras.Model(a, layers.Dense(2, name="head")(a)))
    for changed in (
        sg.rewrite(model, [], validate="structure"),
        sg.rewrite(model, sg.freeze("head"), validate="structure"),
    ):
        assert changed.inputs[0].sparse
        assert changed.layers[0].sparse


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="ragged tensors are TensorFlow's")
def test_a_ragged_input_stays_ragged():
    import tensorflow as tf

    a = keras.Input((None,), ragged=True, dtype="int32", name="a")
    pooled = layers.Lambda(lambda x: tf.reduce_sum(x, axis=1)[:, None], output_shape=(1,))(a)
    model = zoo.jitter(keras.Model(a, layers.Dense(2, name="head")(ops.cast(pooled, "float32"))))
    same = sg.rewrite(model, [], validate="structure")
    inputs = tf.ragged.constant([[1, 2, 3], [4]], dtype="int32")
    assert same.inputs[0].ragged
    assert np.array_equal(model(inputs), same(inputs))
