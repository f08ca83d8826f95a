"""What people do by hand, each as one line, on a model that is trained already."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import surgeon as sg
from tests import zoo
from tests.helpers import (
    assert_moved,
    assert_same_outputs,
    assert_unmoved,
    targets_for,
    train_steps,
    weights_of,
)

METHODS = [
    pytest.param(sg.freeze("hidden"), ["hidden/kernel", "hidden/bias"], id="trainable = False"),
    pytest.param(
        sg.freeze(sg.isa("Conv2D") | sg.where(lambda node: node.config.get("units") == 10)),
        ["conv_1/kernel", "conv_2/kernel", "conv_2/bias", "hidden/kernel", "hidden/bias"],
        id="a function that walks the layers",
    ),
    pytest.param(
        sg.freeze(sg.isa("Dense"), "kernel"), ["hidden/kernel", "predictions/kernel"], id="a custom Dense"
    ),
]


def trained_cnn():
    model = zoo.cnn()
    train_steps(model, zoo.sample_inputs(model, batch=8), steps=2)
    return model


def decaying():
    return keras.optimizers.AdamW(0.02, weight_decay=0.2)


@pytest.mark.parametrize("rule, frozen", METHODS)
def test_frozen_is_frozen_bit_for_bit_and_the_rest_moves(rule, frozen):
    model = trained_cnn()
    tuned = sg.rewrite(model, rule)
    tuned.trainable = False
    tuned.trainable = True
    before = weights_of(tuned)
    seal = sg.seal(tuned)
    inputs = zoo.sample_inputs(tuned, batch=8)
    train_steps(tuned, inputs, targets_for(tuned, inputs), decaying(), steps=20)
    after = weights_of(tuned)
    assert frozen
    assert_unmoved(before, after, frozen)
    assert_moved(before, after, [path for path in before if path not in frozen])
    seal.verify(tuned)


def test_frozen_batch_normalization_holds_its_statistics_through_toggling():
    tuned = sg.rewrite(zoo.cnn(), sg.freeze("bn_1"))
    tuned.trainable = False
    tuned.trainable = True
    before = weights_of(tuned)
    train_steps(tuned, zoo.sample_inputs(tuned, batch=8), steps=5)
    after = weights_of(tuned)
    assert_unmoved(before, after, [path for path in before if path.startswith("bn_1/")])
    assert_moved(before, after, ["bn_2/moving_mean", "conv_1/kernel"])


@pytest.mark.parametrize("rules", [[sg.freeze("bn_*")], [sg.freeze("bn_*"), sg.train("bn_1", "gamma")]])
def test_frozen_batch_normalization_computes_with_its_statistics_as_under_keras_own_flag(rules):
    model = zoo.cnn()
    tuned = sg.rewrite(model, rules)
    for layer in ("bn_1", "bn_2"):
        model.get_layer(layer).trainable = False
    tuned.trainable = False
    tuned.trainable = True
    inputs = zoo.sample_inputs(model, batch=8)
    assert_same_outputs(tuned(inputs, training=True), model(inputs, training=True))
    assert_same_outputs(tuned(inputs, training=True), tuned(inputs, training=False))


@pytest.mark.parametrize(
    "selection",
    [
        sg.channels(0.3, by="magnitude"),
        sg.rows([0, 2]),
        sg.elements(0.1, by="random", seed=3),
        sg.channels(slice(0, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("layer", ["conv_2", "hidden"])
def test_only_the_selected_elements_move_and_slots_have_their_size(layer, selection):
    tuned = sg.rewrite(zoo.cnn(), [sg.freeze("**"), sg.train(layer, kernel=selection)])
    part = sg.to_graph(tuned)[layer].weights[0]
    before = weights_of(tuned)[f"{layer}/kernel"]
    train_steps(tuned, zoo.sample_inputs(tuned, batch=8), optimizer=decaying(), steps=4)
    after = weights_of(tuned)[f"{layer}/kernel"]
    assert 0 < part.trainable < part.size
    assert np.count_nonzero(before != after) == part.trainable
    assert sum(np.prod(v.shape) for v in tuned.trainable_variables) == part.trainable
    slots = [v for v in tuned.optimizer.variables if len(v.shape)]
    assert sum(np.prod(v.shape) for v in slots) == 2 * part.trainable
