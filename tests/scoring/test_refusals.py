"""Data that say nothing, or nothing of channels."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg

X = np.ones((6, 4), "float32")


def model_of(*made, loss="mse"):
    model = keras.Sequential([keras.Input((4,)), *made])
    model.compile("sgd", loss)
    return model


class Endless(keras.utils.PyDataset):
    """Does not say how many batches it has."""

    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        return X[:2], np.ones((2, 3), "float32")


class Empty(Endless):
    @property
    def num_batches(self):
        return 0


def test_data_without_an_end_need_a_number_of_batches():
    model = model_of(layers.Dense(3, name="d"))
    with pytest.raises(sg.SelectionError, match=r"do not say how many batches they are: add batches="):
        sg.rewrite(model, sg.train("d", kernel=sg.channels(0.5, by=sg.gradient(Endless()))))


def test_no_more_batches_are_looked_at_than_wanted_and_none_is_an_error():
    asked = []

    def forever():
        while True:
            asked.append(1)
            yield X[:2], np.ones((2, 3), "float32")

    model = model_of(layers.Dense(3, name="d"))
    sg.rewrite(
        model, [sg.freeze("**"), sg.train("d", kernel=sg.channels(0.5, by=sg.gradient(forever(), batches=2)))]
    )
    assert len(asked) <= 3
    with pytest.raises(sg.SelectionError, match="there are no data"):
        sg.rewrite(model, sg.train("d", kernel=sg.channels(0.5, by=sg.gradient(Empty()))))


class Two(layers.Layer):
    """Puts out twice as many channels as its kernel has."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, x):
        y = x @ self.kernel
        return keras.ops.concatenate([y, y[..., :1]], -1)


def test_outputs_that_are_not_the_channels_of_a_weight_say_nothing_of_them():
    model = model_of(Two(name="two"), layers.Dense(2, name="head"))
    by = sg.activation(X)
    with pytest.raises(sg.SelectionError, match=r"'two/kernel' has 3 channels, and 4 come out of its layer"):
        sg.rewrite(model, sg.train("two", kernel=sg.channels(0.5, by=by)))


def test_depthwise_channels_are_those_of_the_input():
    start = keras.Input((6, 6, 2))
    layer = layers.DepthwiseConv2D(3, depth_multiplier=2, name="deep")
    model = keras.Model(start, layer(start))
    data = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32") * [10, 0.1]
    by = sg.activation(data.astype("float32"))
    tuned = sg.rewrite(model, [sg.freeze("**"), sg.train("deep", kernel=sg.channels(0.5, by=by))])
    assert len(tuned.trainable_variables) == 1
