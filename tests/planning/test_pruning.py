"""Removing channels for real: the outputs are those of the model in which these channels are zero."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy
from tests.planning.pruned import MODELS, bytes_of, flops_of, prune, size_of
from tests.strategies import Recipe, Step, build, recipes

SLOW = ("VGG16", "ResNet50", "DenseNet121")
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS]


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_zeroed_model(name):
    made = prune(MODELS[name]())
    assert made.difference <= 1e-4
    assert made.moved > 1e-3
    assert size_of(made.after) < 0.75 * size_of(made.before)
    assert bytes_of(made.after) < bytes_of(made.before)
    assert flops_of(made.after) < 0.75 * flops_of(made.before)
    for layer in made.before.layers:
        for setting in ("filters", "units"):
            before = getattr(layer, setting, None)
            if before is not None and "channels must stay" not in made.skipped.get(layer.name, ""):
                after = getattr(made.after.get_layer(layer.name), setting)
                assert after == before - round(0.3 * before), layer.name


def test_explicit_channels_go_and_their_neighbours_stay():
    model = zoo.cnn()
    pruned = sg.rewrite(model, sg.prune("conv_1", channels=[0, 4]))
    assert pruned.get_layer("conv_1").filters == 4
    stay = [1, 2, 3, 5]
    for same in ([0, -2], slice(0, 5, 4), [True, False, False, False, True, False]):
        again = sg.rewrite(model, sg.prune("conv_1", channels=same))
        assert np.array_equal(pruned.get_layer("conv_1").kernel, again.get_layer("conv_1").kernel)
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
@example(Recipe((Step("constant"),)))
@example(Recipe((Step("scale"), Step("dense"))))
@example(Recipe((Step("shared"), Step("two_levels"))))  # a layer that is called inside of a model, too
@settings(max_examples=8)
def test_random_models_are_pruned_or_refused_with_the_reason(recipe):
    model = build(recipe)
    try:
        made = prune(model, "*", 0.5)
    except sg.RuleError as error:
        assert "no channel can be removed" in str(error)  # noqa: PT017 - either way is right
        return
    assert size_of(made.after) < size_of(model)
    assert made.difference <= 0.02  # some of the layers compute in bfloat16
    assert [tuple(o.shape) for o in made.after.outputs] == [tuple(o.shape) for o in model.outputs]


@pytest.mark.parametrize(
    ("make", "rule", "message"),
    [
        (
            zoo.cnn,
            sg.prune("predictions", channels=0.5),
            r"'predictions': its channels must stay: .* softmax, which looks at all",
        ),
        (zoo.cnn, sg.prune("relu_1", channels=0.5), r"ReLU makes no channels that can be followed"),
        (
            zoo.cnn,
            sg.prune("conv_1", channels=[2, 9, -7]),
            r"'conv_1' has 6 channels, counted from 0 to 5 \(or .*\): there is no channel 9, -7",
        ),
        (
            zoo.cnn,
            sg.prune("conv_1", channels=[True, False]),
            r"'conv_1' has 6 channels: a mask says .*, and this one has 2",
        ),
        (zoo.cnn, sg.prune("conv_1", channels=slice(7, 9)), r"that is no channel: 'conv_1' has 6"),
        (zoo.cnn, sg.prune("conv_1", channels=slice(None)), r"would have no channel left"),
        (zoo.nested, sg.prune("encoder/conv", channels=0.5), r"lies in a nested model: inline"),
        (zoo.tokens, sg.prune("head", channels=0.5), r"must stay: they are an output"),
    ],
)
def test_refusals_say_why(make, rule, message):
    with pytest.raises(sg.RuleError, match=message):
        sg.plan(make(), rule)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Rescaling([0.1, 0.2, 0.3], name="own"),
        layers.Rescaling(2.0, [0.0, 0.0, 0.0], name="own"),
        layers.Dropout(0.5, noise_shape=(None, 1, 1, 3), name="own"),
    ],
    ids=["scale", "offset", "noise"],
)
def test_settings_for_each_channel_keep_them(layer):
    inputs = keras.Input((4, 4, 2))
    x = layer(layers.Conv2D(3, 1, name="conv")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(
        sg.RuleError, match=r"'conv': its channels must stay: they are read or made by \w+ 'own'"
    ):
        sg.plan(model, sg.prune("conv", channels=[0]))


def test_what_is_weakest_is_told_by_the_weights_that_a_layer_will_have():
    model = zoo.cnn()
    prune_it = sg.prune("conv_1", channels=0.5)
    alone = sg.rewrite(model, prune_it).get_layer("conv_1").kernel
    after = sg.rewrite(model, [sg.configure("conv_1", kernel_regularizer="l2"), prune_it])
    assert np.array_equal(alone, after.get_layer("conv_1").kernel)
    twice = sg.rewrite(model, [sg.prune("conv_1", channels=[0]), prune_it]).get_layer("conv_1").kernel
    kernel = to_numpy(model.get_layer("conv_1").kernel)[..., 1:]
    ordered = np.argsort((kernel.astype("float64") ** 2).sum((0, 1, 2)))
    assert np.array_equal(twice, kernel[..., np.sort(ordered[2:])])


def in_a_model(d, x):
    return keras.Sequential([keras.Input((4,)), d], name="tower")(x)


def in_a_layer(d, x):
    return layers.Flatten()(layers.TimeDistributed(d, name="steps")(layers.Reshape((1, 4))(x)))


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (in_a_model, r"'d': it is also a part of Sequential 'tower': inline\('tower'\) takes that apart"),
        (in_a_layer, r"'d': it is also a part of TimeDistributed 'steps'"),
    ],
)
def test_a_layer_that_is_also_inside_of_another_keeps_its_channels(inside, message):
    shared, x = layers.Dense(4, "relu", name="d"), keras.Input((4,), name="x")
    model = zoo.jitter(keras.Model(x, layers.Dense(2)(inside(shared, shared(x)))))
    with pytest.raises(sg.RuleError, match=message):
        sg.plan(model, sg.prune("d", channels=[0]))


def gated(joined):
    """A squeeze-and-excitation block: the gate is a half where its channel is zero."""
    x = layers.Conv2D(6, 3, name="conv")(image := keras.Input((8, 8, 3), name="image"))
    y = layers.Dense(6, "sigmoid", name="gate")(
        layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    )
    x = layers.Multiply(name="gated")([x, y]) if joined else y
    return zoo.jitter(keras.Model(image, layers.Dense(2, name="head")(layers.Flatten(name="flat")(x))))


def test_a_gate_goes_with_what_it_gates():
    made = prune(gated(True), "conv", 0.5)
    assert made.difference <= 1e-5
    assert made.after.get_layer("gate").units == 3


def test_what_would_not_be_zero_stays():
    with pytest.raises(sg.RuleError, match=r"'gate' makes another value than zero of them"):
        prune(gated(False), "gate", 0.5)
    pruned = sg.rewrite(gated(False), sg.prune("conv", channels=0.5))
    assert pruned.get_layer("conv").filters == 3


def grouped(groups, read=8):
    """A convolution in groups between two that are not."""
    x = layers.Conv2D(read, 3, name="before")(image := keras.Input((8, 8, 3), name="image"))
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(12, 3, groups=groups, activation="relu", name="grouped")(x)
    return zoo.jitter(keras.Model(image, layers.Conv2D(2, 1, name="after")(x)))


def test_of_a_convolution_in_groups_whole_groups_go():
    made = prune(grouped(4), "before", 0.5)
    assert made.difference <= 1e-5
    layer = made.after.get_layer("grouped")
    assert (layer.groups, layer.filters, layer.kernel.shape[-2]) == (2, 6, 2)
    one = sg.rewrite(grouped(4), sg.prune("grouped", channels=[4]))
    assert [one.get_layer(name).filters for name in ("before", "grouped", "after")] == [6, 9, 2]
    with pytest.raises(sg.RuleError, match=r"would have no channel left"):
        sg.plan(grouped(4), sg.prune("grouped", channels=[0, 3, 6, 9]))


def test_groups_that_read_the_input_stay():
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(8, 3, groups=2, name="grouped")(image)
    model = keras.Model(image, layers.Conv2D(2, 1, name="after")(x))
    with pytest.raises(sg.RuleError, match=r"'grouped': its channels must stay: they are an input"):
        sg.plan(model, sg.prune("grouped", channels=0.5))


@keras.saving.register_keras_serializable("pruning")
def neighbours(x):
    """Look like any activation, and look at the channel beside."""
    return x * keras.ops.roll(x, 1, axis=-1)


def test_an_activation_that_looks_at_neighbours_keeps_them():
    dense = layers.Dense(6, neighbours, name="d")
    model = keras.Sequential([keras.Input((4,)), dense, layers.Dense(2, name="e")])
    with pytest.raises(sg.RuleError, match=r"'d' ends in neighbours, which looks at all of them"):
        sg.plan(model, sg.prune("d", channels=[0]))


def test_a_class_of_the_same_name_is_not_taken_for_keras_own():
    dense = type("Dense", (layers.Dense,), {"call": lambda self, x: layers.Dense.call(self, x) + 1})
    model = keras.Sequential([keras.Input((4,)), dense(6, name="d"), layers.Dense(2, name="e")])
    with pytest.raises(sg.RuleError, match="makes no channels that can be followed"):
        sg.plan(model, sg.prune("d", channels=[0]))


def test_arguments():
    for wrong in (1.5, 0.0, 3, True):
        with pytest.raises(sg.RuleError, match="a fraction lies between 0 and 1"):
            sg.prune("d", channels=wrong)
