"""Models whose graph an edit changes around masks, inputs and shared layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
from surgeon.roundtrip import to_graph, to_model
from tests import zoo
from tests.helpers import to_numpy


def test_a_model_from_a_graph_of_new_layers_alone():
    """No model stands behind it: what is made is a plain one."""
    start = keras.layers.InputLayer(batch_shape=(None, 4), name="x")
    dense = layers.Dense(3, name="d")
    spec = [TensorSpec((None, size), "float32") for size in (4, 3)]
    nodes = {
        "x": Node("x", "x", "x", "InputLayer", outputs=(spec[0],), is_input=True, op=start, is_new=True),
        "d": Node("d", "d", "d", "Dense", args=(Ref("x"),), outputs=(spec[1],), op=dense, is_new=True),
    }
    model = to_model(ModelGraph("made", "Functional", nodes, Ref("x"), Ref("d")))
    assert model.name == "made"
    assert model(np.ones((2, 4), "float32")).shape == (2, 3)


def test_what_no_longer_fits_what_comes_before_it_says_so():
    start = keras.Input((4,), name="x")
    y = layers.Dense(4, name="d")(start)
    model = keras.Model(start, layers.Add(name="sum")([y, start]))
    with pytest.raises(sg.GraphError, match="'sum'"):
        sg.rewrite(model, sg.replace("d", layers.Dense(3)))


def test_a_model_that_takes_variables_is_shared_with_new_ones():
    weight = keras.Variable(np.full((4,), 2.0, "float32"), name="w")
    start = keras.Input((4,), name="x")
    y = layers.Dense(4, name="d")(start)
    model = zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(keras.ops.multiply(y, weight))))
    tuned = sg.rewrite(model, sg.freeze("head"), share=True)
    x = np.ones((1, 4), "float32")
    assert np.array_equal(to_numpy(tuned(x)), to_numpy(model(x)))


def test_a_sequential_whose_end_is_not_its_last_layer_becomes_plain():
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(4, name="a"), layers.ReLU(name="b")])
    cut = sg.extract(model, end="a")
    assert [layer.name for layer in cut.layers][-1] == "a"
    twice = sg.rewrite(zoo.jitter(model), sg.duplicate("a"))
    assert isinstance(twice, keras.Sequential)
    assert len(twice.layers) == 3


def test_masks_that_are_made_of_what_comes_later_come_first():
    words = keras.Input((5,), dtype="int32", name="words")
    y = layers.Embedding(7, 4, mask_zero=True, name="e")(words)
    y = layers.LSTM(3, return_sequences=True, name="l")(layers.Dropout(0.1, name="drop")(y))
    model = zoo.jitter(keras.Model(words, layers.GlobalAveragePooling1D(name="p")(y)))
    data = np.array([[1, 2, 0, 0, 0], [1, 2, 3, 4, 5]])
    before = to_numpy(model(data))
    for rule in (
        sg.insert_after("e", layers.Activation("linear", name="new")),
        sg.remove("drop"),
        sg.insert_before("l", layers.Activation("linear", name="new")),
    ):
        assert np.allclose(to_numpy(sg.rewrite(model, rule)(data)), before, atol=1e-6)


def test_an_input_that_grows_is_followed_to_the_end():
    model = keras.Sequential(
        [keras.Input((8, 8, 3), name="x"), layers.Conv2D(2, 3, name="c"), layers.GlobalMaxPooling2D(name="p")]
    )
    larger = sg.rewrite(model, sg.change_input((16, 16, 3)))
    assert larger.input_shape == (None, 16, 16, 3)
    assert to_graph(larger)["c"].outputs[0].shape == (None, 14, 14, 2)
