"""Ways around the optimizer, and copies that nobody announced: no frozen element moves, what trains does."""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest
from keras import callbacks, layers, optimizers

import surgeon as sg
from tests.helpers import same_bits, to_numpy
from tests.partial import matrix
from tests.zoo import jitter

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")


def stock():
    start = keras.Input((6,))
    x = layers.BatchNormalization(name="bn")(layers.Dense(8, activation="tanh", name="a")(start))
    x = layers.Dense(8, activation="tanh", name="b")(x)
    return jitter(keras.Model(start, layers.Dense(2, name="head")(x), name="small"))


def compiled(model, **options):
    model.compile(optimizers.AdamW(0.02, weight_decay=0.1, **options), "mse", run_eagerly=not ON_JAX)
    return model


ON_JAX = keras.backend.backend() == "jax"


@pytest.fixture
def model():
    few = sg.train("b", kernel=sg.elements(0.2, by="magnitude"))
    rules = [sg.freeze("**"), sg.train("a", kernel=sg.channels([1, 3])), few, sg.train("head", "bias")]
    return compiled(sg.rewrite(stock(), rules))


def fit(model, *more):
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[*more])


def trained(model):
    where = matrix.masks(model)
    return {
        path: where.get(path, np.full(v.shape, path == "head/bias"))
        for path, v in matrix.values(model).items()
    }


def assert_held(before, after, where):
    for path, mask in where.items():
        assert same_bits(before[path][~mask], after[path][~mask]), path
        assert not mask.any() or (before[path] != after[path])[mask].any(), path


COPIES = {
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "json": lambda model, path: keras.models.model_from_json(model.to_json()),
    "legacy": lambda model, path: _through(model, path / "m.h5"),
}


def _through(model, path):
    model.save(path)
    return keras.models.load_model(path, compile=False)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_trains_the_same_elements_and_its_source_stays(model, way, tmp_path):
    fit(model)
    other = compiled(COPIES[way](model, tmp_path))
    other.set_weights(model.get_weights())
    where, before = trained(model), matrix.values(model)
    fit(other)
    assert_held(before, matrix.values(other), where)
    assert all(same_bits(value, before[path]) for path, value in matrix.values(model).items())


def test_two_models_that_share_partly_frozen_layers_train_in_turn(model):
    features = keras.Model(model.input, model.get_layer("b").output)
    start = keras.Input((6,))
    other = compiled(keras.Model(start, layers.Dense(2, name="other")(features(start))))
    where, before = trained(model), matrix.values(model)
    for one in (model, other, model):
        fit(one)
    assert_held(before, matrix.values(model), where)


def test_averages_that_are_swapped_in_and_out(model):
    compiled(model, use_ema=True, ema_momentum=0.5)
    where, before = trained(model), matrix.values(model)
    fit(model, callbacks.SwapEMAWeights(swap_on_epoch=True))
    assert_held(before, matrix.values(model), where)


@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
def test_an_optimizer_that_was_given_every_variable(model):
    variables = [v for v in model.variables if keras.backend.is_float_dtype(v.dtype)]
    optimizer = optimizers.AdamW(0.02, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=1)
    optimizer.build(variables)
    where, before = trained(model), matrix.values(model)
    optimizer.apply([keras.ops.ones(v.shape) if v.trainable else None for v in variables], variables)
    optimizer.finalize_variable_values(variables)
    assert_held(before, matrix.values(model), where)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")  # the file has none
def test_a_stock_file_sets_the_frozen_elements_and_then_they_hold(model, tmp_path):
    other = jitter(stock(), seed=3)
    other.save_weights(tmp_path / "s.weights.h5")
    fit(model)
    model.load_weights(tmp_path / "s.weights.h5")
    where, before = trained(model), matrix.values(model)
    for new, old in zip(sg.restore(model).weights, other.weights, strict=True):
        assert same_bits(to_numpy(new), to_numpy(old))
    fit(model)
    assert_held(before, matrix.values(model), where)


def test_a_restored_model_shares_no_variable(model):
    ids = {id(variable) for variable in model.variables}
    assert ids.isdisjoint(id(variable) for variable in sg.restore(model).variables)
