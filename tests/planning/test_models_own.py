"""Weights that a model owns itself: no rule says that they are frozen while they train."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg


@keras.saving.register_keras_serializable("surgeon_tests")
class Tempered(keras.Model):
    """A model that scales what its layers make by a weight of its own."""

    def __init__(self, **settings):
        vector = keras.Input((4,), name="vector")
        super().__init__(vector, layers.Dense(2, name="head")(vector), **settings)
        self.temperature = self.add_weight(shape=(3,), name="temperature", initializer="ones")

    def get_config(self):
        return {"name": self.name}


def plain():
    vector = keras.Input((4,), name="vector")
    model = keras.Model(vector, layers.Dense(2, name="head")(vector))
    model.temperature = model.add_weight(shape=(3,), name="temperature", initializer="ones")
    return model


def around(*, inner_only=False):
    inputs = keras.Input((4,), name="inputs")
    tensor = Tempered(name="inner")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="last")(tensor) if inner_only else tensor)


@pytest.mark.parametrize(
    ("make", "rule", "message"),
    [
        (
            plain,
            sg.freeze("**"),
            r"freeze\('\*\*'\): the model itself owns 'temperature'.* let a layer own it",
        ),
        (Tempered, sg.freeze(sg.name("head") | "vector"), r"the model itself owns 'temperature'"),
        (around, sg.freeze("**"), r"the model 'inner' itself owns 'temperature'"),
        (lambda: around(inner_only=True), sg.freeze("inner"), r"the model 'inner' itself owns 'temperature'"),
    ],
    ids=["plain", "class", "nested", "nested alone"],
)
def test_a_rule_that_means_them_is_refused(make, rule, message):
    with pytest.raises(sg.ModelError, match=message):
        sg.plan(make(), rule)


@pytest.mark.parametrize("make", [plain, Tempered, around], ids=["plain", "class", "nested"])
def test_they_count_and_other_weights_freeze(make):
    plan = sg.plan(make(), sg.freeze("**", "kernel", "bias"))
    assert (plan.trainable_before, plan.trainable_after, plan.size) == (13, 3, 13)
    tuned = plan.apply(make())
    assert [weight.name for weight in tuned.trainable_variables] == ["temperature"]


def test_a_schedule_tells_of_them_before_its_first_phase():
    schedule = sg.Schedule([sg.Phase(sg.freeze("head", "bias")), sg.Phase(sg.freeze("**"))])
    with pytest.raises(sg.ModelError, match=r"phase 2: .*the model itself owns 'temperature'"):
        next(schedule.run(plain()))


def test_what_does_not_train_is_no_obstacle():
    model = Tempered()
    model.temperature.trainable = False
    assert sg.plan(model, sg.freeze("**")).trainable_after == 0
