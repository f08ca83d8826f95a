"""Another head: for whatever the old one was, and with nothing of it left."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.applications import FAMILIES, NAMES
from tests.helpers import to_numpy

SIZES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
BIAS = np.arange(5, dtype="float32")


def head(kind=layers.Dense, *sizes, name="head"):
    """Return a head that puts out the same numbers whatever it reads: nothing of the old one may follow."""
    bias = keras.initializers.Constant(BIAS)
    return kind(5, *sizes, kernel_initializer="zeros", bias_initializer=bias, name=name)


def answers(model):
    return to_numpy(model(np.ones((1, *model.input_shape[1:]), "float32")))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_applications(name):
    size = SIZES.get(name, 32)
    model = getattr(keras.applications, name)(weights=None, classes=10, input_shape=(size, size, 3))
    tuned = sg.rewrite(model, [sg.freeze("*"), sg.new_head(head())], validate="structure")
    assert np.array_equal(answers(tuned), BIAS[None])
    assert len(tuned.trainable_variables) == 2
    assert tuned.get_layer("head").input.shape[1] == tuned.get_layer("head").kernel.shape[0]


def test_one_of_each_family_is_there():
    start = "ConvNeXt|DenseNet|EfficientNet(V2)?|InceptionResNetV2|InceptionV3|NASNet|VGG|MobileNet(V[23])?"
    family = re.compile(rf"({start}|ResNet\d+V2|ResNet|Xception).*")
    kinds = {re.sub(r"\d+V2", "V2", family.sub(r"\1", name)) for name in NAMES}
    assert kinds == {re.sub(r"\d+V2", "V2", family.sub(r"\1", name)) for name in FAMILIES}


def old_style(flat, side=1):
    """Return a model whose head is a convolution, as that of MobileNet, with what flattens it."""
    x = layers.Conv2D(6, 3, name="conv")(image := keras.Input((8, 8, 3), name="image"))
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x) if side == 1 else x
    x = layers.Activation("softmax", name="answers")(flat(layers.Conv2D(10, 1, name="logits")(x)))
    return keras.Model(image, x)


@pytest.mark.parametrize("flat", [layers.Flatten(), layers.Reshape((10,))], ids=["flatten", "reshape"])
def test_a_convolution_as_head(flat):
    model = old_style(flat)
    tuned = sg.rewrite(model, sg.new_head([layers.Dropout(0.5, name="drop"), head()]))
    assert [one.name for one in tuned.layers] == ["image", "conv", "pool", "logits_flat", "drop", "head"]
    assert np.array_equal(answers(tuned), BIAS[None])
    again = sg.rewrite(model, sg.new_head([head(layers.Conv2D, 1), layers.Flatten(name="flat")]))
    assert [one.name for one in again.layers] == ["image", "conv", "pool", "head", "flat"]
    assert np.array_equal(answers(again), BIAS[None])


def test_a_head_for_each_position_stays_one():
    tuned = sg.rewrite(old_style(layers.Flatten(), side=6), sg.new_head(lambda match: head()))
    assert np.array_equal(answers(tuned), np.tile(BIAS, 36)[None])


def test_a_model_without_a_head_is_refused():
    x = layers.Conv2D(6, 3)(image := keras.Input((8, 8, 3)))
    model = keras.Model(image, layers.ReLU(name="out")(layers.BatchNormalization(name="bn")(x)))
    with pytest.raises(
        sg.RuleError, match=r"BatchNormalization 'bn': this model has no head. Put one at its"
    ):
        sg.plan(model, sg.new_head(head()))
    written = [layers.GlobalAveragePooling2D(name="gap"), head()]
    tuned = sg.rewrite(model, sg.insert_after(sg.ends(), written))
    assert np.array_equal(answers(tuned), BIAS[None])


def backbone(pooling=None):
    """Return convolutions without a head, as `include_top=False` gives them."""
    x = layers.Conv2D(6, 3, name="conv")(image := keras.Input((8, 8, 3), name="image"))
    x = layers.MaxPooling2D(name="pool")(x)
    return keras.Model(image, x if pooling is None else pooling(name="all")(x))


HEADLESS = {
    "as it is": (backbone, r"keras\.layers\.GlobalAveragePooling2D\(\), keras\.layers\.Dense"),
    "pooled": (lambda: backbone(layers.GlobalAveragePooling2D), r"\[keras\.layers\.Dense"),
    "a sequence": (
        lambda: keras.Sequential([keras.Input((4, 3)), layers.LSTM(2)]),
        r"\[keras\.layers\.Dense",
    ),
}


@pytest.mark.parametrize(("make", "step"), HEADLESS.values(), ids=HEADLESS)
def test_a_backbone_keeps_its_last_layer(make, step):
    with pytest.raises(sg.RuleError, match=r"this model has no head\. Put one .*: insert_after\(.*" + step):
        sg.plan(make(), sg.new_head(head()))
    if make is not HEADLESS["a sequence"][0]:
        for other in (head(layers.Conv2D, 1), lambda match: head()):
            with pytest.raises(sg.RuleError, match=r"Conv2D 'conv', and MaxPooling2D 'pool' follows: this"):
                sg.plan(make(), sg.new_head(other))


def test_a_head_for_each_position_of_a_picture():
    x = layers.Conv2D(6, 3, name="conv")(image := keras.Input((8, 8, 3), name="image"))
    model = keras.Model(image, layers.Conv2D(10, 1, name="classes")(x))
    tuned = sg.rewrite(model, sg.new_head(head(layers.Conv2D, 1)))
    assert np.array_equal(answers(tuned), np.tile(BIAS, (1, 6, 6, 1)))
    with pytest.raises(sg.RuleError, match=r"for each position.*keras\.layers\.Conv2D\(10, 1, name='head'\)"):
        sg.plan(model, sg.new_head([layers.Dropout(0.5), head()]))
    dense = keras.Model(image, layers.Dense(10, name="classes")(x))
    assert np.array_equal(answers(sg.rewrite(dense, sg.new_head(head()))), np.tile(BIAS, (1, 6, 6, 1)))


def test_of_several_heads_none_is_guessed():
    x = layers.Dense(6, name="trunk")(start := keras.Input((4,)))
    ends = [layers.Dense(2, name="left")(x), layers.Dense(3, name="right")(x)]
    for outputs in (ends, layers.Concatenate()(ends)):
        with pytest.raises(sg.RuleError, match=r"2 heads, .*'left'.*Say which one goes: replace\('"):
            sg.plan(keras.Model(start, outputs), sg.new_head(head()))
    features = keras.Model(start, [x, ends[0]])
    tuned = sg.rewrite(features, [sg.freeze("*"), sg.new_head(head())])
    assert [v.path for v in tuned.trainable_variables] == ["head/kernel", "head/bias"]


def test_a_head_with_two_calls_is_replaced_by_its_name():
    shared = layers.Dense(6, name="shared")
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], layers.Subtract()([shared(one), shared(two)]))
    with pytest.raises(sg.RuleError, match=r"called 2 times: replace\('shared', .* in all its calls"):
        sg.plan(model, sg.new_head(head()))
    assert sg.rewrite(model, sg.replace("shared", head())).get_layer("head").kernel.shape == (4, 5)
