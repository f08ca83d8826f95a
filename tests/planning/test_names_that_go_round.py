"""One rule that renames or takes apart many layers, whose paths and names depend on one another."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import assert_same_outputs, to_numpy

X = np.ones((2, 4), "float32")


def row():
    """Return four layers in a row, `d_0` to `d_3`, each with its number as bias."""
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=f"d_{n}") for n in range(4))])
    for number, layer in enumerate(model.layers):
        layer.bias.assign([number] * 4)
    return model


def nested():
    """Return a model in a model in a model."""
    inner, middle, outer = (keras.Input((4,)) for _ in range(3))
    inner = keras.Model(inner, layers.Dense(4, name="a")(inner), name="inner")
    middle = keras.Model(middle, layers.Dense(3, name="t")(inner(middle)), name="middle")
    return keras.Model(outer, middle(outer))


MOVES = {"up": lambda n: n + 1, "down": lambda n: n - 1 if n else 9, "round": lambda n: (n + 1) % 4}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_names_that_others_have_still(move):
    model = row()
    rename = sg.rename("d_*", lambda node: f"d_{move(int(node.name[2:]))}")
    plan = sg.plan(model, [sg.freeze("d_1"), sg.train("d_2", kernel=sg.channels([0])), rename])
    for made in (plan.apply(model), sg.Plan.from_json(plan.to_json()).apply(model)):
        assert [layer.name for layer in made.layers] == [f"d_{move(n)}" for n in range(4)]
        assert [int(to_numpy(layer.bias)[0]) for layer in made.layers] == [0, 1, 2, 3]
        trained = {v.path.split("/", 1)[1] for v in made.trainable_variables}
        assert not any(path.startswith(f"d_{move(1)}/") for path in trained)
        assert f"d_{move(2)}/kernel_trainable" in trained
        assert_same_outputs(model(X), made(X))


def test_a_name_that_stays_anothers_is_refused():
    for rule in (
        sg.rename("d_1", "d_2"),
        sg.rename("d_*", lambda node: "d_2" if node.name == "d_1" else None),
        sg.rename("d_*", lambda node: "d_2" if node.name == "d_1" else node.name),
    ):
        with pytest.raises(sg.GraphError, match=r"2 layers of .* would have the name 'd_2'"):
            sg.plan(row(), rule)


def test_models_and_what_is_inside_of_them_by_one_rule():
    model = nested()
    rules = [sg.freeze("middle/inner/a"), sg.rename("**", lambda node: f"new_{node.name}")]
    plan = sg.plan(model, rules)
    for made in (plan.apply(model), sg.Plan.from_json(plan.to_json()).apply(model)):
        inner = made.get_layer("new_middle").get_layer("new_inner")
        assert not inner.get_layer("new_a").trainable_variables
        assert len(made.trainable_variables) == 2
        assert_same_outputs(model(X), made(X))


def test_models_in_models_taken_apart_by_one_rule():
    model = nested()
    made = sg.rewrite(model, [sg.freeze("middle/inner/a"), sg.inline(sg.isa("Functional"))])
    assert [layer.name for layer in made.layers][1:] == ["a", "t"]
    assert [v.path for v in made.trainable_variables] == ["t/kernel", "t/bias"]
    assert_same_outputs(model(X), made(X))
