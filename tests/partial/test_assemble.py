"""A weight is put together as numpy would, in each way that there is."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from surgeon import _keras
from surgeon.partial import assemble
from surgeon.partial.part import Part
from tests.helpers import same_bits, to_numpy

SHAPES = [(7,), (4, 6), (3, 2, 5), (2, 3, 4, 5)]
PARTS = [
    *(Part.slices(shape, axis, [shape[axis] - 1]) for shape in SHAPES for axis in range(len(shape))),
    Part.slices((3, 2, 5), 2, [0, 1, 4]),
    *(Part.elements(shape, [0, 2, 5, 6]) for shape in SHAPES),
]


WAYS = [(part, way) for part in PARTS for way in ("as ever", "for export")]
if keras.backend.backend() != "torch":
    WAYS += [(part, "as a choice") for part in PARTS if part.axis is None]


@pytest.mark.parametrize(("part", "way"), WAYS, ids=[f"{part} of {part.shape}, {way}" for part, way in WAYS])
def test_the_trainable_elements_are_put_in_and_taken_out(part, way):
    rng = np.random.default_rng(0)
    base, compact = (rng.normal(size=s).astype("float32") for s in (part.shape, part.compact_shape))
    expected = base.copy()
    part.put(expected, compact)
    index = ops.convert_to_tensor(part.index.astype("int32"))
    into = ops.convert_to_tensor(base)
    if way == "for export":
        into = _keras.Exportable(into)
    if way == "as a choice":
        into = assemble.Choice(into, ops.convert_to_tensor(part.ordinals()))
    whole = assemble.scatter(into, ops.convert_to_tensor(compact), index, part.axis)
    assert same_bits(to_numpy(whole), expected)
    assert same_bits(to_numpy(assemble.gather(whole, index, part.axis)), compact)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's functions")
def test_where_a_function_may_be_exported():
    import tensorflow as tf

    found = []

    def note(x):
        found.append(_keras.may_be_exported())
        return x

    note(1.0)
    tf.function(note)(1.0)

    @tf.function
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = note(x) * x
        return tape.gradient(y, x)

    train(tf.constant(1.0))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(note)])
    model.predict(np.ones((2, 1)), verbose=0)
    assert found[:3] == [False, True, False]
    assert not found[-1], "a step of Keras's is exported by nobody"
