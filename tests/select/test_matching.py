"""Patterns with several ends, alternatives and optional nodes; and what a mismatch says."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo


def dense(name, *reads):
    return sg.node(name, sg.isa("Dense"))(*reads) if reads else sg.node(name, sg.isa("Dense"))


def add(name="add", *reads, commutative=False):
    return sg.node(name, sg.isa("Add"), commutative=commutative)(*reads)


def residual(*, same=True):
    """Two layers, and an Add of what they make with the input, or with another one."""
    start, other = keras.Input((4,), name="x"), keras.Input((4,), name="other")
    y = layers.Dense(4, name="b")(layers.Dense(4, name="a")(start))
    return keras.Model([start, other], layers.Add(name="sum")([y, start if same else other]))


def test_a_number_of_matches_that_is_not_met_says_where_it_failed():
    found = sg.find(zoo.cnn(), sg.chain(a=sg.isa("Conv2D"), b=sg.isa("BatchNormalization")))
    with pytest.raises(sg.RuleError, match=r"(?s)expected 3 matches of a=.* → b=.*, found 2\n.*a='conv_1'"):
        found.expect(3)


def test_an_output_that_the_first_one_reads_is_bound_already():
    start = keras.Input((4,), name="x")
    y = layers.Dense(4, name="d")(start)
    model = keras.Model(start, [layers.ReLU(name="r")(y), y])
    d = dense("d")
    both = sg.pattern(sg.node("r", sg.isa("ReLU"))(d), d)
    match = sg.find(model, both).expect(1)[0]
    assert [ref.node for ref in match.outputs] == ["r", "d"]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (sg.node("s", sg.isa("Softmax")), "s: nothing that fits isa('Softmax') reads the block"),
        (sg.node("s", sg.isa("Add")), "s: nothing that fits isa('Add') reads the block"),
    ],
    ids=["nobody", "of another kind"],
)
def test_a_further_output_that_is_nowhere_is_named(second, reason):
    start = keras.Input((4,), name="x")
    y = layers.Dense(4, name="d")(start)
    model = keras.Model(start, [layers.ReLU(name="r")(y), layers.Add(name="a")([y, start])])
    d = dense("d")
    found = sg.find(model, sg.pattern(sg.node("r", sg.isa("ReLU"))(d), second(d)))
    assert not len(found)
    assert reason in str(found)


def test_one_tensor_is_the_same_everywhere():
    x = sg.any_tensor("x")
    block = sg.pattern(add("sum", dense("b", dense("a", x)), x))
    assert sg.find(residual(), block).expect(1)[0].tensors["x"].node == "x"
    found = sg.find(residual(same=False), block)
    assert not len(found)
    assert "not at sum: x: wanted output 0 of 'x' again, found output 0 of 'other'" in str(found)


def test_a_tensor_without_a_name_may_be_another_each_time():
    block = sg.pattern(add("sum", dense("b", dense("a", sg.any_tensor())), sg.any_tensor()))
    assert len(sg.find(residual(same=False), block)) == 1


def test_one_node_is_the_same_everywhere():
    start = keras.Input((4,), name="x")
    a, b = (layers.Dense(4, name=name)(start) for name in "ab")
    left, right = layers.ReLU(name="left")(a), layers.ReLU(name="right")(a)
    model = keras.Model(
        start,
        [layers.Add(name="one")([left, right]), layers.Add(name="two")([layers.ReLU(name="r")(b), left])],
    )
    d = dense("d")
    block = sg.pattern(
        add("sum", sg.node("l", sg.isa("ReLU"))(d), sg.node("r", sg.isa("ReLU"))(d)), exclusive=False
    )
    assert [match.sum.name for match in sg.find(model, block)] == ["one"]


def test_optional_nodes_inside_of_a_block():
    start = keras.Input((4,), name="x")
    y = layers.Dense(4, name="d")(start)
    model = keras.Model(start, layers.Softmax(name="s")(y))
    chain = sg.chain(norm=sg.optional(sg.isa("BatchNormalization")), s=sg.isa("Softmax"))
    match = sg.find(model, chain).expect(1)[0]
    assert match.nodes["norm"] is None
    assert str(match) == "norm=None → s='s'"
    with pytest.raises(sg.RuleError, match="the match has no node 'nrm'; close: 'norm'"):
        match["nrm"]
    assert match["s"].name == "s"


def test_an_optional_node_that_reads_several_cannot_be_passed_over():
    start = keras.Input((4,), name="x")
    model = keras.Model(start, layers.ReLU(name="r")(layers.Dense(4, name="d")(start)))
    both = sg.optional(sg.isa("Add"))(sg.any_tensor(), sg.any_tensor())
    found = sg.find(model, sg.pattern(sg.node("r", sg.isa("ReLU"))(both)))
    assert not len(found)
    assert "wanted isa('Add'), found Dense 'd'" in str(found)


def test_the_number_of_tensors_must_be_met():
    found = sg.find(residual(), sg.pattern(add("sum", sg.any_tensor(), sg.any_tensor(), sg.any_tensor())))
    assert not len(found)
    assert "sum: 'sum' reads 2 tensors, wanted 3" in str(found)


@pytest.mark.parametrize(("reads", "found"), [((), "nothing"), (("conv",), "'conv'")])
def test_a_node_reads_nodes(reads, found):
    with pytest.raises(sg.RuleError, match=rf"node 'a' reads nodes, any_tensor\(\) or .*, not {found}"):
        dense("a")(*reads)


def test_alternatives_that_all_fail_are_said():
    either = sg.either(sg.node("c", sg.isa("Conv2D")), sg.node("p", sg.isa("Add")))
    found = sg.find(residual(), sg.pattern(dense("end", either)))
    assert not len(found)
    assert "not at b: p: wanted isa('Add'), found Dense 'a'" in str(found)


def test_of_several_orders_that_fail_the_one_that_went_furthest_is_told():
    x = sg.any_tensor("x")
    deep = dense("b", sg.node("act", sg.isa("ReLU"))(x))
    found = sg.find(residual(), sg.pattern(add("sum", deep, x, commutative=True)))
    assert "not at sum: act: wanted isa('ReLU'), found Dense 'a'" in str(found)
