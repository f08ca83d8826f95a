"""What waits is the same afterwards, and takes less memory."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras
from tests.helpers import same_bits, to_numpy
from tests.partial.test_blocks import compiled

ON_JAX = pytest.mark.skipif(keras.backend.backend() != "jax", reason="XLA plans the memory of a step on JAX")


def held(tensor, first):
    back = _keras.held_back(tensor, first)
    assert back is not tensor, "in what XLA compiles something waits"
    return back


@pytest.mark.parametrize("value", [1.0, 0.0, -0.0, np.nan, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_held_back_stays_as_it_is(value, dtype):
    tensor = keras.ops.convert_to_tensor(np.array([[1.5, np.nan], [-0.0, np.inf]], "float32"))
    first = keras.ops.convert_to_tensor(np.full((2, 3), value, dtype))
    assert same_bits(to_numpy(_keras.held_back(tensor, first)), to_numpy(tensor))
    assert _keras.held_back(tensor, first[:0]) is tensor
    if keras.backend.backend() != "torch":
        assert same_bits(compiled(held, to_numpy(tensor), to_numpy(first)), to_numpy(tensor))
    with _keras.after(first):
        assert same_bits(to_numpy(tensor + 0), to_numpy(tensor + 0))


@ON_JAX
def test_a_step_of_a_convolution_needs_less_memory(monkeypatch):
    """Else the inputs and the kernel are laid out anew long before they are used."""
    planned = {}
    for way in ("held back", "as XLA likes"):
        if way == "as XLA likes":
            monkeypatch.setattr(_keras, "held_back", lambda tensor, _: tensor)
        planned[way] = _planned()
    assert planned["held back"] < 0.9 * planned["as XLA likes"]


def _planned():
    import jax

    start = keras.Input((14, 14, 256))
    x = layers.Conv2D(256, 3, padding="same", activation="relu", name="c")(layers.DepthwiseConv2D(1)(start))
    model = keras.Model(start, layers.Dense(1)(layers.GlobalAveragePooling2D()(x)))
    tuned = sg.rewrite(model, sg.train("c", kernel=sg.channels(0.1, by="random")))
    tuned.compile("adam", "mse")
    x, y = np.ones((16, 14, 14, 256), "float32"), np.ones((16, 1), "float32")
    tuned.train_on_batch(x, y)
    groups = (
        tuned.trainable_variables,
        tuned.non_trainable_variables,
        tuned.optimizer.variables,
        tuned.metrics_variables,
    )
    state = tuple([variable.value for variable in group] for group in groups)
    step = jax.jit(tuned.train_step, donate_argnums=0)
    plan = step.lower(state, (x, y, None)).compile().memory_analysis()
    assert plan is not None
    return plan.temp_size_in_bytes
