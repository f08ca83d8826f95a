"""The gradient of a few outputs is the same when it is computed the other way round."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from surgeon import _keras
from surgeon.partial import narrow
from surgeon.partial.gradients import vjp
from tests.helpers import to_numpy
from tests.partial.test_blocks import ON_JAX, WITH_XLA, compiled


def numbers(*sizes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=size).astype("float32") for size in sizes]


@WITH_XLA
@pytest.mark.parametrize("batch", [(200,), (20, 10), (5,)], ids=str)
@pytest.mark.parametrize("outputs", [1, 4, 9])
def test_of_a_product(batch, outputs, monkeypatch):
    given = numbers((*batch, 32), (32, outputs), (*batch, outputs))
    turned, barrier = [], _keras.barrier

    def counting(each):
        turned.append(each)
        return barrier(each)

    monkeypatch.setattr(_keras, "barrier", counting)
    found = compiled(narrow.of_product, *given)
    expected = np.einsum("bi,bo->io", given[0].reshape(-1, 32), given[2].reshape(-1, outputs))
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert bool(turned) == (np.prod(batch) >= narrow.MANY and outputs <= 4)


@ON_JAX
@pytest.mark.parametrize(
    ("sides", "window"),
    [
        ((7,), (3,)),
        ((6, 5), (3, 3)),
        ((6, 5), (2, 4)),
        ((4, 5), (5, 1)),
        ((2, 2), (3, 3)),
        ((4, 3, 5), (3, 2, 1)),
    ],
    ids=str,
)
def test_of_a_convolution(sides, window):
    inputs, kernel, upstream = numbers((3, *sides, 4), (*window, 4, 2), (3, *sides, 2))

    def stock(inputs, kernel, upstream):
        return vjp(lambda each: ops.conv(inputs, each, padding="same"), kernel, upstream)

    found = compiled(narrow.of_convolution, inputs, kernel, upstream)
    assert found.shape == kernel.shape
    assert np.allclose(found, compiled(stock, inputs, kernel, upstream), rtol=1e-4, atol=1e-4)


@WITH_XLA
def test_a_barrier_lets_gradients_through():
    def slope(tensor):
        return vjp(lambda each: ops.sin(_keras.barrier(each)), tensor, ops.ones_like(tensor))

    (given,) = numbers((5,))
    assert np.allclose(compiled(slope, given), np.cos(given), atol=1e-6)


@ON_JAX
def test_pictures_without_a_side_are_no_windows():
    start = keras.Input((None, None, 128))
    model = keras.Model(start, layers.Conv2D(256, 3, padding="same", name="c")(start))
    tuned = sg.rewrite(model, sg.train("c", kernel=sg.channels([1])), validate="none")
    tuned.compile("sgd", "mse")
    tuned.train_on_batch(np.zeros((1, 0, 4, 128), "float32"), np.zeros((1, 0, 4, 256), "float32"))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX always goes through XLA")
def test_elsewhere_it_is_the_stock_gradient():
    given = [ops.convert_to_tensor(each) for each in numbers((200, 12), (12, 2), (200, 2))]
    expected = to_numpy(given[0]).T @ to_numpy(given[2])
    assert np.allclose(to_numpy(narrow.of_product(*given)), expected, rtol=1e-4, atol=1e-4)
