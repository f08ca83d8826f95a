"""Which weights are biases."""

from __future__ import annotations

import keras
from keras import layers

import surgeon as sg


def test_biases_of_normalizations_train_if_that_is_asked():
    stack = [layers.Dense(3, name="d"), layers.LayerNormalization(name="n"), layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((4,)), *stack], name="m")

    def trained(rules):
        return [variable.path.removeprefix("m/") for variable in sg.rewrite(model, rules).trainable_variables]

    assert trained(sg.bias_only()) == ["d/bias", "head/bias"]
    assert trained(sg.bias_only(beta=True)) == ["d/bias", "n/beta", "head/bias"]
