"""What `validate` says of two models that differ, and that it says nothing of two that don't."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.validation import random_inputs, same_bits
from tests import zoo
from tests.helpers import to_numpy


def dense(units=3, *, name="d", cls=layers.Dense, **options):
    start = keras.Input((4,), name="x")
    layer = cls(units, name=name, kernel_initializer="ones", **options)
    return keras.Model(start, layer(start), name="m")


def two(order="ab", *, joined="ab"):
    """Two layers, called in one order and written down in another."""
    start = keras.Input((4,), name="x")
    made = {name: layers.Dense(4, name=name, kernel_initializer="ones") for name in order}
    first, second = (made[name] for name in joined)
    return keras.Model(start, second(first(start)), name="m")


def sequential():
    return keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, "relu", name="d")], name="m")


def crossed(*, crossed):
    """Two layers next to one another, the outputs of which are swapped."""
    start = keras.Input((4,), name="x")
    outputs = [layers.Dense(4, name=name, kernel_initializer="ones")(start) for name in "ab"]
    return keras.Model(start, outputs[::-1] if crossed else outputs, name="m")


class Other(layers.Dense):
    """Another class that computes the same."""


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (dense, dense, []),
        (sequential, lambda: dense(activation="relu"), ["class Sequential became Functional"]),
        (dense, lambda: dense(name="e"), ["d is gone", "e is new", "weight d/kernel is gone"]),
        (two, lambda: two(joined="ba"), ["the layers have another order"]),
        (dense, lambda: dense(cls=Other), ["d: class Dense became Other"]),
        (dense, lambda: dense(2), ["d: outputs", "weight d/kernel has other values"]),
        (lambda: crossed(crossed=False), lambda: crossed(crossed=True), ["the layers are joined in another"]),
        (dense, lambda: dense(use_bias=False), ["weight d/bias is gone"]),
        (lambda: dense(use_bias=False), dense, ["weight d/bias is new"]),
        (dense, lambda: dense(bias_initializer="ones"), ["weight d/bias has other values"]),
        (dense, lambda: dense(activation="tanh"), ["output 0 differs by up to "]),
    ],
    ids=[
        "nothing",
        "class of the model",
        "name",
        "order",
        "class",
        "shape",
        "outputs",
        "weight gone",
        "weight new",
        "values",
        "setting",
    ],
)
def test_each_difference_has_a_line(before, after, lines):
    report = sg.validate(before(), after())
    assert report.ok == (not lines)
    for line in lines:
        assert any(said.startswith(line) for said in report.differences), report
    assert str(report).splitlines()[0].endswith("different" if lines else "equal")


def test_what_is_meant_to_differ_is_not_told():
    assert sg.validate(dense(), dense(2), replaced=["d"]).ok
    report = sg.validate(dense(), dense(cls=Other, use_bias=False), replaced=["d"])
    assert report.ok
    assert report.notes == ("outputs are not compared: the structure was changed",)


def test_outputs_of_another_shape_are_said_to_be_so():
    """Keras knows of no fixed shape here, so that only the numbers themselves tell."""
    start = keras.Input((None,), name="x")

    def cut(length):
        layer = layers.Lambda(lambda x: x[:, :length], output_shape=(None,), name="cut")
        return keras.Model(start, layer(start), name="m")

    report = sg.validate(cut(3), cut(2))
    assert report.differences == ("output 0 differs by up to its shape: (2, 3) and (2, 2)",)


def test_bits_of_another_dtype_or_shape_are_not_the_same():
    one = np.zeros((2, 3), "float32")
    assert same_bits(one, one.copy())
    assert not same_bits(one, one.reshape(3, 2))
    assert not same_bits(one, one.astype("int32"))
    nan = np.full(2, np.nan, "float32")
    assert same_bits(nan, nan.copy())


def test_a_mode_that_is_none_names_the_three():
    with pytest.raises(sg.RuleError, match=r"outputs, structure, none, not 'output'; close: 'outputs'"):
        sg.rewrite(zoo.mlp(), [], validate="output")  # type: ignore[arg-type]


def test_inputs_of_text_are_words():
    start = keras.Input((2,), dtype="string", name="words")
    table = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot", name="table")
    model = keras.Model(start, layers.Dense(2, name="d")(table(start)))
    words = random_inputs(model, batch=3)
    assert words.shape == (3, 2)
    assert set(words.ravel()) <= {"a", "b", "c"}


def test_what_trains_is_left_as_it_lies():
    """What stands for a weight is no value of its own: to set it would let its elements start anew."""
    around = layers.TimeDistributed(layers.Dense(4, name="d"), name="s")
    start = keras.Input((3, 4))
    model = keras.Model(start, around(start))
    tuned = sg.rewrite(model, sg.train("s/layer", kernel=sg.channels([1])))
    kernel = tuned.get_layer("s").layer.kernel
    began = to_numpy(kernel.base)
    kernel.compact.assign(to_numpy(kernel.compact) + 1)
    assert sg.validate(sg.restore(tuned), tuned).ok
    assert same_bits(kernel.base, began)
    assert not same_bits(kernel, began)
