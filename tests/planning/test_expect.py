"""`expect` counts what the rule reaches: for freeze and train, layers inside of layers, too."""

from __future__ import annotations

import pytest

import surgeon as sg
from tests import zoo


def dense_layers(model):
    kind = type(model.get_layer("head"))
    return sorted({layer.path for layer in zoo.every_layer(model) if isinstance(layer, kind)})


def test_layers_inside_of_layers_are_counted_where_a_rule_reaches_them():
    model = zoo.custom_inner()
    count = len(dense_layers(model))
    assert count > 1, "only the head: nothing lies inside of a layer"
    plan = sg.plan(model, sg.freeze(sg.isa("Dense").expect(count), "kernel"))
    assert len(plan.outcomes[0].matched) == count
    assert "head" in plan.outcomes[0].matched
    inside = sg.name("block_a/**") & sg.isa("Dense")
    reached = sg.plan(model, sg.freeze(inside, "kernel")).outcomes[0].matched
    assert sg.plan(model, sg.freeze(inside.expect(len(reached)), "kernel")).outcomes[0].matched == reached
    with pytest.raises(sg.RuleError, match=rf"to match 1 layers, and matches {count}: .*head|block_a"):
        sg.plan(model, sg.freeze(sg.isa("Dense").expect(1)))


def test_structure_counts_the_calls_of_the_graph():
    model = zoo.custom_inner()
    with pytest.raises(sg.RuleError, match="to match 3 layers, and matches 1: head"):
        sg.plan(model, sg.remove(sg.isa("Dense").expect(3)))
    with pytest.raises(sg.RuleError, match=r"to match 3 layers, and matches 0$"):
        sg.plan(model, sg.freeze(sg.isa("Conv2D").expect(3)))
