"""What a `GraphEditor` refuses, whoever calls it: a rule, a replay of a plan, a script."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from surgeon.errors import GraphError
from surgeon.graph import GraphEditor
from surgeon.graph.edge_edits import encoded
from surgeon.graph.editing import source_of
from tests import zoo


@pytest.fixture(scope="module")
def graph():
    """An input that two calls of one layer read, and a layer next to it."""
    start = keras.Input((4,), name="x")
    twice = layers.Dense(4, name="twice")
    y = layers.Add(name="sum")([twice(twice(start)), layers.Dense(4, name="d")(start)])
    return sg.to_graph(keras.Model(start, layers.ReLU(name="r")(y), name="m"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda e: e.rewire("r", "d", output=1), r"'d' has no output 1: it has 1"),
        (lambda e: e.rewire("r", "nowhere"), r"no node 'nowhere'"),
        (
            lambda e: e.replace_input("xx", layers.ReLU(), shape=(4,), dtype="float32"),
            r"'xx' is no input; close",
        ),
        (
            lambda e: e.replace("x", layers.ReLU(name="q")),
            r"'x' is an input .* and cannot be replaced",
        ),
        (lambda e: e.remove("x"), r"'x' is an input of the model and cannot be removed"),
        (lambda e: e.remove("twice", calls=[2]), r"'twice' is called 2 times, there is no call 2"),
        (lambda e: e.unshare("d", []), r"'d' is called 1 times: 0 new layers do not fit that"),
        (lambda e: e.unshare("twice", []), r"'twice' is called 2 times: 0 new layers do not fit that"),
    ],
    ids=["output", "source", "no input", "input replaced", "input removed", "call", "once", "too few"],
)
def test_refusals(graph, edit, message):
    editor = GraphEditor(graph, "test")
    with pytest.raises(GraphError, match=message):
        edit(editor)
    assert not editor.journal


def test_layers_in_different_models_are_not_made_one():
    start = keras.Input((4,), name="i")
    inner = keras.Model(start, layers.Dense(4, name="d")(start), name="inner")
    start = keras.Input((4,), name="x")
    model = keras.Model(start, layers.Dense(4, name="e")(inner(start)))
    with pytest.raises(GraphError, match=r"'inner/d' cannot be one layer: they lie in different models"):
        GraphEditor(sg.to_graph(model), "test").share("e", "inner/d")


def test_the_first_layer_reads_nothing(graph):
    with pytest.raises(GraphError, match="'x' reads no tensor: there is nothing before it"):
        source_of(graph["x"], None, "argument=0")


def test_outputs_of_any_structure_are_set(graph):
    editor = GraphEditor(graph, "test")
    refs = {"a": graph.outputs if not isinstance(graph.outputs, list) else graph.outputs[0]}
    editor.set_outputs(encoded({"a": refs["a"], "b": [refs["a"]]}))
    assert editor.finish().outputs == {"a": refs["a"], "b": [refs["a"]]}


def test_a_graph_without_layers_is_no_model():
    from surgeon.roundtrip import to_model

    with pytest.raises(GraphError, match=r"expected a ModelGraph, not Sequential: to_graph"):
        to_model(zoo.mlp())
