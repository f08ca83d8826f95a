"""Folding BatchNormalization: the same outputs, fewer layers, the rest with reasons."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import tiers
from tests.library.applications import fold, with_norm, worst_difference

QUICK = ("MobileNetV2",)
SOME = ("ResNet50V2", "DenseNet121", "EfficientNetB0", "InceptionV3")
KINDS = {
    "dense": lambda: layers.Dense(5, use_bias=False, name="linear"),
    "conv1d": lambda: layers.Conv1D(5, 3, name="linear"),
    "depthwise": lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, name="linear"),
    "separable": lambda: layers.SeparableConv1D(5, 3, depth_multiplier=2, name="linear"),
    "transposed": lambda: layers.Conv1DTranspose(5, 3, name="linear"),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("config", [{}, {"scale": False, "center": False}])
def test_every_linear_layer_takes_it_in(kind, config):
    x = keras.Input((8, 4), name="x")
    y = layers.BatchNormalization(epsilon=0.01, name="bn", **config)(KINDS[kind]()(x))
    model = zoo.jitter(keras.Model(x, y))
    plan = sg.plan(model, sg.fold_batch_norm())
    zoo.jitter(model, seed=3)  # the plan is for any model of the architecture
    for folded in (plan.apply(model), sg.Plan.from_json(plan.to_json()).apply(model)):
        assert [layer.name for layer in folded.layers] == ["x", "linear"]
        inputs = zoo.sample_inputs(model)
        assert worst_difference(model(inputs), folded(inputs)) < 1e-5


@pytest.mark.parametrize("name", tiers(with_norm(), QUICK, SOME))
def test_applications(name):
    folded = fold(with_norm()[name])
    assert folded.difference < 1e-4
    assert len(folded.left) < folded.before
    assert not folded.foldable
    assert all(reason.startswith(("conv: ", "bn: ")) for reason in folded.left.values())


def test_a_trained_model_in_float32():
    """Random weights amplify: nudge the inputs of such a MobileNet by 1e-7, and its outputs move by 5e-3."""
    model = zoo.trained_model("fer")
    folded = sg.rewrite(model, sg.fold_batch_norm())
    assert len(folded.layers) < len(model.layers)
    inputs = zoo.sample_inputs(model)
    assert worst_difference(model(inputs), folded(inputs)) < 1e-4


def test_what_is_not_foldable_is_listed_with_the_reason():
    x = keras.Input((8,), name="x")
    shared = layers.Dense(8, name="shared")
    y = layers.BatchNormalization(name="after_shared")(shared(shared(x)))
    dense = layers.Dense(8, activation="relu", name="dense")(y)
    z = layers.BatchNormalization(name="after_relu")(dense)
    wide = layers.Dense(8, name="wide")(z)
    model = keras.Model(x, [layers.BatchNormalization(name="after_wide")(wide), wide])
    model = zoo.jitter(model)
    with pytest.raises(sg.NoMatchError, match=r"nowhere; .* x conv: wanted where\(is_linear"):
        sg.plan(model, sg.fold_batch_norm())
    found = sg.find(model, sg.chain(conv="wide", bn=sg.isa("BatchNormalization")))
    assert "after_wide: conv: 'wide' is also read by the model's output" in str(found)
