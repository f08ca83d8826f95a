"""Every keras.applications model comes through unchanged."""

from __future__ import annotations

import keras
import pytest

import surgeon as sg
from tests import zoo
from tests.helpers import assert_same_outputs, assert_same_weights, weights_of

QUICK = ("MobileNetV2",)


def constructors():
    made = {
        name: value
        for name, value in vars(keras.applications).items()
        if callable(value) and name[0].isupper()
    }
    return [pytest.param(made[n], id=n, marks=[] if n in QUICK else pytest.mark.slow) for n in sorted(made)]


def test_there_are_as_many_as_we_think():
    assert len(constructors()) >= 38


@pytest.mark.parametrize("constructor", constructors())
def test_identity(constructor):
    model = zoo.jitter(constructor(weights=None))
    counts = [len(operation._inbound_nodes) for operation in model.operations]
    same = sg.rewrite(model, [], validate="structure")
    assert [len(operation._inbound_nodes) for operation in model.operations] == counts
    assert type(same) is type(model)
    assert [layer.name for layer in same.layers] == [layer.name for layer in model.layers]
    assert_same_weights(weights_of(model), weights_of(same))
    inputs = zoo.sample_inputs(model, batch=1)
    assert_same_outputs(model(inputs), same(inputs))
