"""What the page says of rules, and in which order it lists layers."""

from __future__ import annotations

import keras
from keras import layers

import surgeon as sg
from surgeon.reporting.rows import _merged
from surgeon.reporting.sections import rules_section
from tests import zoo


def test_a_page_without_a_plan_or_without_rules_says_so():
    assert "No plan was given" in rules_section(None)
    assert "No rules: the model was copied as it is" in rules_section(sg.plan(zoo.mlp(), []))


def test_state_that_is_held_or_moves_again_is_told():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="bn")])
    frozen = sg.plan(model, sg.freeze("bn", stats=True))
    assert "state holds still: 2 weights" in rules_section(frozen)
    again = sg.plan(frozen.apply(model), sg.train("bn"))
    assert "state moves again: 2 weights" in rules_section(again)


def test_of_a_long_list_the_rest_is_counted():
    model = keras.Sequential([keras.Input((2,)), *(layers.ReLU(name=f"r{number}") for number in range(45))])
    page = rules_section(sg.plan(model, sg.configure("r*", negative_slope=0.5)))
    assert "<li>r39</li>" in page
    assert "<li>r40</li>" not in page
    assert "<li>and 5 more</li>" in page


def test_rows_come_in_the_order_of_both_models():
    assert _merged(["a", "b", "c"], ["a", "x", "c"]) == ["a", "b", "x", "c"]
    assert _merged(["a", "b"], ["b", "a", "x"]) == ["a", "x", "b"]
