"""Which axes of the weights of Keras layers hold channels and rows, checked against Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from surgeon.select import Axes, axes_of


def axes_in(layer, weight):
    """Axes of one weight of a built layer, and its shape."""
    variable = next(one for one in layer.weights if one.name == weight)
    names = [cls.__name__ for cls in type(layer).__mro__]
    return axes_of(names, weight, variable.shape, layer.get_config()), tuple(variable.shape)


# Sizes that differ wherever they can: inputs 5, outputs 7, kernel windows 2 and 3.
CASES = [
    (layers.Dense(7), (4, 5), "kernel", 7, 5),
    (layers.Conv1D(7, 3), (4, 9, 5), "kernel", 7, 5),
    (layers.Conv2D(7, (2, 3)), (4, 9, 9, 5), "kernel", 7, 5),
    (layers.Conv3D(7, (2, 3, 2)), (4, 9, 9, 9, 5), "kernel", 7, 5),
    (layers.Conv2D(8, (2, 3), groups=2), (4, 9, 9, 6), "kernel", 8, 3),
    (layers.Conv1DTranspose(7, 3), (4, 9, 5), "kernel", 7, 5),
    (layers.Conv2DTranspose(7, (2, 3)), (4, 9, 9, 5), "kernel", 7, 5),
    (layers.Conv3DTranspose(7, (2, 3, 2)), (4, 9, 9, 9, 5), "kernel", 7, 5),
    (layers.DepthwiseConv1D(3), (4, 9, 5), "kernel", 5, 5),
    (layers.DepthwiseConv2D((2, 3)), (4, 9, 9, 5), "kernel", 5, 5),
    (layers.DepthwiseConv2D((2, 3), depth_multiplier=4), (4, 9, 9, 5), "kernel", 5, 5),
    (layers.SeparableConv1D(7, 3), (4, 9, 5), "depthwise_kernel", 5, 5),
    (layers.SeparableConv2D(7, (2, 3), depth_multiplier=4), (4, 9, 9, 5), "depthwise_kernel", 5, 5),
    (layers.SeparableConv2D(7, (2, 3), depth_multiplier=4), (4, 9, 9, 5), "pointwise_kernel", 7, 20),
    (layers.Embedding(11, 7), (4, 9), "embeddings", 7, 11),
    (layers.EinsumDense("abc,cd->abd", (None, 7)), (4, 9, 5), "kernel", 7, 5),
    (layers.EinsumDense("...c,cd->...d", 7), (4, 9, 5), "kernel", 7, 5),
    (layers.EinsumDense("abc,cde->abde", (None, 3, 7)), (4, 9, 5), "kernel", 7, 5),
    (layers.EinsumDense("abcd,cde->abe", (None, 7)), (4, 9, 3, 5), "kernel", 7, 5),
    (layers.EinsumDense("abc,dc->abd", (None, 7)), (4, 9, 5), "kernel", 7, 5),
    (layers.SimpleRNN(7), (4, 9, 5), "kernel", 7, 5),
    (layers.LSTM(7), (4, 9, 5), "kernel", 28, 5),
    (layers.LSTM(7), (4, 9, 5), "recurrent_kernel", 28, 7),
    (layers.GRU(7), (4, 9, 5), "kernel", 21, 5),
    (layers.ConvLSTM2D(7, (2, 3)), (4, 9, 9, 9, 5), "kernel", 28, 5),
    (layers.Bidirectional(layers.LSTM(7)), (4, 9, 5), "kernel", 28, 5),
]


@pytest.mark.parametrize(
    "layer, shape, weight, channels, rows", CASES, ids=lambda one: str(getattr(one, "name", one))
)
def test_kernels(layer, shape, weight, channels, rows):
    layer.build(shape)
    axes, weight_shape = axes_in(layer, weight)
    assert axes.row is not None
    assert (weight_shape[axes.channel], weight_shape[axes.row]) == (channels, rows)


@pytest.mark.parametrize(
    "layer, shape, weight",
    [
        (layers.Dense(7), (4, 5), "bias"),
        (layers.BatchNormalization(), (4, 5), "gamma"),
        (layers.GRU(7), (4, 9, 5), "bias"),  # (2, 21): the first axis is no input
        (layers.EinsumDense("abc,cde->abde", (None, 3, 7), bias_axes="de"), (4, 9, 5), "bias"),
    ],
)
def test_what_has_no_rows(layer, shape, weight):
    layer.build(shape)
    axes, weight_shape = axes_in(layer, weight)
    assert axes == Axes(len(weight_shape) - 1, None)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (layers.Dense(4, activation="tanh"), (5,)),
        (layers.Conv2D(4, 3), (6, 6, 5)),
        (layers.Conv2DTranspose(4, 3), (6, 6, 5)),
        (layers.DepthwiseConv2D(3), (6, 6, 4)),
        (layers.EinsumDense("abc,cd->abd", (None, 4)), (3, 5)),
        (layers.EinsumDense("abc,dc->abd", (None, 4)), (3, 5)),
    ],
)
def test_a_channel_of_the_kernel_is_a_channel_of_the_output(layer, shape):
    x = keras.random.normal((2, *shape), seed=1)
    before = np.array(layer(x))
    axes, _ = axes_in(layer, "kernel")
    kernel = np.array(layer.kernel)
    np.moveaxis(kernel, axes.channel, 0)[2] += 1
    layer.kernel.assign(kernel)
    changed = (np.array(layer(x)) != before).reshape(-1, before.shape[-1]).any(axis=0)
    assert np.flatnonzero(changed).tolist() == [2]


@pytest.mark.parametrize("path", ["kernel", "cell/kernel"])
def test_a_weight_may_be_named_by_its_path(path):
    assert axes_of(["Conv2DTranspose"], path, (3, 3, 7, 5), {}) == Axes(2, 3)


def test_base_classes_of_a_subclass_decide():
    mine = type("Mine", (layers.Conv2DTranspose,), {})
    assert axes_of([cls.__name__ for cls in mine.__mro__], "kernel", (3, 3, 7, 5), {}) == Axes(2, 3)


@pytest.mark.parametrize(
    "config", [{}, {"equation": "nonsense"}, {"equation": "abc,cde->abde"}, {"equation": None}]
)
def test_an_equation_that_does_not_fit_leaves_the_general_rule(config):
    assert axes_of(["EinsumDense"], "kernel", (5, 7), config) == Axes(1, 0)


def test_spaces_in_an_equation_count_for_nothing():
    assert axes_of(["EinsumDense"], "kernel", (7, 5), {"equation": "abc, dc -> abd"}) == Axes(0, 1)


def test_scalars_and_kernels_without_a_sum():
    assert axes_of(["Layer"], "scale", (), {}).row is None
    assert axes_of(["EinsumDense"], "kernel", (5, 7), {"equation": "abc,bc->abc"}) == Axes(1, None)
