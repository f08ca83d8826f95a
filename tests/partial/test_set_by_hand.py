"""Values that somebody sets, and reads: what is frozen is frozen for training, and not for them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import same_bits, to_numpy
from tests.zoo import jitter

SELECTIONS = {
    "channels": sg.channels(0.5, by="random"),
    "rows": sg.rows(0.5, by="random"),
    "a few elements": sg.elements(0.1, by="random"),
    "most elements": sg.elements(0.9, by="random"),
    "n of m": sg.n_of_m(1, 2),
}
X = np.random.default_rng(0).normal(size=(4, 520)).astype("float32")


@pytest.fixture(params=[8, 520], ids=["small", "large"])
def units(request):
    """So many that the kernel is put together in each call, or lies assembled."""
    return request.param


@pytest.fixture(params=list(SELECTIONS))
def tuned(request, units):
    start = keras.Input((units,))
    model = keras.Model(start, layers.Dense(units, name="d")(start), name="small")
    return sg.rewrite(jitter(model), sg.train("d", kernel=SELECTIONS[request.param]))


def assert_has(model, kernel):
    layer = model.get_layer("d")
    assert same_bits(to_numpy(layer.kernel), kernel)
    x = X[:, : len(kernel)]
    stock = sg.restore(model)
    assert same_bits(to_numpy(stock.get_layer("d").kernel), kernel)
    assert same_bits(model.predict(x, verbose=0), stock.predict(x, verbose=0))


def place_of(model, end):
    (place,) = [place for place, weight in enumerate(model.weights) if weight.path.endswith(end)]
    return place


def test_assigning_sets_all_of_a_weight_and_breaks_the_seal(tuned):
    seal, kernel = sg.seal(tuned), tuned.get_layer("d").kernel
    before = to_numpy(kernel)
    tuned.predict(X[:, : len(before)], verbose=0)
    kernel.assign(before + 1)
    assert_has(tuned, before + 1)
    with pytest.raises(sg.SealBrokenError, match="d/kernel"):
        seal.verify(tuned)
    tuned.trainable = False
    kernel.assign(before + 2)
    assert_has(tuned, before + 2)


def test_of_values_that_contradict_each_other_the_whole_weight_holds(tuned):
    seal, values = sg.seal(tuned), tuned.get_weights()
    part, whole = place_of(tuned, "kernel_trainable"), place_of(tuned, "d/kernel")
    tuned.predict(X[:, : len(values[whole])], verbose=0)
    values[part] = values[part] + 1
    tuned.set_weights(values)
    assert_has(tuned, values[whole])
    seal.verify(tuned)
    values[whole] = values[whole] * 2
    tuned.set_weights(values)
    assert_has(tuned, values[whole])
    with pytest.raises(sg.SealBrokenError, match="d/kernel"):
        seal.verify(tuned)


def test_the_trainable_part_has_its_elements_in_the_order_of_the_weight(tuned):
    kernel = tuned.get_layer("d").kernel
    mask, (part,) = kernel.part.to_mask(), [v for v in tuned.trainable_variables if "kernel" in v.path]
    assert tuple(part.shape) == kernel.part.compact_shape
    assert len(part.shape) == (1 if kernel.axis is None else 2)
    assert same_bits(to_numpy(part).ravel(), to_numpy(kernel)[mask])
