"""Every flag that Keras has, set by hand: a frozen element stays out of the optimizer's sight."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import train_steps, weights_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")


@pytest.mark.parametrize("of", ["variables", "weights"])
def test_setting_the_flag_of_every_variable_frees_nothing(of):
    dense, head = layers.Dense(6, name="dense"), layers.Dense(2, name="head")
    model = keras.Sequential([keras.Input((4,)), dense, layers.BatchNormalization(name="bn"), head])
    tuned = sg.rewrite(
        model, [sg.freeze("bn"), sg.train("dense", kernel=sg.channels([0])), sg.freeze("head")]
    )
    trained = [variable.path for variable in tuned.trainable_variables]
    seal = sg.seal(tuned)
    for variable in getattr(tuned, of):
        variable.trainable = True
    assert [variable.path for variable in tuned.trainable_variables] == trained
    before = weights_of(tuned)
    train_steps(tuned, X, Y, keras.optimizers.AdamW(0.05, weight_decay=0.5), steps=3)
    seal.verify(tuned)
    moved = {path for path, value in weights_of(tuned).items() if not np.array_equal(before[path], value)}
    assert any(path.endswith("kernel_trainable") for path in moved)
