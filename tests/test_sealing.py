"""A seal that was kept as JSON."""

from __future__ import annotations

import json

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo


@pytest.fixture(scope="module")
def seal():
    return sg.seal(sg.rewrite(zoo.mlp(), sg.freeze("*")))


def test_a_seal_survives_json(seal):
    assert sg.Seal.from_json(seal.to_json()) == seal


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"surgeon_seal": 99}, "surgeon_seal is 99, and only 1 is known"),
        ({"weights": {}}, "certifies nothing"),
        ({"weights": 3}, "no seal"),
        ({"weights": {"a/kernel": [1]}}, "no seal"),
    ],
    ids=["a later format", "empty", "no mapping", "damaged"],
)
def test_what_is_no_seal_is_refused(seal, change, why):
    with pytest.raises(sg.RuleError, match=why):
        sg.Seal.from_json(json.dumps({**json.loads(seal.to_json()), **change}))


@pytest.mark.parametrize(
    "what", [None, "tuned.keras", keras.Sequential([])], ids=["None", "a path", "unbuilt"]
)
def test_what_is_no_model_cannot_be_verified(seal, what):
    with pytest.raises(sg.ModelError, match="expected a built Keras model"):
        seal.verify(what)


@pytest.mark.parametrize("text", ["", "[]", '{"weights": {}}', '{"surgeon_plan": 1}'])
def test_other_text_is_refused(text):
    with pytest.raises(sg.RuleError, match="this is no seal"):
        sg.Seal.from_json(text)


def test_each_weight_that_breaks_a_seal_is_named():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=name) for name in "abc")])
    seal = sg.seal(sg.rewrite(model, sg.freeze("*")))
    other = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, name="a"), layers.Dense(4, name="b", trainable=False)]
    )
    with pytest.raises(sg.SealBrokenError) as raised:
        seal.verify(other)
    for line in ("a/kernel has another shape", "c/kernel is gone", "b/kernel has another shape"):
        assert line in str(raised.value)
