"""A weight that is held in two places."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import train_steps


def model_with(hold):
    dense = layers.Dense(3, name="d")
    start = keras.Input((4,))
    model = keras.Model(start, layers.Dense(2, name="head")(dense(start)), name="small")
    hold(model, dense)
    return model


@pytest.mark.parametrize("operate", [sg.rewrite, sg.adjust])
@pytest.mark.parametrize("rule", [sg.freeze("d"), sg.train("d", kernel=sg.channels([0]))], ids=str)
def test_a_weight_of_a_layer_that_a_plain_model_lists_too_is_refused_by_name(operate, rule):
    model = model_with(lambda model, dense: setattr(model, "kept", dense.kernel))
    says = r"'d/kernel' .* model 'small' itself, .* attribute 'kept': .* `del model.kept`"
    with pytest.raises(sg.ModelError, match=says):
        operate(model, rule)
    del model.kept
    operate(model, rule)


def test_so_is_one_that_lies_in_a_list_of_it():
    model = model_with(lambda model, dense: setattr(model, "kept", [dense.kernel]))
    with pytest.raises(
        sg.ModelError, match=r"'d/kernel' .* model 'small' itself, too: .* make the model without that"
    ):
        sg.rewrite(model, sg.freeze("d"))
    assert len(sg.rewrite(model, sg.freeze("head")).trainable_variables) == 2


@keras.saving.register_keras_serializable("surgeon_tests")
class Keeping(keras.Model):
    """Has a weight of one of its layers as its own, and builds both from one number."""

    def __init__(self, units, **kwargs):
        start = keras.Input((4,))
        dense = layers.Dense(units, name="d")
        super().__init__(start, layers.Dense(2, name="head")(dense(start)), **kwargs)
        self.units, self.kept = units, dense.kernel

    def get_config(self):
        return {"units": self.units, "name": self.name}


def test_a_class_that_builds_both_from_its_config_may_hold_one(tmp_path):
    tuned = sg.rewrite(Keeping(3, name="keeping"), [sg.freeze("**"), sg.train("d", kernel=sg.channels([0]))])
    tuned.save(tmp_path / "m.keras")
    for model in (tuned, keras.models.load_model(tmp_path / "m.keras")):
        assert [tuple(v.shape) for v in model.trainable_variables] == [(4, 1)]
        seal = sg.seal(model)
        train_steps(model, zoo.sample_inputs(model), steps=2)
        seal.verify(model)
        assert model.kept is model.get_layer("d").kernel
