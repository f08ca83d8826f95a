"""A rule that matches nothing because of one before it says which, and what that did."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo

HIDDEN = r"\. Until rule 1, {0}, it matched 'hidden' \(Dense\)"
GO_BY = r"go by the new name, or put this rule before that one$"
LEAVE = r"\. Leave this one out, or put it before that one$"
NORM, CONV = sg.isa("BatchNormalization"), sg.isa("Conv2D")

CASES = {
    "renamed": (
        [sg.rename("hidden", "deep"), sg.freeze("hidden", "kernel")],
        r"freeze\('hidden', 'kernel'\): no layer matches 'hidden'.*"
        + HIDDEN.format(r"rename\('hidden', 'deep'\)")
        + r"; that is 'deep' now: "
        + GO_BY,
    ),
    "renamed twice": (
        [sg.rename("hidden", "deep"), sg.rename("deep", "deeper"), sg.replace("hidden", layers.ReLU())],
        r"Until rule 1, rename\('hidden', 'deep'\), .*; that is 'deeper' now: " + GO_BY,
    ),
    "removed": (
        [sg.freeze("*"), sg.remove("relu_1"), sg.insert_after("relu_1", layers.Dropout(0.1))],
        r"Until rule 2, remove\('relu_1'\), it matched 'relu_1' \(ReLU\); that rule removes relu_1: ReLU"
        + LEAVE,
    ),
    "replaced": (
        [sg.replace("hidden", layers.Dense(5, name="other")), sg.lora("hidden", rank=2)],
        HIDDEN.format(r"replace\(.*\)") + r"; that rule replaces hidden: Dense → Dense \(.*\)" + LEAVE,
    ),
    "two rules": (
        [sg.replace("relu_1", layers.Dropout(0.1)), sg.remove("relu_2"), sg.remove(sg.isa("ReLU"))],
        r"no layer matches isa\(.*\. Until rule 2, remove\('relu_2'\), it matched 'relu_2' \(ReLU\); that",
    ),
    "without weights now": (
        [sg.replace("hidden", lambda node: layers.Flatten()), sg.freeze("hidden")],
        r"only layers without weights: hidden" + HIDDEN.format(r"replace\(.*\)") + "; that rule replaces",
    ),
    "behind what a rule took away": (
        [sg.rename("relu_1", "r"), sg.remove(sg.consumers_of("relu_1"))],
        r"no layer matches 'relu_1'.*it matched 'pool_1' .*, and nothing since: put this rule before",
    ),
    "a block": (
        [sg.remove(NORM), sg.replace(sg.chain(c=CONV, b=NORM), lambda match: None)],
        r"is nowhere.* Until rule 1, remove\(isa\(.*\)\), it matched 'conv_\d' \(Conv2D\) and",
    ),
    "again and again": (
        [sg.remove("relu_1"), sg.repeat(sg.remove("relu_1"))],
        r"Until rule 1, remove\('relu_1'\), it matched 'relu_1'",
    ),
    "dropped": (
        [sg.rewire("predictions", "flatten"), sg.freeze("hidden")],
        HIDDEN.format(r"rewire\('predictions', 'flatten'\)") + r"; that rule drops .*" + LEAVE,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rule_that_took_it_away_is_named(case):
    rules, message = CASES[case]
    with pytest.raises(sg.NoMatchError, match=message):
        sg.plan(zoo.cnn(), rules)


def test_layers_that_moved_with_a_model():
    words = r"it matched 'encoder/conv' \(Conv2D\) and 2 more; that is 'front/conv' now"
    with pytest.raises(sg.NoMatchError, match=words):
        sg.plan(zoo.nested(), [sg.rename("encoder", "front"), sg.freeze("encoder/*")])
    with pytest.raises(sg.NoMatchError, match=r"Until rule 1, inline\('encoder'\), .*; that is '\w+' now"):
        sg.plan(zoo.nested(), [sg.inline("encoder"), sg.freeze("encoder/*")])


@pytest.mark.parametrize("rule", [sg.freeze("hiden"), sg.lora("relu_2", rank=2), sg.remove("image")])
def test_what_no_rule_took_away_is_left_at_that(rule):
    with pytest.raises(sg.NoMatchError) as caught:
        sg.plan(zoo.cnn(), [sg.remove("relu_1"), rule])
    assert "Until" not in str(caught.value)


def test_a_model_that_was_named_anew_needs_no_rule_before():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")])
    assert sg.plan(model, [sg.rename("head", "end"), sg.freeze("end")]).trainable_after == 0
