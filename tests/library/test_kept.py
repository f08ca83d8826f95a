"""Ready-made rules after others: what was frozen stays, what is new trains."""

from __future__ import annotations

import pytest
from keras import layers

import surgeon as sg
from tests import zoo


@pytest.mark.parametrize(
    "rule", [sg.add_l2(1e-3), sg.change_activation("relu", "gelu")], ids=["add_l2", "change_activation"]
)
def test_another_setting_frees_nothing(rule):
    model = zoo.cnn()
    plan = sg.plan(model, [sg.freeze("**"), sg.train("hidden", "bias"), rule])
    assert plan.journal
    assert [variable.path for variable in plan.apply(model).trainable_variables] == ["hidden/bias"]
    frozen = sg.rewrite(model, [sg.freeze("**"), sg.train("hidden", "bias")])
    assert [variable.path for variable in sg.rewrite(frozen, rule).trainable_variables] == ["hidden/bias"]


@pytest.mark.parametrize("name", [None, "predictions", "head"])
@pytest.mark.parametrize(
    "before", [sg.freeze("**"), sg.freeze("*"), sg.freeze("predictions", "kernel")], ids=["**", "*", "kernel"]
)
def test_a_new_head_trains_whatever_it_is_called(before, name):
    model = zoo.cnn()
    tuned = sg.rewrite(model, [before, sg.new_head(layers.Dense(7, name=name))])
    head = tuned.layers[-1]
    assert head.units == 7
    assert {f"{head.name}/kernel", f"{head.name}/bias"} <= {
        variable.path for variable in tuned.trainable_variables
    }
