"""Layers that cannot be made from their own config: they are copied all the same."""

from __future__ import annotations

import functools
import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import to_numpy


def model_of(*stack):
    x = start = keras.Input((4,), name="x")
    for layer in stack:
        x = layer(x)
    return zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(x)))


class WithoutConfig(layers.Layer):
    """Takes an argument that no config can say."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.inner = layers.Dense(4, name="of_its_own")

    def build(self, shape):
        self.inner.build(shape)
        self.scale = self.add_weight(shape=(4,), name="scale")

    def call(self, inputs):
        return self.function(self.inner(inputs)) * self.scale


class WithAConfigThatFails(WithoutConfig):
    def get_config(self):
        raise RuntimeError("no config today")


class WithAConfigThatForgets(layers.Layer):
    """Says nothing of its factor: made from its config, it computes something else."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {"name": self.name}


class ThatClosesOverItself(layers.Layer):
    """Keeps functions that reach its weights in three ways."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")
        self.times = lambda x: x @ self.kernel
        self.method = self.twice
        self.applied = functools.partial(self.twice, factor=0.5)

    def twice(self, x, factor=2.0):
        return x @ self.kernel * factor

    def call(self, inputs):
        return self.times(inputs) + self.method(inputs) + self.applied(inputs)


class Holder:
    """An object of no Keras class that holds a layer."""

    def __init__(self, layer):
        self.layer, self.itself = layer, self


class ThatHoldsContainers(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        first, second = layers.Dense(4, name="first"), layers.Dense(4, name="second")
        self.table = {"first": first, "rest": [second, (second, first)]}
        self.holder = Holder(first)

    def call(self, inputs):
        return self.holder.layer(inputs) + self.table["rest"][1][0](inputs)


class Inner(keras.Model):
    """A model without a graph, inside of one that has one."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.tower = layers.Dense(units), keras.Sequential([layers.Dense(4), layers.ReLU()])

    def call(self, inputs):
        return self.tower(self.dense(inputs))


@pytest.mark.filterwarnings("ignore:.build... was called on layer:UserWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: WithoutConfig(lambda x: x * 2, name="layer"),
        lambda: WithAConfigThatFails(keras.ops.tanh, name="layer"),
        lambda: WithAConfigThatForgets(3.0, name="layer"),
        lambda: ThatClosesOverItself(name="layer"),
        lambda: ThatHoldsContainers(name="layer"),
        lambda: Inner(3, name="layer"),
        lambda: layers.Lambda(lambda x: x * 2 + 1, name="layer"),
        lambda: layers.Lambda(keras.ops.relu, name="layer"),
        lambda: layers.Dense(4, activation=lambda x: x * 0.5, name="layer"),
    ],
    ids=[
        "no config",
        "failing",
        "forgetful",
        "closures",
        "containers",
        "model",
        "lambda",
        "function",
        "activation",
    ],
)
def test_layers_that_no_config_describes(make):
    model = model_of(make())
    check_exact(model)
    check_exact(model, share=True)


@pytest.mark.parametrize("function", ["times", "method", "applied"])
def test_functions_of_a_copy_compute_with_its_own_weights(function):
    model = model_of(ThatClosesOverItself(name="layer"))
    old, new = (one.get_layer("layer") for one in (model, sg.rewrite(model, [])))
    inputs = zoo.sample_inputs(model)
    before = to_numpy(getattr(old, function)(inputs))
    new.kernel.assign(new.kernel * 2)
    assert np.array_equal(to_numpy(getattr(old, function)(inputs)), before)
    assert np.array_equal(to_numpy(getattr(new, function)(inputs)), before * 2)


def test_names_of_inner_layers_and_duplicate_names():
    model = model_of(WithoutConfig(keras.ops.tanh, name="a"), WithoutConfig(keras.ops.tanh, name="b"))
    same = sg.rewrite(model, [])
    assert [v.path for v in same.variables] == [v.path for v in model.variables]
    assert [same.get_layer(name).inner.name for name in "ab"] == ["of_its_own"] * 2


class Opaque:
    """Can be neither looked into nor copied."""

    __slots__ = ("layer",)

    layer: keras.layers.Layer


class ThatCannotBeCopied(WithAConfigThatFails):
    def __init__(self, **kwargs):
        super().__init__(keras.ops.tanh, **kwargs)
        self.opaque = Opaque()
        self.opaque.layer = self.inner


def test_sharing_is_offered_for_what_cannot_be_copied():
    model = model_of(ThatCannotBeCopied(name="layer"))
    with pytest.raises(sg.CopyError, match=r"'layer' cannot be copied.*share=True"):
        sg.rewrite(model, [])
    shared = sg.rewrite(model, sg.freeze("head"), share=True)
    assert shared.get_layer("layer") is model.get_layer("layer")
    assert "shared with the source: layer" in str(sg.validate(model, shared))


@pytest.mark.parametrize("rules", [[], sg.train("d", kernel=sg.channels([1]))], ids=["copy", "partly frozen"])
@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_copy_keeps_nothing_of_its_source_in_memory(kind, rules):
    start, d = keras.Input((4,)), layers.Dense(4, name="d")
    source = keras.Sequential([start, d]) if kind == "sequential" else keras.Model(start, d(start))
    held = [weakref.ref(source), weakref.ref(d), weakref.ref(d.kernel)]
    copy = sg.rewrite(source, rules)
    del source, d, start
    gc.collect()
    assert [reference() for reference in held] == [None] * 3
    assert copy.built
