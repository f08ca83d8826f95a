"""What single verbs do with blocks, with what their functions return, and with what is no layer."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import surgeon as sg
from tests import zoo


def stack(*made):
    return keras.Sequential([keras.Input((4,), name="x"), *made])


def test_a_block_is_removed_as_a_whole():
    model = stack(layers.Dense(4, name="a"), layers.ReLU(name="r"), layers.Dropout(0.1, name="drop"))
    block = sg.chain(act=sg.isa("ReLU"), drop=sg.isa("Dropout"))
    tuned = sg.rewrite(model, sg.remove(block))
    assert [layer.name for layer in tuned.layers] == ["a"]


def test_a_block_becomes_a_layer_whose_weights_are_computed_from_it():
    model = stack(layers.Dense(4, name="a", use_bias=False), layers.Dense(4, name="b", use_bias=False))

    @sg.rule(sg.chain(a=sg.isa("Dense"), b=sg.isa("Dense")))
    def merged(match):
        return sg.filled(
            layers.Dense(4, use_bias=False, name="ab"),
            lambda first, second: {"kernel": first["kernel"] @ second["kernel"]},
            [match.a, match.b],
        )

    tuned = sg.rewrite(zoo.jitter(model), merged)
    kernels = [layer.kernel.numpy() for layer in (*model.layers, *tuned.layers)]
    assert [layer.name for layer in tuned.layers] == ["ab"]
    assert abs(kernels[0] @ kernels[1] - kernels[2]).max() < 1e-5


@pytest.mark.parametrize(
    "rule",
    [
        sg.insert_after("a", lambda node: None),
        sg.insert_before("a", lambda node: None),
        sg.replace("a", lambda node: None),
        sg.rename("a", lambda node: None),
    ],
    ids=["after", "before", "replace", "rename"],
)
def test_a_function_that_returns_none_leaves_a_layer_as_it_is(rule):
    plan = sg.plan(stack(layers.Dense(4, name="a")), rule)
    assert plan.outcomes[0].skipped == (("a", "the function returned None"),)
    assert not plan.journal


def test_what_is_called_once_is_shared_with_nobody():
    plan = sg.plan(stack(layers.Dense(4, name="a")), sg.unshare("a"))
    assert plan.outcomes[0].skipped == (("a", "it is called once"),)


def test_an_operation_is_duplicated():
    start = keras.Input((4,), name="x")
    model = keras.Model(start, keras.ops.tanh(layers.Dense(4, name="a")(start)))
    name = model.operations[-1].name
    tuned = sg.rewrite(model, sg.duplicate(name))
    kinds = [type(op).__name__ for op in tuned.operations]
    assert kinds.count("Tanh") == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: stack(layers.Dense(4, name="a")), r"this one has no layer 'b'"),
        (
            lambda: stack(layers.Dense(4, name="a"), layers.Dense(5, name="b")),
            r"'b' is Dense with kernel \(4, 5\) .* here and Dense with kernel \(4, 4\)",
        ),
        (
            lambda: stack(layers.Dense(4, name="a"), layers.ReLU(name="b")),
            r"'b' is ReLU with no weights here and Dense with",
        ),
        (
            lambda: stack(*(layers.Dense(4, name=name) for name in "abc")),
            r"the layer 'c' is not in the plan",
        ),
        (
            lambda: stack(*(layers.Dense(4, name=name) for name in "ba")),
            r"the same layers are joined in another way",
        ),
    ],
    ids=["fewer", "shape", "class", "more", "order"],
)
def test_a_plan_says_why_it_is_for_another_model(other, message):
    plan = sg.plan(stack(*(layers.Dense(4, name=name) for name in "ab")), sg.freeze("a"))
    with pytest.raises(sg.PlanError, match=f"the plan was made for another model: {message}"):
        plan.apply(other())
