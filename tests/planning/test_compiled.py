"""A compiled model goes on training from where it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import surgeon as sg
from tests import zoo
from tests.helpers import assert_same_weights, targets_for, weights_of


def trained(optimizer):
    model = zoo.cnn()
    model.compile(optimizer, "mse", metrics=["mae", keras.metrics.MeanSquaredError()])
    x = zoo.sample_inputs(model, batch=8)
    y = targets_for(model, x)
    for _ in range(3):
        model.train_on_batch(x, y)
    return model, x, y


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "adafactor", "lion"])
def test_an_identity_rewrite_resumes_exactly(optimizer):
    model, x, y = trained(optimizer)
    same = sg.rewrite(model, [])
    assert same.optimizer is not model.optimizer
    assert type(same.optimizer) is type(model.optimizer)
    for _ in range(3):
        model.train_on_batch(x, y)
        same.train_on_batch(x, y)
    assert_same_weights(weights_of(model), weights_of(same))


def test_a_metric_starts_anew_and_is_not_shared():
    error = keras.metrics.MeanSquaredError(name="error")
    model = zoo.cnn()
    model.compile("adam", "mse", metrics=[error])
    x = zoo.sample_inputs(model, batch=8)
    y = targets_for(model, x)
    model.train_on_batch(x, y)
    before = float(error.result())
    same = sg.rewrite(model, [])
    alone = same.evaluate(x, y * 0 + 100, verbose=0, return_dict=True)["error"]
    assert float(error.result()) == before
    assert alone > 2 * before


def test_momentum_follows_the_elements_that_go_on_training():
    model, _, _ = trained("adam")
    tuned = sg.rewrite(model, sg.train("hidden", kernel=sg.channels([1, 4])))
    index = {variable.path: i for i, variable in enumerate(model.trainable_variables)}
    kept = {variable.path: i for i, variable in enumerate(tuned.trainable_variables)}
    before = np.asarray(model.optimizer._momentums[index["hidden/kernel"]])
    after = np.asarray(tuned.optimizer._momentums[kept["hidden/kernel_trainable"]])
    assert np.array_equal(after, before[:, [1, 4]])
    assert after.any()
    assert int(tuned.optimizer.iterations) == 3


def test_rewriting_again_keeps_what_was_frozen_and_restoring_gives_stock():
    model = zoo.cnn()
    once = sg.rewrite(model, sg.freeze("conv_1"))
    twice = sg.rewrite(once, sg.freeze("hidden", kernel=sg.rows([0, 1])))
    assert sg.seal(twice).weights.keys() == {"conv_1/kernel", "hidden/kernel"}
    with pytest.raises(sg.ModelError, match="nothing of 'cnn' is frozen"):
        sg.seal(sg.rewrite(twice, sg.train("**")))
    assert sg.validate(model, sg.restore(twice)).ok


@pytest.mark.parametrize("flag", ["layer", "model"])
def test_keras_flags_are_kept_and_released_by_name(flag):
    model = zoo.cnn()
    (model.get_layer("bn_1") if flag == "layer" else model).trainable = False
    same = sg.rewrite(model, [])
    assert len(same.trainable_variables) == len(model.trainable_variables)
    tuned = sg.rewrite(model, sg.train("bn_1", "gamma"))
    added = {v.path for v in tuned.trainable_variables} - {v.path for v in model.trainable_variables}
    assert added == {"bn_1/gamma"}
