"""A spec that does not fit the layers that it is attached to, and values that do not fit a weight."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras
from surgeon.partial import Part, Spec, attach, repart
from surgeon.partial.einsum import side_of
from tests.helpers import to_numpy

NAME, PART = sg.WeightNameError, sg.SelectionError


def model_of(*made):
    return keras.Sequential([keras.Input((4,), name="x"), *made])


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (Spec({"e/kernel": "none"}), NAME, r"no layer 'e'"),
        (
            Spec({"d/kernal": "none"}),
            sg.WeightNameError,
            r"layer 'd' has no weight 'kernal'; it has: kernel, b",
        ),
        (Spec({"r/kernel": "none"}), NAME, r"layer 'r' has no weight 'kernel'; it has: none"),
        (
            Spec({"d/kernel": "some"}),
            sg.SelectionError,
            r"'d/kernel': a part is 'all', 'none' or a Part, not 'so",
        ),
        (
            Spec({"d/kernel": Part.all((4, 4))}),
            sg.SelectionError,
            r"'d/kernel' has shape \(4, 3\), .* \(4, 4\)",
        ),
        (Spec({}, frozenset({"dd"})), NAME, r"no layer 'dd'; close: 'd'"),
    ],
    ids=["layer", "weight", "no weights", "word", "shape", "still"],
)
def test_what_a_spec_names_must_be_there(spec, error, message):
    model = model_of(layers.Dense(3, name="d"), layers.ReLU(name="r"))
    with pytest.raises(error, match=message):
        attach(model, spec)
    assert len(model.trainable_variables) == 2


def test_words_stand_for_parts():
    model = model_of(layers.Dense(3, name="d"))
    attach(model, Spec({"d/kernel": "none", "d/bias": "all"}))
    assert [variable.name for variable in model.trainable_variables] == ["bias"]


def test_a_value_of_another_shape_is_refused_and_one_that_fits_is_set():
    model = sg.rewrite(model_of(layers.Dense(3, name="d")), sg.train("d", kernel=sg.channels([1])))
    kernel = model.get_layer("d").kernel
    with pytest.raises(ValueError, match=r"d/kernel has shape \(4, 3\), the new value \(3, 4\)"):
        kernel.assign(np.zeros((3, 4)))
    kernel.assign(np.full((4, 3), 2.0))
    assert (to_numpy(kernel) == 2).all()


def test_parts_move_where_they_fit_and_are_made_anew_elsewhere():
    model = sg.rewrite(
        model_of(layers.Dense(4, name="a"), layers.Dense(4, name="b")),
        [sg.train("a", kernel=sg.channels([1])), sg.train("b", kernel=sg.channels([1]))],
    )
    whole = Part.all((4, 4))
    slices = Part.slices((4, 4), 1, [2])
    repart(model, {"a/kernel": slices, "b/kernel": slices, "a/bias": Part.none((4,))}, frozenset())
    assert sg.to_graph(model)["b"].weights[0].trainable == 4
    repart(model, {"a/kernel": whole, "b/kernel": slices}, frozenset())
    assert sum(v.shape[0] * (v.shape[1] if len(v.shape) > 1 else 1) for v in model.trainable_variables) == 24


def test_parts_are_equal_by_what_they_are():
    assert Part.all((2,)) == Part.slices((2,), 0, [0, 1])
    assert Part.all((2,)) != "all"
    assert Part.all((2,)) != Part.all((3,))


@pytest.mark.parametrize(
    ("equation", "axis"), [("ab,bc->ac", None), ("ab,bc->ac", 2), ("ab,...c->ac", 0), ("abc,abd->abcd", 0)]
)
def test_no_side_of_an_equation(equation, axis):
    assert side_of(equation, axis) is None


class Listing(layers.Layer):
    """Holds one of its variables in a list, too."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1],), name="kernel")
        self.all = [self.kernel]

    def call(self, inputs):
        return inputs * self.all[0]


def test_a_variable_is_replaced_in_lists_too():
    layer = Listing(name="l")
    model = model_of(layer)
    new = keras.Variable(np.full(4, 3.0, "float32"), name="kernel")
    _keras.replace_variable(layer, layer.kernel, new)
    assert layer.all[0] is new
    assert (to_numpy(model(np.ones((1, 4), "float32"))) == 3).all()


def test_a_layer_that_is_locked_stays_so():
    layer = layers.Dense(3, name="d")
    layer.build((None, 4))
    assert _keras.tracker_of(layer).locked
    _keras.add_child_layer(layer, "extra", layers.ReLU())
    assert _keras.tracker_of(layer).locked
    _keras.remove_child_layer(layer, "extra")
    assert _keras.tracker_of(layer).locked
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        layer.other = layers.Dense(2)
    open_layer = layers.Layer()
    _keras.add_child_layer(open_layer, "extra", layers.ReLU())
    _keras.remove_child_layer(open_layer, "extra")
    open_layer.other = layers.ReLU()
    assert not _keras.tracker_of(open_layer).locked
