"""Copies of what is code only, of operations, and of containers of every kind."""

from __future__ import annotations

import collections
import functools
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.roundtrip import to_graph, to_model
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import to_numpy
from tests.roundtrip.test_made_from_config import Hiding, Opaque


class Failing(Hiding, layers.Layer):
    """Has neither weights nor a config that works."""

    def call(self, inputs):
        return inputs * 2

    def get_config(self):
        raise RuntimeError("no config today")


class Times(keras.Operation):
    """An operation that is no layer and holds what cannot be looked into."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.opaque = Opaque(layer)

    def call(self, x):
        return x * 2

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def model_of(*made):
    x = start = keras.Input((4,), name="x")
    for one in made:
        x = one(x)
    return keras.Model(start, layers.Dense(2, name="head")(x))


@pytest.mark.parametrize(
    "make",
    [lambda: Failing(name="one"), lambda: Times(layers.Dense(2), name="one")],
    ids=["layer", "operation"],
)
def test_what_is_nothing_but_code_is_copied_as_it_is(make):
    model = model_of(make())
    same = sg.rewrite(model, [])
    assert same.operations[1] is not model.operations[1]
    assert type(same.operations[1]) is type(model.operations[1])
    assert sg.validate(model, same).ok


class Pair(NamedTuple):
    first: Any
    second: int


class Container(layers.Layer):
    """Keeps one layer in containers of many kinds, and computes with each."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        inner = self.inner = layers.Dense(4, name="inner")
        self.pair = Pair(inner, 1)
        self.queue = collections.deque([inner], maxlen=3)
        self.ordered = collections.OrderedDict(a=inner)
        self.frozen = frozenset({inner})
        self.partial = functools.partial(self.twice, inner, by=inner)
        self.plain = functools.partial(max, 1)

    def twice(self, one, by):
        return one if one is by else None

    def call(self, x):
        held = (self.pair.first, self.queue[0], self.ordered["a"], *self.frozen, self.partial())
        return sum(layer(x) for layer in held)


def test_containers_hold_the_copy():
    model = zoo.jitter(model_of(Container(name="c")))
    check_exact(model)
    old, new = (one.get_layer("c") for one in (model, sg.rewrite(model, [])))
    assert new.inner is not old.inner
    for held in (new.pair.first, new.queue[0], new.ordered["a"], *new.frozen, new.partial()):
        assert held is new.inner
    assert new.queue.maxlen == 3


def test_a_graph_that_is_edited_gives_a_model_by_itself():
    """The names that Keras counted are not given a second time."""
    start = keras.Input((4,), name="x")
    y = keras.ops.relu(layers.Dense(4, name="d")(start))
    model = zoo.jitter(keras.Model(start, layers.Dense(2, name="e")(y)))
    same = to_model(to_graph(model))
    assert sg.validate(model, same).ok
    operation = model.operations[2].name
    renamed = sg.rewrite(model, sg.rename(operation, "act"))
    assert [op.name for op in renamed.operations] == ["x", "d", "act", "e"]
    x = np.ones((1, 4), "float32")
    assert np.array_equal(to_numpy(renamed(x)), to_numpy(model(x)))


def test_a_replacement_with_another_number_of_outputs_is_refused():
    model = model_of(layers.Dense(4, name="d"))

    class Twice(layers.Layer):
        def call(self, x):
            return x, x

    with pytest.raises(sg.GraphError, match="outputs"):
        sg.rewrite(model, sg.replace("d", Twice()))
