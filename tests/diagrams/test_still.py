"""Moving statistics that hold still are told from those that move."""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest

import surgeon as sg
from surgeon.diagrams import draw
from surgeon.diagrams.theme import DARK, LIGHT
from surgeon.graph import Weight
from surgeon.graph.graph_json import graph_from_json, graph_to_json
from surgeon.reporting.rows import layer_rows
from tests.diagrams.graphs import Builder, norm
from tests.diagrams.test_change import notes


def model():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, name="d"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.SpectralNormalization(keras.layers.Dense(3), name="sn"),
        ],
        name="small",
    )


def still(graph) -> set[str]:
    return {f"{node.name}/{weight.path}" for node in graph for weight in node.weights if weight.still}


def norms(*, holds: bool):
    build = Builder()
    weights = tuple(replace(w, still=holds) if w.role == "state" else w for w in norm())
    return build.graph(build.add("bn", "BatchNormalization", build.input(), weights=weights))


def test_a_plan_knows_what_holds_still_and_the_model_agrees():
    source = model()
    plan = sg.plan(source, sg.freeze("*"))
    assert still(plan.before) == set()
    assert still(plan.after) == {"bn/moving_mean", "bn/moving_variance", "sn/vector_u"}
    assert still(sg.to_graph(plan.apply(source))) == still(plan.after)


def test_what_moves_again():
    frozen = sg.rewrite(model(), sg.freeze("*"))
    plan = sg.plan(frozen, sg.train("bn"))
    assert still(plan.after) == {"sn/vector_u"}
    assert still(sg.to_graph(plan.apply(frozen))) == still(plan.after)


def test_of_stock_layers_only_batch_normalization_looks_at_its_flag():
    source = model()
    source.trainable = False
    assert still(sg.to_graph(source)) == {"bn/moving_mean", "bn/moving_variance"}


def test_naming_weights_leaves_the_statistics_moving():
    assert still(sg.plan(model(), sg.freeze("bn", "gamma", "beta")).after) == set()


def test_json_keeps_it():
    for holds in (False, True):
        graph = norms(holds=holds)
        assert still(graph_from_json(graph_to_json(graph))) == still(graph)
    assert "true" not in graph_to_json(norms(holds=False)).partition('"weights"')[2].partition("]]")[0]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_the_picture_has_a_colour_a_word_and_a_place_in_the_legend_for_it(theme):
    holds, moves = (draw(norms(holds=holds), theme=theme.name, detail="weights") for holds in (True, False))
    assert f'fill="{theme.still}" stroke="{theme.border}"' in holds.svg
    assert theme.still not in moves.svg
    assert ">state, still<" in holds.svg
    assert "state, still" not in moves.svg
    assert "● moving_mean 4 state, still" in holds.text
    assert "○ moving_mean 4 state" in moves.text
    assert "8 state (still)" in holds.text


def test_a_part_of_the_state_may_hold_still():
    build = Builder()
    weights = [Weight("m", (6,), role="state"), Weight("n", (2,), role="state", still=True)]
    drawing = draw(build.graph(build.add("one", "Layer", build.input(), weights=weights)))
    assert "8 state (2 still)" in drawing.text
    assert LIGHT.state in drawing.svg
    assert LIGHT.still in drawing.svg


def test_a_comparison_counts_it():
    before, after = norms(holds=False), norms(holds=True)
    assert notes(before, after)[1] == {"bn": "8 state held still"}
    assert notes(after, before)[1] == {"bn": "8 state moves again"}


def test_the_table_of_a_report_has_it():
    rows = layer_rows(norms(holds=False), norms(holds=True), (), ())
    (weights,) = (row[3] for row in rows if row[0] == "bn")
    assert [weight[-2:] for weight in weights if not weight[3]] == [[0, 4], [0, 4]]
