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
        (sg.train("mha", query=sg.rows([0])), r"write train\('mha/_query_dense', kernel=rows\(\[0\]\)\)"),
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
        ("LSTM", r"that is a class: write isa\('LSTM'\)"),
        ("hid.*", r"As a regular expression it matches 'hidden': name\(re.compile\(...\)\)"),
        ("hidden, head", r"join several with \|: name\('hidden'\) \| 'head'"),
    ],
)
def test_a_weight_where_a_layer_was_to_be_named(model, selector, next_step):
    with pytest.raises(sg.errors.NoMatchError, match=next_step):
        sg.plan(model, sg.freeze(selector))


def test_a_predicate_is_not_asked_of_layers_that_it_is_not_for(model):
    rule = sg.freeze(sg.isa("Dense") & sg.where(lambda node: node.config["units"] > 800))
    with pytest.raises(sg.errors.NoMatchError, match=r"no layer matches .*; alone, isa\('Dense'\) matches 2"):
        sg.plan(model, rule)


@pytest.mark.parametrize(
    ("predicate", "next_step"),
    [
        (lambda node: node.units > 2, r"Write node.config\['units'\]"),
        (lambda node: node.confg["units"] > 2, r"close: 'config'"),
        (lambda node: node.config["unit"] > 2, r"close: 'units'"),
        (
            lambda node: node.config["size_of_it"] > 2,
            r"Not every layer has it: config.get\('size_of_it'\), or isa",
        ),
    ],
)
def test_what_a_predicate_was_to_look_at(model, predicate, next_step):
    with pytest.raises(sg.errors.RuleError, match=next_step):
        sg.plan(model, sg.freeze(sg.name("hidden") & sg.where(predicate)))


@pytest.mark.parametrize("rule", [sg.train("d", "kernel"), sg.train("d", kernel=sg.rows([0]))], ids=str)
def test_whole_numbers_cannot_train(rule):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="d")])
    model.get_layer("d").quantize("int8")
    with pytest.raises(sg.errors.SelectionError, match=r"holds whole numbers \(int8\).*lora\('d', rank=4\)"):
        sg.plan(model, rule)
    assert sg.rewrite(model, sg.freeze("d", "kernel")).trainable_variables


def test_statistics_that_are_not_there(model):
    with pytest.raises(sg.errors.RuleError, match=r"none of the matched layers has statistics"):
        sg.plan(model, sg.freeze("h*", "kernel", stats=True))


def test_a_variable_is_named_and_its_values_are_not_printed(model):
    with pytest.raises(sg.errors.RuleError, match=r"the variable '.*hidden/kernel' is not a selector"):
        sg.freeze(model.get_layer("hidden").kernel)
