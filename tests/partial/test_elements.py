"""Single elements of large weights: above half of them, each is looked up and nothing is scattered."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras, paths
from surgeon.partial import assemble
from surgeon.partial.part import Part
from tests.helpers import assert_same_outputs, same_bits, to_numpy
from tests.zoo import jitter

INPUTS, UNITS = 512, 512


def rewritten(share, name="m"):
    model = jitter(keras.Sequential([keras.Input((INPUTS,)), layers.Dense(UNITS, name="d")], name=name))
    return model, sg.rewrite(model, sg.train("d", kernel=sg.elements(share, by="random")))


def kernel_of(model):
    return paths.own_weights(model.get_layer("d"))["kernel"]


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, INPUTS)).astype("float32"), rng.normal(size=(8, UNITS)).astype("float32")


def assert_one_selection(kernel):
    """Assert that `index` and `places` say the same, and that a scatter gives what a look-up gives."""
    index, places = to_numpy(kernel.index), to_numpy(kernel.places)
    assert same_bits(places, assemble.places_of(tuple(kernel.shape), index))
    base, compact = to_numpy(kernel.base), to_numpy(kernel.compact)
    kernel.part.put(base, compact)
    assert same_bits(base, to_numpy(kernel.assembled()))


@pytest.mark.parametrize(("share", "looked_up"), [(0.5, False), (0.51, True), (0.9, True)])
def test_above_half_each_element_is_looked_up(share, looked_up):
    model, tuned = rewritten(share)
    assert (kernel_of(tuned).places is not None) == looked_up
    x, _ = data()
    assert_same_outputs(tuned(x), model(x))


@pytest.mark.parametrize(
    ("part", "looked_up"),
    [
        (Part.elements((_keras.LARGE,), np.arange(_keras.LARGE // 2 + 1)), True),
        (Part.elements((_keras.LARGE,), np.arange(_keras.LARGE // 2)), False),
        (Part.elements((_keras.LARGE - 1,), np.arange(_keras.LARGE - 2)), False),
        (Part.slices((_keras.LARGE, 2), 0, np.arange(_keras.LARGE - 1)), False),
        (Part.all((_keras.LARGE,)), False),
        (Part.none((_keras.LARGE,)), False),
    ],
    ids=str,
)
def test_what_is_looked_up(part, looked_up):
    assert assemble.looks_up(part) == looked_up


def test_frozen_elements_stay_and_the_others_go_where_a_mask_lets_them():
    model, tuned = rewritten(0.9)
    before, start = (to_numpy(weight) for weight in model.get_layer("d").weights)
    kernel = kernel_of(tuned)
    x, y = data()
    tuned.trainable = False
    tuned.trainable = True
    tuned.compile(keras.optimizers.SGD(0.5), "mse")
    tuned.train_on_batch(x, y)
    after, mask = to_numpy(kernel.value), kernel.part.to_mask()
    error = 2 * (x @ before + start - y) / y.size
    np.testing.assert_allclose(after[mask], (before - 0.5 * x.T @ error)[mask], rtol=1e-4, atol=1e-6)
    assert same_bits(after[~mask], before[~mask])
    assert np.mean(after[mask] != before[mask]) > 0.9
    assert_one_selection(kernel)


def test_other_elements_of_the_same_number_may_train():
    _, tuned = rewritten(0.9)
    x, y = data()
    tuned.compile("adam", "mse")
    tuned.train_on_batch(x, y)
    kernel, whole = kernel_of(tuned), to_numpy(kernel_of(tuned).value)
    first = kernel.part
    sg.adjust(tuned, sg.train("d", kernel=sg.elements(0.9, by="random", seed=7)))
    assert kernel_of(tuned) is kernel  # in place
    assert kernel.part != first
    assert same_bits(to_numpy(kernel.value), whole)
    assert_one_selection(kernel)
    tuned.train_on_batch(x, y)
    after, mask = to_numpy(kernel.value), kernel.part.to_mask()
    assert same_bits(after[~mask], whole[~mask])
    assert (after[mask] != whole[mask]).any()


def test_files_carry_the_selection(tmp_path):
    _, tuned = rewritten(0.9)
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.train_on_batch(x, y)
    tuned.save(tmp_path / "m.keras")
    tuned.save_weights(tmp_path / "m.weights.h5")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    model = keras.Sequential([keras.Input((INPUTS,)), layers.Dense(UNITS, name="d")])
    other = sg.rewrite(model, sg.train("d", kernel=sg.elements(0.9, by="random", seed=7)))
    assert kernel_of(other).part != kernel_of(tuned).part
    other.load_weights(tmp_path / "m.weights.h5")
    for read in (loaded, other):
        assert kernel_of(read).part == kernel_of(tuned).part
        assert same_bits(to_numpy(kernel_of(read).value), to_numpy(kernel_of(tuned).value))
        assert_one_selection(kernel_of(read))


def test_a_file_has_no_more_than_the_positions(tmp_path):
    import h5py

    _, tuned = rewritten(0.9)
    tuned.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        state = file[f"layers/dense/{paths.STATE}/vars"]
        shapes = {name: item.shape for name, item in state.items()}
    assert shapes == {"kernel": tuple(kernel_of(tuned).index.shape)}
