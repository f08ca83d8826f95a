"""A chain of 5,000 layers. Keras walks it by recursion, under Python's limit of 1,000 frames."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras

pytestmark = pytest.mark.slow
DEPTH = 5_000


@pytest.fixture(scope="module")
def chain():
    x = start = keras.Input((4,), name="x")
    for number in range(DEPTH - 1):
        x = layers.Activation("tanh", name=f"tanh_{number}")(x)
    x = layers.Dense(2, name="head")(x)
    with _keras.deep_graphs(DEPTH):
        return keras.Model(start, x)


def test_a_chain_that_keras_itself_cannot_build(chain):
    with pytest.raises(RecursionError):
        keras.Model(chain.input, chain.output)


def test_reading_freezing_and_building_a_chain(chain):
    limit = sys.getrecursionlimit()
    frozen = sg.rewrite(chain, sg.freeze("head", "kernel"), validate="structure")
    assert sys.getrecursionlimit() == limit
    assert len(frozen.layers) == DEPTH + 1
    assert [v.path for v in frozen.trainable_variables] == ["head/bias"]
    inputs = np.ones((1, 4), "float32")
    assert np.array_equal(chain(inputs), frozen(inputs))
