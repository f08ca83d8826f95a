"""Where half of the elements of a small weight train, TensorFlow chooses between them; nobody sees that."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.partial import assemble
from tests.helpers import assert_same_outputs, same_bits, to_numpy
from tests.zoo import jitter

BACKEND = keras.backend.backend()


def model_of():
    start = keras.Input((4,))
    return jitter(keras.Model(start, layers.Dense(2, name="head")(layers.Dense(6, name="d")(start))))


def data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")


@pytest.mark.parametrize("count", [11, 12, 23])
@pytest.mark.parametrize("how", ["compiled", "in a graph", "eager"])
def test_what_trains_moves_and_the_rest_does_not(count, how, monkeypatch):
    model = model_of()
    tuned = sg.rewrite(model, sg.train("d", kernel=sg.elements(list(range(count)))))
    kernel = tuned.get_layer("d").kernel
    chooses = BACKEND == "tensorflow" and count >= 12
    assert (kernel.ordinals is not None) == chooses
    choose = Mock(wraps=assemble.overwrite_in_place)
    choose.__name__ = "choose"
    monkeypatch.setattr(assemble, "overwrite_in_place", choose)
    options = {"jit_compile": True} if how == "compiled" else {"run_eagerly": how == "eager"}
    if BACKEND == "torch":
        options = {}
    tuned.compile("adam", "mse", **options)
    x, y = data()
    assert_same_outputs(tuned(x), model(x))
    tuned.train_on_batch(x, y)
    assert choose.called == chooses
    before, after = to_numpy(model.get_layer("d").kernel).reshape(-1), to_numpy(kernel).reshape(-1)
    assert same_bits(after[count:], before[count:])
    assert (after[:count] != before[:count]).all()
    assert_same_outputs(sg.restore(tuned)(x), tuned(x))


def test_other_elements_are_chosen_after_the_selection_has_moved(tmp_path):
    tuned = sg.rewrite(model_of(), sg.train("d", kernel=sg.elements(list(range(14)))))
    tuned.compile("sgd", "mse")
    x, y = data()
    tuned.train_on_batch(x, y)
    tuned.save_weights(tmp_path / "first.weights.h5")
    first = to_numpy(tuned.get_layer("d").kernel)
    sg.adjust(tuned, sg.train("d", kernel=sg.elements(list(range(8, 22)))))
    kernel = tuned.get_layer("d").kernel
    assert same_bits(to_numpy(kernel), first)
    tuned.train_on_batch(x, y)
    moved = (to_numpy(kernel) != first).reshape(-1)
    assert np.flatnonzero(moved).tolist() == list(range(8, 22))
    tuned.load_weights(tmp_path / "first.weights.h5")
    assert same_bits(to_numpy(kernel), first)
    assert kernel.part.index.tolist() == list(range(14))
    tuned.train_on_batch(x, y)
    moved = (to_numpy(kernel) != first).reshape(-1)
    assert np.flatnonzero(moved).tolist() == list(range(14))


@pytest.mark.parametrize("with_ordinals", [True, False])
def test_a_state_tree_brings_its_elements_along(with_ordinals):
    """Trees that were written on JAX have no ordinals of small weights."""
    source, tuned = (
        sg.rewrite(model_of(), sg.train("d", kernel=sg.elements(list(range(first, first + 14)))))
        for first in (0, 8)
    )
    x, y = data()
    for model in (source, tuned):
        model.compile("sgd", "mse")
        model.train_on_batch(x, y)
    tree = source.get_state_tree(value_format="numpy_array")
    if not with_ordinals:
        _without_ordinals(tree)
    tuned.set_state_tree(tree)
    kernel = tuned.get_layer("d").kernel
    assert kernel.part.index.tolist() == list(range(14))
    before = to_numpy(kernel)
    assert same_bits(before, to_numpy(source.get_layer("d").kernel))
    assert_same_outputs(tuned(x), source(x))
    tuned.train_on_batch(x, y)
    moved = (to_numpy(kernel) != before).reshape(-1)
    assert np.flatnonzero(moved).tolist() == list(range(14))


def _without_ordinals(tree):
    for name in list(tree):
        if name.endswith("_ordinals"):
            del tree[name]
        elif isinstance(tree[name], dict):
            _without_ordinals(tree[name])
