"""Layers that hold what cannot be looked into: their copies are made from the config, and told the rest."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import to_numpy


class Opaque:
    """Can be neither looked into nor copied."""

    __slots__ = ("layer",)

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class Hiding:
    """A layer that something opaque holds on to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opaque = Opaque(self)


class HidingDense(Hiding, layers.Dense):
    pass


class HidingDropout(Hiding, layers.Dropout):
    pass


class HidingNormalization(Hiding, layers.BatchNormalization):
    pass


class HidingLSTM(Hiding, layers.LSTM):
    pass


class HidingTable(Hiding, layers.StringLookup):
    pass


class HidingBlock(Hiding, layers.Layer):
    """Builds what is inside of it in `build`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(4, name="inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.inner(inputs)


class Growing(Hiding, layers.Layer):
    """Has an inner layer that its config says nothing of."""

    def call(self, inputs):
        return self.inner(inputs) if hasattr(self, "inner") else inputs


def model_of(layer):
    start = keras.Input((4,), name="x")
    return keras.Model(start, layers.Dense(2, name="head")(layer(start)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: HidingDense(3, name="layer"),
        lambda: HidingDense(3, name="layer", trainable=False),
        lambda: HidingDropout(0.5, seed=3, name="layer"),
        lambda: HidingNormalization(name="layer"),
        lambda: HidingBlock(name="layer"),
    ],
    ids=["weights", "frozen", "seed", "state", "inside"],
)
def test_what_is_made_from_the_config_gets_values_and_flags(make):
    model = zoo.jitter(model_of(make()))
    check_exact(model)
    copy = sg.rewrite(model, [])
    assert type(copy.get_layer("layer")) is type(model.get_layer("layer"))
    assert copy.get_layer("layer") is not model.get_layer("layer")


def test_what_trains_of_a_part_is_the_same_again():
    model = zoo.jitter(model_of(HidingDense(3, name="layer")))
    tuned = sg.rewrite(model, [sg.freeze("**"), sg.train("layer", kernel=sg.channels([1]))])
    again = sg.rewrite(tuned, [])
    assert [(v.path, tuple(v.shape)) for v in again.trainable_variables] == [
        (v.path, tuple(v.shape)) for v in tuned.trainable_variables
    ]
    assert np.array_equal(
        to_numpy(again.get_layer("layer").kernel), to_numpy(model.get_layer("layer").kernel)
    )


def test_adapters_stay_apart_from_their_kernel():
    model = model_of(HidingDense(3, name="layer"))
    model.get_layer("layer").enable_lora(2)
    zoo.jitter(model)
    old, new = (one.get_layer("layer") for one in (model, sg.rewrite(model, [])))
    for name in ("_kernel", "lora_kernel_a", "lora_kernel_b", "bias"):
        before, after = getattr(old, name), getattr(new, name)
        assert before is not after
        assert np.array_equal(to_numpy(before), to_numpy(after))
        assert before.trainable == after.trainable


def test_states_that_no_layer_lists_come_along():
    start = keras.Input(batch_shape=(2, 3, 4), name="x")
    layer = HidingLSTM(3, stateful=True, name="layer")
    model = keras.Model(start, layers.Dense(2, name="head")(layer(start)))
    model(np.ones((2, 3, 4), "float32"))
    new = sg.rewrite(model, [], validate="structure").get_layer("layer")
    for before, after in zip(layer.states, new.states, strict=True):
        assert to_numpy(before).any()
        assert np.array_equal(to_numpy(before), to_numpy(after))


def test_a_table_is_filled_from_its_own_assets():
    start = keras.Input((1,), dtype="string", name="x")
    table = HidingTable(name="layer", output_mode="multi_hot")
    table.adapt(np.array([["a"], ["b"]]))
    model = keras.Model(start, layers.Dense(2, name="head")(table(start)))
    new = sg.rewrite(model, []).get_layer("layer")
    assert new is not table
    assert new.get_vocabulary() == table.get_vocabulary()


@pytest.mark.parametrize("hidden", ["both", "first", "second"])
def test_what_was_tied_is_tied_again(hidden):
    first = (layers.Dense if hidden == "second" else HidingDense)(4, name="a")
    second = (layers.Dense if hidden == "first" else HidingDense)(4, name="b")
    start = keras.Input((4,), name="x")
    model = keras.Model(start, second(first(start)))
    _keras.replace_variable(second, second._kernel, first._kernel)
    zoo.jitter(model)
    copy = sg.rewrite(model, [])
    assert copy.get_layer("a")._kernel is copy.get_layer("b")._kernel
    assert copy.get_layer("a")._kernel is not first._kernel
    check_exact(model)


def test_an_inner_layer_that_the_config_does_not_make_is_named():
    layer = Growing(name="layer")
    layer.inner = layers.Dense(4, name="inner")
    with pytest.raises(sg.CopyError, match=r"the copy of 'layer' has no layer 'inner': its from_config does"):
        sg.rewrite(model_of(layer), [])
