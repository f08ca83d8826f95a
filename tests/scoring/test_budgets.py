"""Every criterion under every budget: what is chosen, and which of equal scores come first."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.planning.asks import weight_sites
from surgeon.scoring import Scorer
from surgeon.select import Axes
from surgeon.select.criteria import random_scores
from tests.helpers import to_numpy
from tests.zoo import jitter

X = np.random.default_rng(2).normal(size=(8, 4)).astype("float32")
Y = np.random.default_rng(4).normal(size=(8, 4)).astype("float32")
BY: dict[str, Any] = {
    "magnitude": lambda x, y: "magnitude",
    "random": lambda x, y: "random",
    "fisher": lambda x, y: sg.fisher((x, y), verbose=0),
    "gradient": lambda x, y: sg.gradient((x, y), verbose=0),
    "snip": lambda x, y: sg.snip((x, y), verbose=0),
    "movement": lambda x, y: sg.movement((x, y), verbose=0),
    "relative_gradient_norm": lambda x, y: sg.relative_gradient_norm((x, y), verbose=0),
    "activation": lambda x, y: sg.activation(x, verbose=0),
}
GROUPS: dict[Any, list[list[str]]] = {
    "weight": [["a/kernel"], ["a/bias"], ["b/kernel"], ["b/bias"]],
    "layer": [["a/kernel", "a/bias"], ["b/kernel", "b/bias"]],
    "model": [["a/kernel", "a/bias", "b/kernel", "b/bias"]],
}
"""The weights that share a budget, in the order in which the model has them."""


def model_of(**options):
    """Return two layers of one size side by side, whose sum is the output."""
    start = keras.Input((4,))
    both = [layers.Dense(4, name=name, **options)(start) for name in "ab"]
    model = keras.Model(start, layers.Add()(both))
    model.compile("sgd", "mse")
    return model


def chosen(model, selection):
    """Return which positions train of each weight: channels for `channels`, else elements in C order."""
    tuned = sg.rewrite(model, [sg.freeze("**"), sg.train("**", kernel=selection, bias=selection)])
    found = {}
    for path in GROUPS["model"][0]:
        layer, name = path.split("/")
        variable = getattr(tuned.get_layer(layer), name)
        mask = variable.part.to_mask() if hasattr(variable, "part") else np.full(variable.shape, True)
        assert selection.kind == "elements" or (mask == mask.reshape(-1, mask.shape[-1])[0]).all()
        found[path] = (
            mask.reshape(-1) if selection.kind == "elements" else mask.reshape(-1, mask.shape[-1])[0]
        )
    return found


def scores_of(model, by, kind):
    """Return the score of each position of each weight, by definition."""
    scorer, found = Scorer(model), {}
    axes = {
        path: Axes(len(site.weight.shape) - 1, None)
        for path, site in weight_sites(sg.to_graph(model)).items()
    }
    for path in GROUPS["model"][0]:
        layer, name = path.split("/")
        value = to_numpy(getattr(model.get_layer(layer), name)).astype("float64")
        if by == "random":
            size = value.size if kind == "elements" else value.shape[-1]
            found[path] = random_scores(0, path, size)
        elif by == "magnitude":
            found[path] = np.abs(value).reshape(-1)
        else:
            scores = scorer.scores(by, path, axes)
            channels = scores.reshape(-1, scores.shape[-1]).sum(0)
            found[path] = scores.reshape(-1) if kind == "elements" else channels
    return found


@pytest.mark.parametrize("name", BY)
def test_the_best_of_what_shares_a_budget_are_chosen_and_of_equals_the_first(name):
    model, by = jitter(model_of()), BY[name](X, Y)
    kind = sg.channels if name == "activation" else sg.elements
    scores = scores_of(model, by, kind.__name__)
    for over, groups in GROUPS.items():
        found = chosen(model, kind(0.3, by=by, over=over))
        for group in groups:
            together = np.concatenate([scores[path] for path in group])
            # A stable sort: of equal scores the one that comes first, layer by layer, in C order.
            best = np.argsort(-together.astype("float64"), kind="stable")[: int(0.3 * len(together) + 0.5)]
            expected = np.isin(np.arange(len(together)), best)
            mask = np.concatenate([found[path] for path in group])
            assert mask.tolist() == expected.tolist(), (over, group)


@pytest.mark.parametrize("name", sorted({*BY} - {"random"}))
def test_where_all_scores_are_equal_the_first_positions_train(name):
    """Powers of two everywhere, so that no sum is rounded."""
    model = model_of(
        kernel_initializer=keras.initializers.Constant(0.5), bias_initializer=keras.initializers.Constant(0.5)
    )
    by = BY[name](np.ones((8, 4), "float32"), np.ones((8, 4), "float32"))
    kind = sg.channels if name == "activation" else sg.elements
    scores = scores_of(model, by, kind.__name__)
    assert len({score for some in scores.values() for score in some.tolist()}) == 1, (
        "not equal: this proves nothing"
    )
    for over, groups in GROUPS.items():
        found = chosen(model, kind(0.5, by=by, over=over))
        for group in groups:
            mask = np.concatenate([found[path] for path in group])
            assert mask.tolist() == (np.arange(len(mask)) < len(mask) // 2).tolist(), (over, group)
