"""Every keras.applications model comes through unchanged."""

from __future__ import annotations

import keras
import pytest

import surgeon as sg
from tests import zoo
from tests.applications import FAMILIES, NAMES
from tests.helpers import assert_same_outputs, assert_same_weights, tiers, weights_of


def test_there_are_as_many_as_we_think():
    assert len(NAMES) >= 38


@pytest.mark.parametrize("name", tiers(NAMES, ["MobileNetV2"], FAMILIES))
def test_identity(name):
    model = zoo.jitter(getattr(keras.applications, name)(weights=None))
    counts = [len(operation._inbound_nodes) for operation in model.operations]
    same = sg.rewrite(model, [], validate="structure")
    assert [len(operation._inbound_nodes) for operation in model.operations] == counts
    assert type(same) is type(model)
    assert [layer.name for layer in same.layers] == [layer.name for layer in model.layers]
    assert_same_weights(weights_of(model), weights_of(same))
    inputs = zoo.sample_inputs(model, batch=1)
    assert_same_outputs(model(inputs), same(inputs))
