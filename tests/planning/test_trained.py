"""Surgery on a model as people have it: trained in this process, or loaded with its optimizer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import targets_for, to_numpy

RULES = {
    "identity": [],
    "frozen": sg.freeze("conv_1", "kernel"),
    "pruned": sg.prune("conv_*", channels=0.5),
    "of another size": sg.replace("head", layers.Dense(7, name="head")),
    "with another input": sg.change_input((8, 8, 3)),
    "with a layer more": sg.insert_after("conv_1", layers.Dropout(0.1)),
}


def fitted():
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="conv_1")(image)
    x = layers.Conv2D(4, 3, activation="relu", name="conv_2")(x)
    model = keras.Model(image, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))
    model.compile("adam", "mse")
    inputs = zoo.sample_inputs(model, batch=8)
    model.fit(inputs, targets_for(model, inputs), epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("how", ["fitted", "loaded"])
def test_it_is_rewritten_and_trains_on(rules, how, tmp_path):
    model = fitted()
    if how == "loaded":
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
    steps = int(model.optimizer.iterations)
    tuned = sg.rewrite(model, rules)
    assert int(tuned.optimizer.iterations) == steps == 2
    before = [to_numpy(v) for v in tuned.trainable_variables]
    inputs = zoo.sample_inputs(tuned, batch=8)
    tuned.fit(inputs, targets_for(tuned, inputs), epochs=5, verbose=0)
    moved = [(to_numpy(v) != start).any() for v, start in zip(tuned.trainable_variables, before, strict=True)]
    assert all(moved), [v.path for v, did in zip(tuned.trainable_variables, moved, strict=True) if not did]


def test_a_weight_of_another_shape_starts_with_no_memory_and_the_others_keep_theirs():
    model = fitted()
    tuned = sg.rewrite(model, sg.replace("head", layers.Dense(7, name="head")))
    momenta = {v.path.rpartition("/")[2]: to_numpy(v) for v in tuned.optimizer.variables}
    old = {v.path.rpartition("/")[2]: to_numpy(v) for v in model.optimizer.variables}
    heads = [value for name, value in momenta.items() if "head" in name]
    others = [name for name in momenta if "conv" in name]
    assert len(heads) == 4
    assert not any(value.any() for value in heads)
    assert len(others) == 8
    assert all(np.array_equal(momenta[name], old[name]) for name in others)
    assert any(momenta[name].any() for name in others)


def test_what_points_back_at_the_model_points_at_the_new_one():
    model = fitted()
    assert model.history.model is model
    model.logger = keras.callbacks.LambdaCallback()
    model.logger.set_model(model)
    tuned = sg.rewrite(model, sg.freeze("head"))
    assert tuned.logger is not model.logger
    assert tuned.logger.model is tuned
    assert model.logger.model is model
    assert getattr(tuned, "history", None) is None  # it has not been fitted
