"""Layers inside of a layer that a rule gave another place go along, and so does what is asked of them."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import assert_same_outputs
from tests.zoo import sample_inputs

LSTM = sg.isa("LSTM")


def both_ways():
    """Return a model whose Bidirectional layer, in a nested model, calls two LSTMs in plain Python."""
    encoder = [keras.Input((5, 4)), layers.Bidirectional(layers.LSTM(3), name="both")]
    encoder = keras.Sequential(encoder, name="encoder")
    return keras.Sequential([keras.Input((5, 4)), encoder, layers.Dense(2, name="head")], name="model")


MOVES = {
    "rename": (sg.rename("encoder/both", "two"), "encoder/two"),
    "rename the model": (sg.rename("encoder", "front"), "front/both"),
    "rename all": (sg.rename("**", lambda node: f"new_{node.name}"), "new_encoder/new_both"),
    "swap": (
        sg.rename("*", lambda node: {"encoder": "head", "head": "encoder"}.get(node.name)),
        "head/both",
    ),
    "inline": (sg.inline("encoder"), "both"),
}


@pytest.mark.parametrize("case", MOVES)
def test_what_changes_the_structure_is_refused_in_the_same_words_as_before_the_move(case):
    move, now = MOVES[case]
    words = r"isa\('LSTM'\) matches '{0}/forward_layer' \(LSTM\), which is a part of Bidirectional '{0}'"
    for rules, path in (([], "encoder/both"), ([move], now)):
        with pytest.raises(sg.NoMatchError, match=words.format(path)):
            sg.plan(both_ways(), [*rules, sg.remove(LSTM)])


@pytest.mark.parametrize("case", MOVES)
def test_they_are_found_where_they_are_now(case):
    move, now = MOVES[case]
    model = both_ways()
    for frozen in (sg.freeze(f"{now}/*"), sg.freeze(LSTM)):
        plan = sg.plan(model, [move, frozen])
        assert plan.outcomes[1].matched == (f"{now}/forward_layer", f"{now}/backward_layer")
        check(model, plan)


@pytest.mark.parametrize("case", MOVES)
def test_what_was_asked_of_them_before_goes_along(case):
    model = both_ways()
    check(model, sg.plan(model, [sg.freeze(LSTM), MOVES[case][0]]))


def check(model, plan):
    assert plan.trainable_after == 14
    for made in (plan.apply(model), sg.Plan.from_json(plan.to_json()).apply(model)):
        assert sorted(tuple(v.shape) for v in made.trainable_variables) == [(2,), (6, 2)]
        inputs = sample_inputs(model)
        assert_same_outputs(model(inputs), made(inputs))


def test_what_no_graph_calls_is_no_part_of_a_layer():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="head")(inputs), name="model")
    model.spare = layers.ReLU(name="spare")
    with pytest.raises(sg.NoMatchError, match=r"'spare' .* an attribute of the model holds and no graph"):
        sg.plan(model, sg.remove("spare"))
    with pytest.raises(sg.GraphError, match=r"'spare' .* is held by an attribute of 'model', and no graph"):
        sg.extract(model, end="spare")
