"""What was probably meant, where a rule names what is not there."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg


@pytest.fixture(name="model")
def _model():
    start = keras.Input((6, 8))
    x = layers.LSTM(4, return_sequences=True, name="lstm")(start)
    x = layers.MultiHeadAttention(2, 4, name="mha")(x, x)
    x = layers.Bidirectional(layers.LSTM(3), name="bi")(x)
    return keras.Model(start, layers.Dense(2, name="head")(layers.Dense(8, name="hidden")(x)), name="small")


@pytest.mark.parametrize(
    ("rule", "next_step"),
    [
        (sg.freeze("lstm", "cell/kernel"), r"Write freeze\('lstm/cell', 'kernel'\)"),
        (sg.train("mha", "_query_dense/bias"), r"Write train\('mha/_query_dense', 'bias'\)"),
        (sg.freeze("bi", "forward_layer/cell/kernel"), r"Write freeze\('bi/forward_layer/cell', 'kernel'\)"),
        (sg.freeze("mha", "query"), r"'mha/_query_dense' is a layer: write freeze\('mha/_query_dense'\)"),
        (sg.freeze("hidden", "head"), r"'head' is a layer: combine selectors with \|"),
        (sg.freeze("hidden", "kernl"), r"close: 'kernel'; they have: bias, kernel$"),
    ],
    ids=str,
)
def test_the_name_of_a_weight(model, rule, next_step):
    with pytest.raises(sg.errors.WeightNameError, match=next_step):
        sg.plan(model, rule)


@pytest.mark.parametrize(
    ("selector", "next_step"),
    [
        ("hidden/kernel", r"that is a weight: the layer is 'hidden', and its name there 'kernel'"),
        ("small/hidden/kernel", r"that is a weight: the layer is 'hidden', and its name there 'kernel'"),
        ("lstm/cell/recurrent_kernel", r"the layer is 'lstm/cell', and its name there 'recurrent_kernel'"),
        ("kernel", r"'kernel' is the name of a weight, for which the layer comes first"),
        ("haed", r"close: 'head'"),
    ],
)
def test_a_weight_where_a_layer_was_to_be_named(model, selector, next_step):
    with pytest.raises(sg.errors.NoMatchError, match=next_step):
        sg.plan(model, sg.freeze(selector))


def test_a_predicate_is_not_asked_of_layers_that_it_is_not_for(model):
    rule = sg.freeze(sg.isa("Dense") & sg.where(lambda node: node.config["units"] > 800))
    with pytest.raises(sg.errors.NoMatchError, match=r"no layer matches .*; alone, isa\('Dense'\) matches 2"):
        sg.plan(model, rule)


def test_a_variable_is_named_and_its_values_are_not_printed(model):
    with pytest.raises(sg.errors.RuleError, match=r"the variable '.*hidden/kernel' is not a selector"):
        sg.freeze(model.get_layer("hidden").kernel)
