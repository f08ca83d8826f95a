"""What trains in a copy is what trained in the original; state never does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import to_numpy, train_steps

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, size=(16, 4)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")

WAYS_BACK = {
    "restore": sg.restore,
    "train": lambda model: sg.rewrite(model, sg.train("bn")),
    "twice": lambda model: sg.restore(sg.rewrite(model, [])),
}


def with_statistics():
    x = keras.Input((4,), name="x")
    normed = layers.BatchNormalization(name="bn", momentum=0.5)(x)
    return keras.Model(x, layers.Dense(2, name="head")(normed))


@pytest.mark.parametrize("back", WAYS_BACK.values(), ids=WAYS_BACK)
def test_statistics_that_held_still_are_state_again_and_no_weight_that_an_optimizer_moves(back):
    model = with_statistics()
    again = back(sg.rewrite(model, sg.freeze("bn")))
    assert [v.path for v in again.trainable_variables] == [v.path for v in model.trainable_variables]
    assert [v.path for v in again.non_trainable_variables] == [v.path for v in model.non_trainable_variables]
    # A mean that weight decay had shrunk, or that JAX had taken for a weight, would differ.
    for each in (model, again):
        train_steps(each, X, Y, keras.optimizers.AdamW(0.01, weight_decay=0.5), steps=3)
    for name in ("moving_mean", "moving_variance"):
        stock, released = (to_numpy(getattr(each.get_layer("bn"), name)) for each in (model, again))
        np.testing.assert_allclose(stock, released, rtol=1e-5)
        assert np.abs(stock).min() > 1e-3


@pytest.mark.parametrize("frozen", [sg.freeze("inner"), None], ids=["by Surgeon", "by the flag of its layer"])
def test_what_was_frozen_when_it_was_copied_trains_once_it_may(frozen):
    """TensorFlow decides for good whether tapes watch a variable when it makes it."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inner"), layers.Dense(2, name="head")])
    if frozen is None:
        model.get_layer("inner").trainable = False
    else:
        model = sg.rewrite(model, frozen)
    copy = sg.restore(sg.rewrite(model, []))
    if frozen is None:
        copy.get_layer("inner").trainable = True
    before = [to_numpy(v) for v in copy.trainable_variables]
    train_steps(copy, X, Y, steps=2)
    assert len(before) == 4
    for start, variable in zip(before, copy.trainable_variables, strict=True):
        assert (to_numpy(variable) != start).any(), variable.path


def test_a_graph_says_of_all_its_weights_whether_they_hold_still():
    model = with_statistics()
    for each, still in ((model, False), (sg.rewrite(model, sg.freeze("bn")), True)):
        rows = {weight.path: weight for weight in sg.to_graph(each).weights}
        assert rows["bn/moving_mean"].still is still
        assert not rows["head/kernel"].still
