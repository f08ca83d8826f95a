"""Plans that come out of a file: they fit, or are refused by name."""

from __future__ import annotations

import keras
import pytest

import surgeon as sg
from tests import zoo


def test_a_plan_from_json_does_what_the_plan_did():
    model = zoo.mlp()
    plan = sg.plan(
        model, [sg.freeze("*"), sg.train(sg.isa("Dense"), kernel=sg.channels(0.5, by="magnitude"))]
    )
    same = sg.Plan.from_json(plan.to_json())
    assert same == plan
    assert str(same) == str(plan)
    first, second = plan.apply(model), same.apply(model)
    assert [tuple(v.shape) for v in first.trainable_variables] == [
        tuple(v.shape) for v in second.trainable_variables
    ]
    sg.seal(first).verify(second)


def test_a_plan_that_speaks_of_a_weight_that_is_not_there_is_refused():
    model = zoo.mlp()
    name = model.layers[0].name
    text = sg.plan(model, sg.freeze(name)).to_json().replace(f"{name}/kernel", f"{name}/kernal")
    with pytest.raises(sg.PlanError, match=f"no weight '{name}/kernal'; close: '{name}/kernel'"):
        sg.Plan.from_json(text).apply(model)


def test_names_that_keras_counted_on_are_the_reason_why_a_plan_does_not_fit():
    models = [
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(2)]) for _ in range(2)
    ]
    reason = r"'dense' is called 'dense_2' here\. Keras counts such names up"
    with pytest.raises(sg.PlanError, match=reason):
        sg.plan(models[0], sg.freeze("*")).apply(models[1])


def test_other_names_and_other_shapes_are_no_matter_of_counting():
    narrow, wide = (
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, name=f"block_{units}")])
        for units in (3, 5)
    )
    with pytest.raises(sg.PlanError, match=r"no layer 'block_3'; close: 'block_5'$"):
        sg.plan(narrow, sg.freeze("*")).apply(wide)


def test_a_plan_of_no_rules_says_so():
    model = zoo.mlp()
    assert str(sg.plan(model, [])).startswith("no rules: the model is copied as it is")


def test_a_plan_from_json_has_no_graphs_to_draw():
    plan = sg.Plan.from_json(sg.plan(zoo.mlp(), sg.freeze("*")).to_json())
    with pytest.raises(sg.PlanError, match=r"has no graphs to draw: make it with surgeon\.plan"):
        plan.diagram()


def test_verbs_and_computations_of_a_later_version_are_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")])
    rules = [sg.replace("d", keras.layers.Dense(3)), sg.train("d", kernel=sg.channels([0]))]
    text = sg.plan(model, rules).to_json()
    assert '"verb": "train"' in text
    with pytest.raises(sg.PlanError, match="unknown verb 'melt'"):
        sg.Plan.from_json(text.replace('"verb": "train"', '"verb": "melt"'))
    pruned = sg.plan(zoo.cnn(), sg.prune("conv_1", channels=[0])).to_json().replace('"take"', '"give"')
    with pytest.raises(sg.PlanError, match="does not know the computation 'give' that the plan names"):
        sg.Plan.from_json(pruned).apply(zoo.cnn())
