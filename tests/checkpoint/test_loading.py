"""Bare weights are opened with the architecture of another file, and with nothing else of it."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import surgeon as sg
from surgeon.checkpoint import open_model
from surgeon.checkpoint.loading import load_admitted, weight_budget
from surgeon.checkpoint.sources import Kind
from surgeon.errors import CheckpointError, RefusedError
from tests.checkpoint.legacy import layer, write_keras2


def trained_model(seed, *, epochs=1):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="head")], name="m")
    model.compile(keras.optimizers.Adam(0.1, name="adam"), "mse")
    if epochs:
        numbers = np.random.default_rng(seed)
        model.fit(numbers.normal(size=(8, 4)), numbers.normal(size=(8, 2)), epochs=epochs, verbose=0)
    return model


@pytest.fixture
def architecture(tmp_path):
    trained_model(1).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.mark.parametrize("compiled", [True, False])
def test_the_optimizer_of_the_architecture_is_not_that_of_the_weights(tmp_path, architecture, compiled):
    never_trained = trained_model(2, epochs=0)
    if not compiled:
        never_trained = keras.models.clone_model(never_trained)
    never_trained.save_weights(tmp_path / "bare.weights.h5")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model = open_model(tmp_path / "bare.weights.h5", architecture=architecture)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    assert int(model.optimizer.iterations) == 0
    moments = [v for v in model.optimizer.variables if "momentum" in v.path or "velocity" in v.path]
    assert len(moments) == 4
    assert not any(np.any(v.numpy()) for v in moments)
    assert np.array_equal(model.get_layer("head").kernel, never_trained.get_layer("head").kernel)


def test_the_optimizer_of_the_weights_comes_along(tmp_path, architecture):
    other = trained_model(3, epochs=2)
    other.save_weights(tmp_path / "bare.weights.h5")
    model = open_model(tmp_path / "bare.weights.h5", architecture=architecture)
    assert int(model.optimizer.iterations) == 2
    for mine, theirs in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        assert np.array_equal(mine.numpy(), theirs.numpy()), mine.path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_losses_and_metrics_that_are_functions_of_keras(tmp_path, suffix):
    """They are written by a bare name, also those that a legacy file had as text."""
    model = trained_model(1)
    loss, metric = keras.losses.mean_squared_error, keras.metrics.categorical_accuracy
    if suffix == ".h5":
        loss, metric = loss.__name__, metric.__name__
    model.compile("adam", loss, metrics=[metric])
    model.save(tmp_path / f"model{suffix}")
    tuned = sg.rewrite(open_model(tmp_path / f"model{suffix}"), sg.train("head", kernel=sg.channels([0])))
    tuned.save(tmp_path / "tuned.keras")
    again = open_model(tmp_path / "tuned.keras")
    x, y = np.ones((2, 4)), np.eye(2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        result = sg.convert(tmp_path, sg.freeze("head", "bias"), tmp_path / "out")
    assert not result.failed
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))


def test_a_legacy_file_with_a_loss_of_the_users_own(tmp_path):
    def own(truth, guess):
        return keras.ops.mean(keras.ops.abs(truth - guess))

    model = trained_model(1)
    model.compile("adam", own)
    model.save(tmp_path / "model.h5")
    with pytest.warns(UserWarning, match="loss, metrics and optimizer are dropped"):
        opened = open_model(tmp_path / "model.h5")
    assert np.array_equal(opened.get_layer("head").kernel, model.get_layer("head").kernel)


def test_a_model_takes_no_more_than_its_file_allows():
    with weight_budget(4 * (3 * 5 + 5)):
        keras.layers.Dense(5, name="fits").build((None, 3))
    with (
        weight_budget(79),
        pytest.raises(RefusedError, match=r"'big' wants .* \(5,\): .* 80 bytes, more than the 79"),
    ):
        keras.layers.Dense(5, name="big").build((None, 3))


def test_bare_weights_take_an_architecture_that_is_not_compiled(tmp_path):
    model = trained_model(4)
    model.save_weights(tmp_path / "bare.weights.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    loaded = load_admitted(
        tmp_path / "bare.weights.h5", Kind.WEIGHTS, tmp_path / "model.json", compiled=False
    )
    assert not loaded.compiled
    assert np.array_equal(loaded.get_layer("head").kernel, model.get_layer("head").kernel)
    with pytest.raises(CheckpointError, match="holds bare weights and no architecture was given"):
        load_admitted(tmp_path / "bare.weights.h5", Kind.WEIGHTS)


def test_a_legacy_file_that_nobody_can_load_says_what_keras_says(tmp_path):
    dense = layer("Dense", "head", units="many")
    start = layer("InputLayer", "x", batch_input_shape=[None, 4], dtype="float32")
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [start, dense]}}
    path = write_keras2(tmp_path / "a.h5", model, {})
    with pytest.raises((TypeError, ValueError), match=r"units|many"):
        load_admitted(path, Kind.LEGACY, compiled=False)


def test_a_folder_is_no_checkpoint_and_says_what_to_do(tmp_path):
    (tmp_path / "ckpt-1.index").touch()
    with pytest.raises(CheckpointError, match="a TensorFlow checkpoint holds values alone; load them into"):
        open_model(tmp_path)


def test_a_legacy_file_that_needs_no_repair_is_opened_as_it_is(tmp_path):
    dense = layer("Dense", "head", units=2, activation="linear", use_bias=True)
    start = layer("InputLayer", "x", batch_input_shape=[None, 3], dtype="float32")
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [start, dense]}}
    kernel, bias = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
    path = write_keras2(tmp_path / "a.h5", model, {"x": {}, "head": {"kernel": kernel, "bias": bias}})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = load_admitted(path, Kind.LEGACY)
    assert not [each for each in caught if "repaired" in str(each.message)]
    assert np.array_equal(loaded.get_layer("head").kernel, kernel)
    assert np.array_equal(loaded.get_layer("head").bias, bias)
