"""Removing channels for real: the outputs are those of the model in which these channels are zero."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy
from tests.strategies import build, recipes


def unet():
    x = image = keras.Input((16, 16, 3), name="image")
    skips = []
    for number, filters in enumerate((10, 20)):
        x = layers.Conv2D(filters, 3, padding="same", name=f"down_{number}")(x)
        x = layers.ReLU(name=f"down_{number}_relu")(layers.BatchNormalization(name=f"down_{number}_bn")(x))
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = layers.SeparableConv2D(30, 3, padding="same", activation="relu", name="bottom")(x)
    for number, filters in ((1, 20), (0, 10)):
        x = layers.Conv2DTranspose(filters, 2, 2, name=f"up_{number}")(x)
        x = layers.Concatenate(name=f"skip_{number}")([x, skips[number]])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"merge_{number}")(x)
    return zoo.jitter(keras.Model(image, layers.Conv2D(2, 1, name="mask")(x), name="unet"))


def application(name, size, **options):
    return zoo.jitter(
        getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10, **options)
    )


MODELS = {
    "unet": unet,
    "residual": zoo.residual,
    "cnn": zoo.cnn,
    "MobileNetV2": lambda: application("MobileNetV2", 32, alpha=0.35),
    "VGG16": lambda: application("VGG16", 32),
    "ResNet50": lambda: application("ResNet50", 32),
    "DenseNet121": lambda: application("DenseNet121", 32),
}
SLOW = ("VGG16", "ResNet50", "DenseNet121")
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS]


def zeroed(model, plan):
    """Return a copy of a model in which the channels that a plan removes are zero all the way."""
    copy = sg.rewrite(model, [])
    for change in plan.journal:
        takes = plan.templates[change.slots[0]].details["takes"]
        layer = copy.get_layer(change.path)
        names = ("gamma", "beta") if "gamma" in takes else ("pointwise_kernel", "kernel", "bias")
        for name in names:
            if name not in takes or getattr(layer, name, None) is None:
                continue
            axis, stay = takes[name][-1]
            value = to_numpy(getattr(layer, name))
            gone = np.setdiff1d(np.arange(value.shape[axis]), stay)
            index = [slice(None)] * value.ndim
            index[axis] = gone
            if not (name == "kernel" and isinstance(layer, layers.DepthwiseConv2D)):
                value[tuple(index)] = 0
            getattr(layer, name).assign(value)
    return copy


def size_of(model):
    return sum(math.prod(v.shape) for v in model.weights)


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_zeroed_model(name):
    model = MODELS[name]()
    which = sg.isa("Conv2D") | sg.isa("Dense") | sg.isa("SeparableConv2D") | sg.isa("Conv2DTranspose")
    plan = sg.plan(model, sg.prune(which, channels=0.3))
    pruned = plan.apply(model)
    reference, inputs = zeroed(model, plan), zoo.sample_inputs(model)
    want, got, full = (to_numpy(each(inputs)) for each in (reference, pruned, model))
    assert np.isfinite(want).all()
    assert np.abs(want - got).max() <= 1e-4 * np.abs(want).max()
    assert np.abs(full - got).max() > 1e-3 * np.abs(full).max()
    assert size_of(pruned) < 0.75 * size_of(model)
    skipped = dict(plan.outcomes[0].skipped)
    for layer in model.layers:
        for setting in ("filters", "units"):
            before = getattr(layer, setting, None)
            if before is not None and "channels must stay" not in skipped.get(layer.name, ""):
                after = getattr(pruned.get_layer(layer.name), setting)
                assert after == before - round(0.3 * before), layer.name


def test_explicit_channels_go_and_their_neighbours_stay():
    model = zoo.cnn()
    pruned = sg.rewrite(model, sg.prune("conv_1", channels=[0, 4]))
    assert pruned.get_layer("conv_1").filters == 4
    stay = [1, 2, 3, 5]
    assert np.array_equal(
        pruned.get_layer("conv_1").kernel, to_numpy(model.get_layer("conv_1").kernel)[..., stay]
    )
    assert np.array_equal(
        pruned.get_layer("bn_1").moving_mean, to_numpy(model.get_layer("bn_1").moving_mean)[stay]
    )
    assert np.array_equal(
        pruned.get_layer("conv_2").kernel, to_numpy(model.get_layer("conv_2").kernel)[:, :, stay]
    )
    same = sg.Plan.from_json(sg.plan(model, sg.prune("conv_1", channels=[0, 4])).to_json()).apply(model)
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(pruned(inputs), same(inputs))


@given(recipes())
@settings(max_examples=8)
def test_random_models_are_pruned_or_refused_with_the_reason(recipe):
    model = build(recipe)
    try:
        plan = sg.plan(model, sg.prune("*", channels=0.5))
    except sg.RuleError as error:
        assert "no channel can be removed" in str(error)  # noqa: PT017 - either way is right
        return
    pruned = plan.apply(model)
    assert size_of(pruned) < size_of(model)
    outputs = keras.tree.flatten(pruned(zoo.sample_inputs(model)))
    assert [tuple(o.shape)[1:] for o in outputs] == [
        tuple(o.shape)[1:] for o in keras.tree.flatten(model.output)
    ]


@pytest.mark.parametrize(
    ("make", "rule", "message"),
    [
        (
            zoo.cnn,
            sg.prune("predictions", channels=0.5),
            r"'predictions': its channels must stay: .* softmax, which looks at all",
        ),
        (zoo.cnn, sg.prune("relu_1", channels=0.5), r"ReLU makes no channels that can be followed"),
        (zoo.cnn, sg.prune("conv_1", channels=[9]), r"'conv_1' has 6 channels: index 9"),
        (zoo.cnn, sg.prune("conv_1", channels=slice(None)), r"would have no channel left"),
        (zoo.nested, sg.prune("encoder/conv", channels=0.5), r"lies in a nested model: inline"),
        (zoo.tokens, sg.prune("head", channels=0.5), r"must stay: they are an output"),
    ],
)
def test_refusals_say_why(make, rule, message):
    with pytest.raises(sg.RuleError, match=message):
        sg.plan(make(), rule)


def test_arguments():
    for wrong in (1.5, 0.0, 3, True):
        with pytest.raises(sg.RuleError, match="a fraction lies between 0 and 1"):
            sg.prune("d", channels=wrong)
