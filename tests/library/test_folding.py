"""Folding BatchNormalization: the same outputs, fewer layers, the rest with reasons."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy

QUICK = ("MobileNetV2",)
KINDS = {
    "dense": lambda: layers.Dense(5, use_bias=False, name="linear"),
    "conv1d": lambda: layers.Conv1D(5, 3, name="linear"),
    "depthwise": lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, name="linear"),
    "separable": lambda: layers.SeparableConv1D(5, 3, depth_multiplier=2, name="linear"),
    "transposed": lambda: layers.Conv1DTranspose(5, 3, name="linear"),
}


def with_norm():
    made = {n: v for n, v in vars(keras.applications).items() if callable(v) and n[0].isupper()}
    names = [name for name in sorted(made) if not name.startswith(("VGG", "ConvNeXt"))]
    return [pytest.param(made[n], id=n, marks=[] if n in QUICK else pytest.mark.sweep) for n in names]


def calibrated(model):
    """Give a model statistics that fit its signal, as training does: else it grows and drowns in rounding."""
    zoo.jitter(model)
    norms = [layer for layer in zoo.every_layer(model) if isinstance(layer, layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(zoo.sample_inputs(model, batch=4), training=True)
    for layer in norms:
        layer.momentum = 0.99
    return model


def worst_difference(old, new):
    old, new = to_numpy(old), to_numpy(new)
    assert np.isfinite(old).all()
    return np.abs(old - new).max() / np.abs(old).max()


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


@pytest.mark.parametrize("constructor", with_norm())
def test_applications(constructor):
    """In float64, so that what is seen is the arithmetic and not how a deep network amplifies rounding."""
    keras.config.set_dtype_policy("float64")
    model = calibrated(constructor(weights=None, include_top=False, input_shape=(96, 96, 3)))
    plan = sg.plan(model, sg.fold_batch_norm())
    folded = plan.apply(model, validate="structure")
    inputs = zoo.sample_inputs(model, batch=1)
    assert worst_difference(model(inputs), folded(inputs)) < 1e-6
    left = {layer.name for layer in folded.layers if type(layer).__name__ == "BatchNormalization"}
    reasons = dict(plan.outcomes[0].skipped)
    assert left == set(reasons)
    assert all(reason.startswith(("conv: ", "bn: ")) for reason in reasons.values())


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
