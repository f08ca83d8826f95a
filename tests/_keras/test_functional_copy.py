"""A graph that is written down from another one is the graph that Keras itself would find."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from surgeon import _keras
from surgeon.roundtrip import to_graph, to_model
from tests import zoo


def two_inputs_one_unused():
    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="unused")
    output = layers.Dense(2, name="dense")(first)
    try:
        return keras.Model([first, second], output)
    except ValueError:
        if not keras.__version__.startswith("3.12."):
            raise
        pytest.skip("this Keras refuses an input that nothing reads (3.12)")


def outputs_at_several_depths():
    x = start = keras.Input((3,), name="x")
    dense = layers.Dense(3, name="shared")
    found: list[Any] = []
    for _ in range(3):
        x = dense(x)
        found.insert(0, x)
    return keras.Model(start, {"all": found, "sum": layers.Add(name="sum")(found)})


def as_identities(by_depth):
    return {depth: [id(item) for item in items] for depth, items in by_depth.items()}


def node_identities(by_depth):
    return {depth: sorted(id(item) for item in items) for depth, items in by_depth.items()}


KEPT = ("_nodes", "_nodes_by_depth", "_operations", "_operations_by_depth", "_layers", "output_names")
MAKERS = [*zoo.ZOO.values(), two_inputs_one_unused, outputs_at_several_depths]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_it_holds_what_keras_would_have_found(make, monkeypatch):
    model, walked = make(), []
    init = _keras.Functional.__init__

    def spy(self, inputs, outputs, name=None, **kwargs):
        walked.append(keras.tree.flatten(outputs) == keras.tree.flatten(inputs))
        init(self, inputs, outputs, name=name, **kwargs)

    monkeypatch.setattr(_keras.Functional, "__init__", spy)
    copy: Any = _keras.functional_of(to_model(to_graph(model)))
    assert walked
    assert all(walked), "Keras walked the graph"
    monkeypatch.undo()
    stock: Any = _keras.Functional(copy._inputs_struct, copy._outputs_struct, name=copy.name)

    for name in KEPT:
        assert type(getattr(copy, name)) is type(getattr(stock, name)), name
    assert copy._nodes == stock._nodes
    assert node_identities(copy._nodes_by_depth) == node_identities(stock._nodes_by_depth)
    assert as_identities(copy._operations_by_depth) == as_identities(stock._operations_by_depth)
    assert [id(op) for op in copy._operations] == [id(op) for op in stock._operations]
    assert {id(layer) for layer in copy._layers} == {id(layer) for layer in stock._layers}
    assert list(copy.output_names) == list(stock.output_names)
    assert keras.tree.flatten(copy._outputs_struct) == copy._outputs == stock._outputs
    if keras.backend.backend() == "tensorflow":
        assert set(stock._trackable_children()) <= set(copy._trackable_children())


def test_other_outputs_are_no_copy():
    model = outputs_at_several_depths()
    copies = {id(op): op for op in model.operations}
    copies |= {id(t): t for node in _keras.nodes_in_order(model) for t in node.outputs}
    fresh = _keras.Functional.__new__(_keras.Functional)
    assert not _keras.start_functional_copy(fresh, model, copies, model.input, model.outputs[0], None)
    assert not _keras.start_functional_copy(fresh, model, {}, model.input, model.output, None)
    assert "_nodes" not in vars(fresh)
