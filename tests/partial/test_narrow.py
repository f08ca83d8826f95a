"""The gradient of a few outputs is the same when it is computed the other way round."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from surgeon import _keras
from surgeon.partial import narrow
from surgeon.partial.gradients import vjp
from tests.helpers import as_in_a_backward_pass, to_numpy
from tests.partial.test_blocks import BACKEND, ON_JAX, WITH_XLA, compiled
from tests.zoo import jitter


def numbers(*sizes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=size).astype("float32") for size in sizes]


@WITH_XLA
@pytest.mark.parametrize("outputs", [1, 4, 9])
def test_of_a_product(outputs):
    rows, results = numbers((20, 32), (20, outputs))
    found = compiled(narrow.of_product, rows, results)
    assert np.allclose(found, rows.T @ results, rtol=1e-4, atol=1e-4)


def test_few_outputs_of_many_rows_are_turned():
    kernel = np.zeros((32, 4), "float32")
    assert narrow.pays(narrow.MANY, kernel)
    assert not narrow.pays(narrow.MANY - 1, kernel)
    assert not narrow.pays(narrow.MANY, np.zeros((32, 5), "float32"))
    assert narrow.pays(narrow.MANY, np.zeros((4096, narrow.WIDEST), "float32"))
    assert not narrow.pays(narrow.MANY, np.zeros((4096, narrow.WIDEST + 1), "float32"))


WINDOWS = [
    ((7,), (3,)),
    ((6, 5), (3, 3)),
    ((4, 5), (5, 1)),
    ((2, 2), (3, 3)),
    ((4, 3, 5), (3, 1, 1)),
]


@pytest.mark.parametrize(("sides", "window"), WINDOWS, ids=str)
@pytest.mark.parametrize("how", ["as it comes", pytest.param("compiled", marks=WITH_XLA)])
def test_of_a_convolution(sides, window, how):
    given = numbers((3, *sides, 4), (*window, 4, 2), (3, *sides, 2))

    def convolve(inputs, kernel):
        return ops.conv(inputs, kernel, padding="same")

    def stock(inputs, kernel, upstream):
        return vjp(lambda each: convolve(inputs, each), kernel, upstream)

    ways = narrow.of_convolution(convolve), stock
    if how == "compiled":
        found, expected = (compiled(way, *given) for way in ways)
    else:
        with as_in_a_backward_pass():
            found, expected = (to_numpy(way(*map(ops.convert_to_tensor, given))) for way in ways)
    assert found.shape == given[1].shape
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)


CONVOLUTIONS = {
    "plain": (lambda: layers.Conv2D(16, 3, padding="same"), True),
    "of three axes": (lambda: layers.Conv3D(16, (3, 1, 3), padding="same"), True),
    "an even window": (lambda: layers.Conv2D(16, (3, 2), padding="same"), False),
    "without padding": (lambda: layers.Conv2D(16, 3), False),
    "in strides": (lambda: layers.Conv2D(16, 3, padding="same", strides=2), False),
    "dilated": (lambda: layers.Conv2D(16, 3, padding="same", dilation_rate=2), False),
    "in groups": (lambda: layers.Conv2D(16, 3, padding="same", groups=2), False),
    "causal": (lambda: layers.Conv1D(16, 3, padding="causal"), False),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("part", [sg.channels([1, 4]), sg.rows([1]), sg.channels([*range(12)])], ids=str)
@pytest.mark.parametrize("how", ["as it comes", pytest.param("compiled", marks=WITH_XLA)])
def test_which_convolutions_are_turned(case, part, how, monkeypatch):
    make, is_plain = CONVOLUTIONS[case]
    subject = make()
    subject.name = "subject"
    size = (5,) * subject.rank
    start = keras.Input((*size, 16))
    model = jitter(keras.Model(start, layers.Dense(1)(layers.Flatten()(subject(start)))))
    tuned, plain = (sg.rewrite(model, sg.train("subject", kernel=part)) for _ in range(2))
    x, y = numbers((4, *size, 16), (4, 1))
    turned = Mock(wraps=narrow.of_convolution)
    monkeypatch.setattr(narrow, "of_convolution", turned)
    for each in (tuned, plain):
        each.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=how == "compiled")
        each.train_on_batch(x, y)
        monkeypatch.setattr(narrow, "pays_in_convolution", lambda *_: False)
    is_few = how == "compiled" or BACKEND == "jax" or part == sg.channels([1, 4])
    assert turned.called == (is_plain and part != sg.rows([1]) and is_few and BACKEND != "torch")
    one, two = (to_numpy(each.get_layer("subject").kernel) for each in (tuned, plain))
    assert np.allclose(one, two, rtol=1e-4, atol=1e-5)
    assert (one != to_numpy(subject.kernel)).any()


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
