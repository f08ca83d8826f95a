"""What holds for every model: drawn at random, with branches, sharing, nesting and operations."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import surgeon as sg
from surgeon.graph import graph_from_json, graph_to_json
from tests import zoo
from tests.helpers import assert_same_outputs, assert_same_weights, train_steps, weights_of
from tests.strategies import build, recipes

SELECTIONS = st.sampled_from(
    [sg.channels(0.4, by="magnitude"), sg.channels(1, by="random"), sg.elements(0.3, by="random", seed=5)]
)


@given(recipes())
@settings(max_examples=25)
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
@settings(max_examples=12)
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
