"""Patterns: chains and graphs with named nodes, and why they do not match elsewhere."""

from __future__ import annotations

import time

import keras
import pytest
from keras import layers

import surgeon as sg
from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
from tests import zoo

CONV_BN_RELU = sg.chain(conv=sg.isa("Conv2D"), bn=sg.isa("BatchNormalization"), relu=sg.isa("ReLU"))


def test_a_chain_names_its_nodes():
    found = sg.find(zoo.cnn(), CONV_BN_RELU).expect(2)
    assert [(m.conv.name, m.bn.name, m.relu.name) for m in found] == [
        ("conv_1", "bn_1", "relu_1"),
        ("conv_2", "bn_2", "relu_2"),
    ]
    assert found[0].reads == (Ref("image"),)
    assert found[0].outputs == (Ref("relu_1"),)
    with pytest.raises(AttributeError, match="no node 'con'; close: 'conv'"):
        found[0].con  # noqa: B018 - reading it is the test


def test_all_of_resnet152_are_found():
    model = keras.applications.ResNet152(weights=None, include_top=False, input_shape=(32, 32, 3))
    block = sg.chain(conv=sg.isa("Conv2D"), bn=sg.isa("BatchNormalization"), relu=sg.isa("Activation"))
    # The stem, and the first two of the three convolutions in each of 3 + 8 + 36 + 3 blocks.
    found = sg.find(model, block).expect(1 + 2 * 50)
    graph, seconds = sg.to_graph(model), []
    for _ in range(5):
        begin = time.process_time()
        sg.find(graph, block)
        seconds.append(time.process_time() - begin)
    assert min(seconds) <= 0.05
    assert found[0].conv.name == "conv1_conv"
    # After the third comes an Add.
    assert "conv5_block3_out: bn: wanted isa('BatchNormalization'), found Add 'conv5_block3_add'" in str(
        found
    )


def test_nested_models_are_searched():
    block = sg.chain(conv=sg.isa("Conv2D"), bn=sg.isa("BatchNormalization"))
    found = sg.find(zoo.nested(), block).expect(1)
    assert (found[0].model, found[0].conv.path) == ("encoder", "encoder/conv")


def test_optional_nodes_may_be_missing():
    x = keras.Input((4,), name="x")
    y = layers.ReLU(name="r1")(layers.Dense(4, name="d1")(x))
    y = layers.ReLU(name="r2")(layers.BatchNormalization(name="b2")(layers.Dense(4, name="d2")(y)))
    model = keras.Model(x, layers.Dense(4, name="d3")(y))
    inner = sg.chain(dense=sg.isa("Dense"), bn=sg.optional(sg.isa("BatchNormalization")), act=sg.isa("ReLU"))
    assert [(m.dense.name, m.bn and m.bn.name) for m in sg.find(model, inner)] == [("d1", None), ("d2", "b2")]
    end = sg.chain(dense=sg.isa("Dense"), act=sg.optional(sg.isa("ReLU")))
    assert [(m.dense.name, m.act and m.act.name) for m in sg.find(model, end)] == [
        ("d1", "r1"),
        ("d2", None),
        ("d3", None),
    ]


def residual_pattern(commutative):
    x = sg.any_tensor("x")
    last = sg.node("last", sg.isa("Dense"))(sg.node("first", sg.isa("Dense"))(x))
    return sg.pattern(sg.node("add", sg.isa("Add"), commutative=commutative)(last, x))


@pytest.mark.parametrize("turned", [False, True])
def test_a_skip_connection_whichever_way_round(turned):
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, name="b")(layers.Dense(4, name="a")(x))
    model = keras.Model(x, layers.Add(name="add")([x, y] if turned else [y, x]))
    assert len(sg.find(model, residual_pattern(commutative=True))) == 1
    found = sg.find(model, residual_pattern(commutative=False))
    assert len(found) == (0 if turned else 1)
    if turned:
        assert "add: last: wanted isa('Dense'), found InputLayer 'x'" in str(found)


def test_several_outputs_and_alternatives():
    x = keras.Input((4,), name="x")
    stem = layers.Dense(4, name="stem")(x)
    model = keras.Model(x, [layers.ReLU(name="left")(stem), layers.Softmax(name="right")(stem)])
    shared = sg.node("stem", sg.isa("Dense"))
    both = sg.pattern(sg.node("a", sg.isa("ReLU"))(shared), sg.node("b", sg.isa("Softmax"))(shared))
    match = sg.find(model, both).expect(1)[0]
    assert (match.a.name, match.b.name, match.stem.name) == ("left", "right", "stem")
    either = sg.either(sg.node("d", sg.isa("Dense")), sg.node("c", sg.isa("Conv2D")))
    found = sg.find(model, sg.pattern(sg.node("end", sg.isa("ReLU"))(either), exclusive=False))
    assert found.expect(1)[0].d.name == "stem"


def test_what_is_read_elsewhere_is_no_block_and_matches_do_not_overlap():
    x = keras.Input((4,), name="x")
    d = layers.Dense(4, name="d")(x)
    model = keras.Model(x, [layers.ReLU(name="r")(d), d])
    found = sg.find(model, sg.chain(d=sg.isa("Dense"), r=sg.isa("ReLU")))
    assert str(found).splitlines()[1] == "  not at r: d: 'd' is also read by the model's output"
    drops = [layers.Dropout(0.1, name=f"drop_{number}") for number in range(3)]
    model = keras.Sequential([keras.Input((4,)), *drops])
    found = sg.find(model, sg.chain(a=sg.isa("Dropout"), b=sg.isa("Dropout"))).expect(1)
    assert "drop_2: a: 'drop_1' is part of the match at 'drop_1'" in str(found)


def test_conditions_span_nodes_and_their_errors_name_the_match():
    same = CONV_BN_RELU.where(lambda m: m.conv.config["use_bias"])
    assert [m.conv.name for m in sg.find(zoo.cnn(), same)] == ["conv_2"]
    with pytest.raises(sg.RuleError, match=r"condition lambda at .* failed on conv='conv_1' .*: KeyError"):
        sg.find(zoo.cnn(), CONV_BN_RELU.where(lambda m: m.conv.config["nothing"]))


def test_a_block_becomes_one_layer():
    model = zoo.cnn()
    fused = sg.rewrite(
        model,
        sg.replace(
            CONV_BN_RELU,
            lambda m: layers.Conv2D(m.conv.config["filters"], 3, padding="same", name=f"{m.conv.name}_fused"),
        ),
    )
    names = [layer.name for layer in fused.layers]
    assert names[1:5] == ["conv_1_fused", "pool_1", "conv_2_fused", "pool_2"]
    assert (fused.get_layer("conv_2_fused").kernel.numpy() == model.get_layer("conv_2").kernel.numpy()).all()


def chain_of(length):
    spec = TensorSpec((None, 2), "float32")
    nodes = {"x": Node("x", "x", "x", "InputLayer", outputs=(spec,), is_input=True)}
    last = "x"
    for number in range(length):
        cls = ("Conv2D", "BatchNormalization", "ReLU", "Add")[number % 4]
        args = ([Ref(last), Ref("x")],) if cls == "Add" else (Ref(last),)
        last = f"n{number}"
        nodes[last] = Node(last, last, last, cls, args=args, outputs=(spec,))
    return ModelGraph("m", "Functional", nodes, [Ref("x")], [Ref(last)])


def test_a_pattern_is_followed_not_sought():
    counts = []
    for length in (400, 800):
        asked = 0

        def conv(node):
            nonlocal asked
            asked += 1
            return node.class_name == "Conv2D"

        block = sg.chain(conv=sg.where(conv), bn=sg.isa("BatchNormalization"), relu=sg.isa("ReLU"))
        assert len(sg.find(chain_of(length), block)) == length // 4
        counts.append(asked)
    assert counts == [100, 200]  # only what a BatchNormalization before a ReLU reads is asked


def test_one_name_is_one_node_but_for_alternatives():
    x = sg.any_tensor("x")
    with pytest.raises(sg.RuleError, match="two nodes of the pattern are called 'a'"):
        sg.pattern(sg.node("a", "dense_*")(sg.node("a", "conv_*")(x)))
    act = sg.either(sg.node("act", sg.isa("ReLU")), sg.node("act", sg.isa("Activation")))
    found = sg.find(zoo.cnn(), sg.pattern(sg.node("pool", "pool_1")(act))).expect(1)
    assert found[0].act.name == "relu_1"
