"""A checkpoint of TensorFlow's own sets variables one by one: what is written in place follows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras
from tests.helpers import same_bits, to_numpy

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="it is about checkpoints of TensorFlow's"
)
WIDTH = 512
assert WIDTH**2 == _keras.LARGE
X, Y = (np.random.default_rng(seed).normal(size=(8, WIDTH)).astype("float32") for seed in (0, 1))


def trained(share, seed):
    """Return a model of which single elements, other ones for each seed, have trained for a step."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((WIDTH,)), layers.Dense(WIDTH, name="d")])
    selection = sg.elements(share, by="random", seed=seed)
    tuned = sg.rewrite(model, sg.train("d", kernel=selection), validate="none")
    tuned.compile("sgd", "mse")
    tuned.fit(X, Y, verbose=0)
    return tuned


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_other_positions(share, tmp_path):
    """Of these variables alone: whatever else says where they train, or what was seen, follows."""
    import tensorflow as tf

    tuned, other = trained(share, 0), trained(share, 7)
    one, two = (model.get_layer("d").kernel for model in (tuned, other))
    here, there = (
        tf.train.Checkpoint(**{name: getattr(kernel, name) for name in ("base", "compact", "index")})
        for kernel in (one, two)
    )
    there.restore(here.save(tmp_path / "c"))
    assert two.part == one.part
    before, mask = to_numpy(one), one.part.to_mask()
    assert same_bits(to_numpy(two), before)
    other.predict(X, verbose=0)
    other.fit(X, Y, epochs=2, verbose=0)
    other.predict(X, verbose=0)
    after = to_numpy(two)
    assert same_bits(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).any()
    assert same_bits(to_numpy(two.base), after)
