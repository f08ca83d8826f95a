"""One budget for several weights, and budgets that look at what trains already."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy, train_steps


def wholes_of(model):
    """Kernels and biases of the layers of a model, by path."""
    return {
        f"{layer.name}/{name}": getattr(layer, name)
        for layer in model.layers
        for name in ("kernel", "bias")
        if hasattr(layer, name)
    }


def parts(model):
    """Which elements of each weight train, by path."""
    found = wholes_of(model).items()
    return {path: v.part.to_mask() if hasattr(v, "part") else np.full(v.shape, True) for path, v in found}


@pytest.mark.parametrize("over", ["layer", "model"])
def test_weights_under_one_budget_are_ranked_together(over):
    model = zoo.mlp()
    share = sg.elements(0.1, by="magnitude", over=over)
    plan = sg.plan(model, [sg.freeze("**"), sg.train("**", kernel=share, bias=share)])
    masks = parts(plan.apply(model))
    wholes = {path: np.abs(to_numpy(v)) for path, v in wholes_of(model).items()}
    groups = [[p for p in wholes if p.startswith(n)] for n in ("dense_1", "dense_2", "head")]
    for group in [list(wholes)] if over == "model" else groups:
        values = np.concatenate([wholes[path].reshape(-1) for path in group])
        mask = np.concatenate([masks[path].reshape(-1) for path in group])
        assert mask.sum() == np.floor(0.1 * len(values) + 0.5)
        assert values[mask].min() >= values[~mask].max()
    assert plan.trainable_after == sum(mask.sum() for mask in masks.values())
    again = sg.Plan.from_json(plan.to_json()).apply(model)
    assert all((mask == masks[path]).all() for path, mask in parts(again).items())


def test_the_rules_before_and_after_a_shared_budget_hold():
    model = zoo.mlp()
    share = sg.channels(0.5, by="magnitude", over="model")
    rules = [
        sg.freeze("**"),
        sg.train("dense_?", kernel=share),
        sg.train("head"),
        sg.freeze("dense_1", "kernel"),
    ]
    masks = parts(sg.rewrite(model, rules))
    assert not masks["dense_1/kernel"].any()
    assert masks["head/kernel"].all()
    alone = parts(sg.rewrite(model, rules[:2]))
    assert (alone["dense_2/kernel"] == masks["dense_2/kernel"]).all()
    assert alone["dense_1/kernel"][0].sum() + alone["dense_2/kernel"][0].sum() == 8


def test_of_equal_scores_the_first_are_taken():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, kernel_initializer="ones", name="d")])
    mask = parts(sg.rewrite(model, sg.train("d", kernel=sg.elements(6, by="magnitude", over="model"))))[
        "d/kernel"
    ]
    assert np.flatnonzero(mask).tolist() == [0, 1, 2, 3, 4, 5]


def trained():
    model = sg.rewrite(zoo.mlp(), [sg.freeze("**"), sg.train("dense_1", kernel=sg.elements(12, by="random"))])
    train_steps(model, zoo.sample_inputs(model, 8), steps=3)
    return model


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.0])
def test_what_moved_most_goes_on_training(keep):
    model = trained()
    kernel = model.get_layer("dense_1").kernel
    before = kernel.part
    moved = np.abs(
        to_numpy(kernel.compact) - to_numpy(zoo.mlp().get_layer("dense_1").kernel).reshape(-1)[before.index]
    )
    kept = set(before.index[np.argsort(-moved, kind="stable")[: int(12 * keep)]].tolist())
    grown = sg.rewrite(model, sg.train("dense_1", kernel=sg.elements(20, by="magnitude", keep=keep)))
    after = set(grown.get_layer("dense_1").kernel.part.index.tolist())
    assert len(after) == 20
    assert kept <= after
    values = np.abs(to_numpy(kernel)).reshape(-1)
    rest = after - kept
    others = set(range(48)) - after
    assert min(values[list(rest)]) >= max(values[list(others)])


def test_a_budget_can_shrink_to_what_moved_most():
    model = trained()
    before = set(model.get_layer("dense_1").kernel.part.index.tolist())
    small = sg.rewrite(model, sg.train("dense_1", kernel=sg.elements(5, by="magnitude", keep=1.0)))
    after = set(small.get_layer("dense_1").kernel.part.index.tolist())
    assert len(after) == 5
    assert after < before
