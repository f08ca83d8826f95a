"""Selectors that look at the graph around a node, against networkx and by hand."""

from __future__ import annotations

import keras
import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surgeon as sg
from tests import zoo
from tests.strategies import build, recipes


def paths(model, selector):
    return sg.find(model, selector).paths


@given(recipes(kinds=("dense", "add", "shared", "batch_norm", "activation")), st.data())
@settings(max_examples=8)
def test_streams_are_those_of_networkx(recipe, data):
    graph = sg.to_graph(build(recipe))
    start = data.draw(st.sampled_from([node for node in graph if node.name != "shared"]))
    for select, reach in ((sg.upstream_of, nx.ancestors), (sg.downstream_of, nx.descendants)):
        wanted = {graph[key].path for key in reach(graph.nx, start.key)}
        assert set(sg.find(graph, select(start)).paths) == wanted
    near = {graph[key].path for key in graph.nx.predecessors(start.key)}
    assert set(sg.find(graph, sg.producers_of(start)).paths) == near
    near = {graph[key].path for key in graph.nx.successors(start.key)}
    assert set(sg.find(graph, sg.consumers_of(start)).paths) == near


def test_position_counts_layers_in_order():
    model = zoo.residual()
    convs = paths(model, sg.isa("Conv2D") & ~sg.isa("DepthwiseConv2D") & ~sg.isa("SeparableConv2D"))
    plain = sg.isa("Conv2D") & ~sg.isa("DepthwiseConv2D") & ~sg.isa("SeparableConv2D")
    assert paths(model, sg.first(plain)) == convs[:1]
    assert paths(model, sg.last(plain, 2)) == convs[-2:]
    assert paths(model, sg.nth(plain, 1)) == convs[1:2]
    assert paths(model, sg.nth(plain, -1)) == convs[-1:]
    assert paths(model, sg.every(2, plain, start=1)) == convs[1::2]


def test_depth_from_both_ends():
    model = zoo.mlp()
    assert paths(model, sg.depth(0, 0)) == ["features"]
    assert paths(model, sg.depth(2)) == ["dense_2", "head"]
    assert paths(model, sg.depth(0, 1, from_output=True)) == ["dense_2", "head"]
    assert paths(model, sg.ends()) == ["head"]


def test_nested_models_are_part_of_the_stream():
    model = zoo.nested()
    above = paths(model, sg.upstream_of("head"))
    assert {"encoder", "encoder/conv", "encoder/block", "encoder/block/out", "dropout"} <= set(above)
    below = paths(model, sg.downstream_of("encoder/conv"))
    assert {"encoder/bn", "encoder/block/dense", "dropout", "head"} <= set(below)
    assert "encoder/conv" not in below
    assert paths(model, sg.between("encoder/conv", "encoder/pool")) == ["encoder/bn", "encoder/relu"]
    assert paths(model, sg.inside("encoder/block"))[-2:] == ["encoder/block/dense", "encoder/block/out"]


def test_sets_counts_and_weights():
    model = zoo.cnn()
    assert paths(model, sg.has_weight("kernel", (None, 4))) == ["predictions"]
    assert paths(model, sg.has_weight("moving_*") & sg.upstream_of("pool_1")) == ["bn_1"]
    assert paths(model, sg.isa("ReLU").expect(2)) == ["relu_1", "relu_2"]
    assert paths(zoo.shared(), ~sg.called(1)) == ["tower", "tower/twice", "again"]
    found = sg.find(model, sg.isa("Conv2D"))
    assert str(found).splitlines() == [
        "isa('Conv2D'): 2 layers",
        "  conv_1 (Conv2D) (None, 12, 12, 6), 162 of 162 train",
        "  conv_2 (Conv2D) (None, 6, 6, 8), 440 of 440 train",
    ]
    assert "close: 'conv_1'" in str(sg.find(model, "conv1"))
    with pytest.raises(sg.RuleError, match="expected 3 layers, found 2"):
        found.expect(3)


def test_freezing_by_place():
    model = zoo.cnn()
    tuned = sg.rewrite(model, sg.freeze(sg.upstream_of("hidden") & sg.has_weight("kernel")))
    assert sorted(sg.seal(tuned).weights) == ["conv_1/kernel", "conv_2/bias", "conv_2/kernel"]


def test_what_depends_on_a_graph_needs_one():
    with pytest.raises(sg.RuleError, match="depends on the graph"):
        sg.first("a").matches(sg.to_graph(zoo.mlp())["head"])


def test_layers_of_nested_models_count_where_their_model_is_called():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="in")], name="inner")
    x = keras.Input((4,), name="x")
    head = keras.layers.Dense(2, name="head")(inner(keras.layers.Dense(4, name="stem")(x)))
    model = keras.Model(x, head)
    dense = sg.isa("Dense")
    assert [paths(model, sg.nth(dense, n)) for n in range(3)] == [["stem"], ["inner/in"], ["head"]]
    assert paths(model, sg.last(dense)) == ["head"]
