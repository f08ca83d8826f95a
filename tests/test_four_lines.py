"""Replacing every wide Dense takes four lines with its application, and loses nothing on the way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

import surgeon as sg
from surgeon import paths
from tests import zoo
from tests.helpers import assert_same_outputs, to_numpy

LINES = """
wide = sg.isa("Dense") & sg.where(lambda node: node.config["units"] >= 64)
plan = sg.plan(model, sg.replace(wide, lambda node: layers.Dense(node.config["units"], activation="gelu")))
tuned = plan.apply(model)
"""


def patient():
    """A Dense that is called three times, one in a nested model, one that is a gelu already, a narrow one."""
    inner_in = keras.Input((64,), name="inner_in")
    inner = keras.Model(inner_in, layers.Dense(80, "relu", name="inside")(inner_in), name="nested")
    shared = layers.Dense(64, "relu", name="shared")
    x = image = keras.Input((64,), name="x")
    x = inner(layers.Add(name="sum")([shared(x), shared(shared(x))]))
    x = layers.Dense(100, "gelu", name="same")(x)
    return zoo.jitter(keras.Model(image, layers.Dense(8, name="narrow")(x), name="patient"))


def test_every_wide_dense_is_replaced_in_four_lines():
    assert len(LINES.strip().splitlines()) <= 4
    model = patient()
    before = {weight.path: to_numpy(weight).copy() for weight in model.weights}
    made: dict[str, Any] = {"sg": sg, "layers": layers, "model": model}
    exec(LINES, made)
    tuned, text = made["tuned"], str(made["plan"])

    # Weights and names.
    assert [(layer.name, type(layer)) for layer in tuned.layers] == [(a.name, type(a)) for a in model.layers]
    assert {weight.path for weight in tuned.weights} == set(before)
    for weight in tuned.weights:
        assert np.array_equal(to_numpy(weight), before[weight.path]), weight.path
    # What was asked for, and nothing else.
    dense = {path: layer for path, layer in paths.walk(tuned) if isinstance(layer, layers.Dense)}
    gelu = {path for path, layer in dense.items() if layer.activation is keras.activations.gelu}
    assert gelu == {"shared", "nested/inside", "same"}
    assert not {id(layer) for layer in dense.values()} & {id(layer) for layer in model.layers}
    # Sharing: one layer, three calls.
    calls = [node.path for node in sg.to_graph(tuned) if node.path == "shared"]
    assert len(calls) == 3
    # The report.
    for path in ("shared", "nested/inside", "same"):
        assert f"replaces {path}: Dense → Dense (carries kernel, bias)" in text
    # The same as setting the activation by hand.
    by_hand = patient()
    for layer in (by_hand.get_layer("shared"), by_hand.get_layer("nested").get_layer("inside")):
        layer.activation = keras.activations.gelu
    inputs = zoo.sample_inputs(model)
    assert_same_outputs(by_hand(inputs), tuned(inputs))
    assert not np.allclose(to_numpy(model(inputs)), to_numpy(tuned(inputs)))
