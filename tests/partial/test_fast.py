"""The gradient for the trainable slices alone is the slice of the whole gradient."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.partial import fast
from tests.helpers import assert_same_outputs, to_numpy
from tests.partial.matrix import values
from tests.zoo import jitter

RATE = 0.1
CASES = {
    "Dense": (lambda: layers.Dense(6), (4,)),
    "Dense on sequences": (lambda: layers.Dense(6), (3, 4)),
    "Conv1D": (lambda: layers.Conv1D(6, 2, strides=2), (7, 4)),
    "Conv2D": (lambda: layers.Conv2D(6, 2, padding="same", activation="tanh"), (5, 5, 4)),
    "Conv3D": (lambda: layers.Conv3D(6, 2), (3, 3, 3, 4)),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cde->abde", (3, 3, 6), bias_axes="e"), (3, 4)),
    "EinsumDense with an ellipsis": (lambda: layers.EinsumDense("...c,cd->...d", 6), (3, 4)),
    "EinsumDense backwards": (lambda: layers.EinsumDense("abc,dc->adb", (6, 3)), (3, 4)),
}


def model_of(make, shape):
    start = keras.Input(shape)
    x = layers.Dense(shape[-1], name="before")(start)  # so that the gradient of the inputs counts
    subject = make()
    subject.name = "subject"
    x = layers.Flatten()(subject(x))
    return jitter(keras.Model(start, layers.Dense(2, name="head")(x)))


@pytest.mark.parametrize("selection", [sg.channels([1, 4]), sg.rows([0, 3])], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_the_stock_layer_where_it_trains(case, selection, monkeypatch):
    make, shape = CASES[case]
    stock = model_of(make, shape)
    tuned = sg.rewrite(stock, sg.train("subject", kernel=selection))
    apply = Mock(wraps=fast.apply)
    monkeypatch.setattr(fast, "apply", apply)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, *shape)).astype("float32")
    y = rng.normal(size=(5, 2)).astype("float32")
    assert_same_outputs(tuned(x), stock(x))
    before = values(stock)
    for model in (stock, tuned):
        model.compile(keras.optimizers.SGD(RATE), "mse")
        model.train_on_batch(x, y)
    assert apply.called
    mask = tuned.get_layer("subject").kernel.part.to_mask()
    whole, partly = values(stock), values(tuned)
    for path in before:
        expected = whole[path]
        if path == "subject/kernel":
            expected = np.where(mask, expected, before[path])
            assert np.array_equal(partly[path][~mask], before[path][~mask])
        assert np.allclose(partly[path], expected, rtol=1e-5, atol=1e-6), path


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda: layers.Conv2D(4, 2, groups=2), (5, 5, 4)),
        (lambda: layers.Conv1D(4, 2, padding="causal"), (5, 4)),
    ],
    ids=["grouped", "causal"],
)
def test_what_has_no_fast_path_goes_the_general_way(make, shape, monkeypatch):
    stock = model_of(make, shape)
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.channels([1])))
    monkeypatch.setattr(fast, "apply", None)
    x = np.ones((2, *shape), "float32")
    assert_same_outputs(tuned(x), stock(x))
    assert to_numpy(tuned(x)).any()
