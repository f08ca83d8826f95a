"""What holds for every model: drawn at random, with branches, sharing, nesting and operations."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import surgeon as sg
from surgeon.graph import graph_from_json, graph_to_json
from surgeon.partial import read_spec
from tests import zoo
from tests.fidelity import check_exact, portrait
from tests.helpers import assert_same_outputs, assert_same_weights, train_steps, weights_of
from tests.strategies import build, recipes

RULES = st.sampled_from(
    [
        sg.freeze("**"),
        sg.freeze("*"),
        sg.freeze("**", "bias"),
        sg.freeze("stem", "kernel"),
        sg.freeze("head"),
        sg.freeze(sg.isa("Dense")),
        sg.train("stem", kernel=sg.channels([0, 2])),
        sg.freeze("head", kernel=sg.rows([1])),
        sg.train("head", kernel=sg.elements(0.3, by="magnitude")),
    ]
)
SELECTIONS = st.sampled_from(
    [sg.channels(0.4, by="magnitude"), sg.channels(1, by="random"), sg.elements(0.3, by="random", seed=5)]
)


@given(recipes())
def test_reading_and_building_is_the_identity(recipe):
    model = build(recipe)
    inputs, before = zoo.sample_inputs(model), weights_of(model)
    same = sg.rewrite(model, [])
    assert_same_outputs(model(inputs), same(inputs))
    assert_same_weights(before, weights_of(same))
    graph = sg.to_graph(model)
    assert graph_to_json(sg.to_graph(same)) == graph_to_json(graph)
    assert graph_from_json(graph_to_json(graph)).weights == graph.weights


@given(recipes(), SELECTIONS, st.data())
def test_what_trains_is_what_was_asked_and_nothing_else_moves(recipe, selection, data):
    model = build(recipe)
    kernels = [
        site.path
        for site in sg.to_graph(model)
        if site.call_index == 0
        for w in site.weights
        if w.path == "kernel"
    ]
    if not kernels:
        return
    path = data.draw(st.sampled_from(kernels))
    plan = sg.plan(model, [sg.freeze("**"), sg.train(path, kernel=selection)])
    tuned = plan.apply(model)
    assert sum(int(np.prod(v.shape)) for v in tuned.trainable_variables) == plan.trainable_after
    inputs, seal, before = zoo.sample_inputs(model), sg.seal(tuned), weights_of(tuned)
    assert_same_outputs(model(inputs), tuned(inputs))
    tuned.trainable = False
    tuned.trainable = True
    train_steps(tuned, inputs, steps=2)
    seal.verify(tuned)
    after = weights_of(tuned)
    moved = {name.rsplit("/", 1)[-1] for name in before if not np.array_equal(before[name], after[name])}
    assert "kernel" in moved
    assert moved <= {"kernel", "kernel_trainable"}
    assert sg.validate(tuned, sg.restore(tuned)).ok


@given(recipes(max_steps=5), st.booleans())
def test_identity_freeze_and_the_way_back_are_exact(recipe, share):
    check_exact(build(recipe), share=share)


@given(recipes(max_steps=5), st.lists(RULES, min_size=1, max_size=3))
def test_rules_that_change_what_trains_change_nothing_else(recipe, rules):
    model = build(recipe)
    inputs, before = zoo.sample_inputs(model), weights_of(model)
    plan = sg.plan(model, rules)
    tuned = plan.apply(model)
    assert_same_outputs(model(inputs), tuned(inputs))
    assert_same_weights(before, weights_of(model))

    # What is said again changes nothing more, and so does a plan that went through JSON.
    again = sg.Plan.from_json(plan.to_json()).apply(model)
    twice = sg.rewrite(model, [*rules, *rules])
    assert read_spec(tuned) == read_spec(again) == read_spec(twice)
    count = sum(int(np.prod(v.shape)) for v in tuned.trainable_variables)
    assert count == plan.trainable_after

    restored = sg.restore(tuned)
    assert not read_spec(restored)
    assert_same_outputs(model(inputs), restored(inputs))
    assert portrait(restored)["layers"] == portrait(model)["layers"]
    assert_same_weights(before, weights_of(restored))
