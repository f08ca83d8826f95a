"""Calls: operations that are no layers, their constants, and the arguments of layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import to_numpy


def arithmetic(x):
    return ops.relu(2.0 - x * 2) / 3 + (-x) ** 2


def slices(x):
    return ops.concatenate([x[:, 1:3], x[:, ::2], x[..., -1:]], axis=-1)


def array_constants(x):
    return ops.where(x > np.zeros(4, "float32"), x, x * np.linspace(-1, 1, 4).astype("float32"))


def several_outputs(x):
    head, tail = ops.split(x, 2, axis=-1)
    return ops.concatenate([tail, head], axis=-1)


def shapes(x):
    return ops.reshape(ops.transpose(ops.reshape(x, (-1, 2, 2)), (0, 2, 1)), (-1, 4))


def stacked(x):
    return ops.sum(ops.stack([x, x * 0.5, ops.stop_gradient(x)], axis=1), axis=1)


def einsum(x):
    return ops.einsum("bi,ij->bj", x, np.eye(4, dtype="float32")[::-1].copy())


@pytest.mark.parametrize(
    "compute",
    [arithmetic, slices, array_constants, several_outputs, shapes, stacked, einsum],
    ids=lambda compute: compute.__name__,
)
def test_operations(compute):
    x = keras.Input((4,), name="x")
    y = compute(layers.Dense(4, name="dense")(x))
    check_exact(zoo.jitter(keras.Model(x, layers.Dense(2, name="head")(y))))


def test_a_variable_as_a_constant_is_copied():
    temperature = keras.Variable(2.0, trainable=False, name="temperature")
    x = keras.Input((4,), name="x")
    model = zoo.jitter(keras.Model(x, layers.Dense(2, name="dense")(x) * temperature))
    same = sg.rewrite(model, [])
    inputs = zoo.sample_inputs(model)
    before = to_numpy(same(inputs))
    temperature.assign(5.0)
    assert np.array_equal(to_numpy(same(inputs)), before)
    assert not np.array_equal(to_numpy(model(inputs)), before)


def test_training_as_an_argument():
    x = keras.Input((4,), name="x")
    y = layers.BatchNormalization(name="norm")(x, training=False)
    y = layers.Dropout(0.5, name="dropout")(y, training=True)
    model = zoo.jitter(keras.Model(x, layers.Dense(2, name="head")(y)))
    check_exact(model)


def test_masks_as_arguments():
    x, mask = keras.Input((5, 4), name="x"), keras.Input((5,), dtype="bool", name="mask")
    grid = keras.Input((5, 5), dtype="bool", name="grid_mask")
    y = layers.LSTM(4, return_sequences=True, name="lstm")(x, mask=mask)
    y = layers.MultiHeadAttention(2, 2, name="attention")(y, y, attention_mask=grid)
    check_exact(zoo.jitter(keras.Model([x, mask, grid], layers.GlobalAveragePooling1D()(y, mask=mask))))


def test_states_of_one_recurrent_layer_start_another():
    x = keras.Input((5, 4), name="x")
    y, hidden, carry = layers.LSTM(3, return_sequences=True, return_state=True, name="encoder")(x)
    z, *states = layers.LSTM(3, return_state=True, name="decoder")(y, initial_state=[hidden, carry])
    check_exact(zoo.jitter(keras.Model(x, [z, *states])))


def test_attention_scores_as_a_second_output():
    x = keras.Input((5, 4), name="x")
    y, scores = layers.MultiHeadAttention(2, 2, name="attention")(
        x, x, return_attention_scores=True, use_causal_mask=True
    )
    check_exact(zoo.jitter(keras.Model(x, [y, scores])))


def test_python_values_as_arguments():
    class Power(layers.Layer):
        def call(self, inputs, exponent=1, *, shift=0.0):
            return inputs**exponent + shift

    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(2, name="d")(Power(name="power")(x, exponent=2, shift=0.5)))
    check_exact(zoo.jitter(model))
