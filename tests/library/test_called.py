"""Ready-made rules are called by their names in plans and messages; where Surgeon wrote them says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keras import layers

import surgeon as sg
from tests import zoo

RULES: dict[str, Callable[[], Any]] = {
    "add_l2(0.01)": lambda: sg.add_l2(0.01),
    "add_l2(0.01, isa('Dense'))": lambda: sg.add_l2(0.01, sg.isa("Dense")),
    "change_activation('relu', 'gelu', 'hidden')": lambda: sg.change_activation("relu", "gelu", "hidden"),
    "dropout_after('hidden', 0.5, seed=3)": lambda: sg.dropout_after("hidden", 0.5, seed=3),
    "fold_batch_norm()": sg.fold_batch_norm,
    "new_head(<Dense 'new'>)": lambda: sg.new_head(layers.Dense(3, name="new")),
    "new_head([<Dropout 'drop'>, <Dense 'new'>])": lambda: sg.new_head(
        [layers.Dropout(0.5, name="drop"), layers.Dense(3, name="new")]
    ),
    "to_average_pooling()": sg.to_average_pooling,
    "to_group_norm(groups=2)": lambda: sg.to_group_norm(groups=2),
    "freeze(isa('BatchNormalization') & name('**'))": sg.freeze_batch_norm,
}


@pytest.mark.parametrize("name", RULES)
def test_by_their_names(name):
    plan = sg.plan(zoo.cnn(), RULES[name]())
    assert str(plan).startswith(f"1. {name}\n")
    assert ".py" not in str(plan)
    assert all(change.rule == name for change in plan.journal)
    assert "test_called.py" in plan.outcomes[0].origin


def test_where_they_match_nothing():
    with pytest.raises(sg.NoMatchError, match=r"test_called.py:\d+: strip_training_only\(\): ") as raised:
        sg.plan(zoo.cnn(), sg.strip_training_only())
    assert "surgeon/library" not in str(raised.value)


def test_a_function_of_the_user_is_still_said_with_its_line():
    rule = sg.new_head(lambda match: layers.Dense(3, name="new"))
    assert "new_head(lambda at " in str(rule)
    assert "test_called.py:" in str(rule)
