"""Which channels are the same ones, and which must stay, in joins, reshapes and attention."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.planning.pruned import prune


@pytest.mark.parametrize(
    ("make", "rule", "message"),
    [
        (
            zoo.cnn,
            sg.prune("conv_1", channels=0.01),
            r"1% of so few channels is none",
        ),
        (
            zoo.cnn,
            sg.prune("predictions", channels=[0]),
            r"'predictions': its channels must stay: 'predictions' ends in softmax",
        ),
    ],
)
def test_channels_that_cannot_go(make, rule, message):
    with pytest.raises(sg.RuleError, match=message):
        sg.plan(make(), rule)


def dense(units, name):
    return layers.Dense(units, activation="relu", name=name)


def joined(join, left=4, right=4):
    """Two layers, joined in some way, and one that reads that."""
    start = keras.Input((4,), name="x")
    y = join(dense(left, "left")(start), dense(right, "right")(start))
    return zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(y)))


def test_a_single_channel_that_goes_with_all_others_stays():
    model = joined(lambda a, b: layers.Multiply(name="gate")([a, b]), right=1)
    with pytest.raises(sg.RuleError, match="must stay: it is combined with all channels of another tensor"):
        sg.plan(model, sg.prune("right", channels=[0]))
    tuned = sg.rewrite(model, sg.prune("left", channels=[0]))
    assert tuned.get_layer("left").units == 3


def test_what_is_put_in_rows_has_the_same_channels():
    start = keras.Input((3, 4), name="x")
    left = dense(4, "left")(start)
    y = layers.Concatenate(axis=1, name="rows")([left, layers.ReLU()(left), dense(4, "third")(start)])
    model = zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(y)))
    tuned = sg.rewrite(model, sg.prune("third", channels=[1]))
    assert [tuned.get_layer(name).units for name in ("left", "third")] == [3, 3]


def test_a_mask_that_a_layer_makes_keeps_its_channels():
    start = keras.Input((4, 6), name="x")
    mask = dense(4, "mask")(start)
    y = layers.MultiHeadAttention(2, 3, name="heads")(start, start, attention_mask=mask)
    model = keras.Model(start, layers.Dense(2, name="head")(y))
    with pytest.raises(sg.RuleError, match="'mask': its channels must stay: they are a mask for 'heads'"):
        sg.plan(model, sg.prune("mask", channels=[0]))


def test_a_constant_that_attention_reads_keeps_its_channels():
    start = keras.Input((4, 6), name="x")
    y = dense(6, "before")(start)
    constant = keras.ops.ones((1, 5, 6))
    y = layers.MultiHeadAttention(2, 3, name="heads")(y, constant)
    model = zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(y)))
    tuned = sg.rewrite(model, sg.prune("heads", heads=[0]))
    assert tuned.get_layer("heads").num_heads == 1


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 1, -1), (-1, 1, 8)], ids=str)
def test_squeeze_and_excitation_is_pruned(shape):
    """The setting of the Reshape says how many channels there are, and so is made anew."""
    start = keras.Input((8, 8, 3), name="x")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(start)
    gate = layers.Reshape(shape, name="shape")(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(2, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    y = layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate])))
    made = prune(zoo.jitter(keras.Model(start, y)), "conv", 0.5)
    assert made.after.get_layer("conv").filters == made.after.get_layer("excite").filters == 4
    assert made.difference <= 1e-5


def test_a_reshape_that_makes_one_axis_of_all_is_told_their_number():
    start = keras.Input((2, 3), name="x")
    y = layers.Reshape((8,), name="shape")(dense(4, "wide")(start))
    made = prune(zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(y))), "wide", 0.5)
    assert made.after.get_layer("shape").target_shape == (4,)
    assert made.difference <= 1e-5


def test_an_operation_that_says_the_number_of_channels_keeps_them():
    start = keras.Input((2, 3), name="x")
    y = keras.ops.reshape(dense(4, "wide")(start), (-1, 8))
    model = keras.Model(start, layers.Dense(2, name="head")(y))
    with pytest.raises(
        sg.RuleError, match="'wide': its channels must stay: they are read or made by Reshape"
    ):
        sg.plan(model, sg.prune("wide", channels=[0]))


@pytest.mark.parametrize("given", ["output", "reader"])
def test_heads_whose_scores_somebody_reads_stay(given):
    start = keras.Input((4, 6), name="x")
    y, scores = layers.MultiHeadAttention(2, 3, name="heads")(start, start, return_attention_scores=True)
    more = layers.ReLU(name="r")(scores) if given == "reader" else scores
    model = keras.Model(start, [layers.Dense(2, name="head")(y), more])
    with pytest.raises(sg.RuleError, match="the attention scores of 'heads', one for each head"):
        sg.plan(model, sg.prune("heads", heads=[0]))
