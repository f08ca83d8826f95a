"""Schedules that people use, as lists of phases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from surgeon.errors import RuleError
from surgeon.rules import freeze, train
from surgeon.schedules.schedule import Phase, Schedule
from surgeon.select import Selector, as_selector, elements
from surgeon.select.choosing import By
from surgeon.select.criteria import largest, random_scores

Which = Selector | str


def gradual_unfreezing(groups: Sequence[Which], *, epochs: int = 1) -> Schedule:
    """Train one group of layers more in each phase, beginning with the first.

    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (ULMFiT, 2018,
    arXiv:1801.06146): from the last layer to the first, so put the head first.

    Args:
        groups: Selectors, the head first.
        epochs: How many epochs each phase lasts.

    Raises:
        RuleError: If there are no groups, or they are no list.

    Example:
        >>> print(gradual_unfreezing(["head", "block_2_*"], epochs=2))
        2 × [freeze('**'), train('head')]
        2 × [train('block_2_*')]
    """
    _check_list("gradual_unfreezing", groups)
    phases = [Phase(train(group), epochs) for group in groups]
    return Schedule([Phase([freeze("**"), *phase.rules], epochs) for phase in phases[:1]] + phases[1:])


def layer_sampling(
    layers: Sequence[Which],
    *,
    count: int,
    phases: int,
    always: Sequence[Which] = (),
    epochs: int = 1,
    seed: int = 0,
) -> Schedule:
    """Train some layers at a time, drawn anew for each phase, and a few layers always.

    Pan et al., "LISA: Layerwise Importance Sampling for Memory-Efficient Large Language Model Fine-Tuning"
    (2024, arXiv:2403.17919), where `always` is the embedding and the head. The draw is uniform,
    as there, and the same on every machine.

    Args:
        layers: Selectors of what is drawn from, each as one: a glob is a group that trains together.
        count: How many of these train in a phase.
        phases: How many phases.
        always: Selectors of what trains in all of them.
        epochs: How many epochs each phase lasts.
        seed: Another seed, another draw.

    Raises:
        RuleError: If the count does not fit, or leaves nothing to draw.

    Example:
        >>> print(layer_sampling(["a", "b", "c"], count=1, phases=2, always=["head"]))
        1 × [freeze('**'), train('head'), train('a')]
        1 × [freeze('**'), train('head'), train('c')]
    """
    _check_list("layer_sampling", layers)
    _check_list("layer_sampling: always", always)
    if len(layers) == count > 0:
        raise RuleError(
            f"layer_sampling(...): count={count} of {count} is no draw: each entry of the list, also a glob, "
            "is drawn as one, so name the layers or blocks one by one, such as ['block_1_*', 'block_2_*']"
        )
    if not 1 <= count <= len(layers):
        raise RuleError(
            f"layer_sampling(...): count is from 1 to {len(layers)}, the number of layers, not {count}"
        )
    selectors = [as_selector(layer) for layer in layers]
    made = []
    for number in range(phases):
        drawn = largest(random_scores(seed, f"phase {number}", len(layers)), count)
        rules = [*map(train, always), *(train(selectors[at]) for at in drawn)]
        made.append(Phase([freeze("**"), *rules], epochs))
    return Schedule(made)


def budget_growth(
    selector: Which,
    *weights: str,
    amounts: Sequence[float],
    by: By,
    over: Any = "model",
    epochs: int = 1,
) -> Schedule:
    """Train few single elements at first, and more in each phase; what trains goes on training.

    Args:
        selector: Which layers.
        *weights: Names of the weights; the others are frozen.
        amounts: For each phase, the fraction or count of the elements.
        by: A criterion; it is asked anew in each phase.
        over: What the amount is of: each `"weight"`, each `"layer"`, or the `"model"`.
        epochs: How many epochs each phase lasts.

    Raises:
        RuleError: If an argument makes no sense, or an amount is less than the one before it.

    Example:
        >>> print(budget_growth("**", "kernel", amounts=[0.01, 0.02], by="magnitude", over="weight"))
        1 × [freeze('**'), train('**', kernel=elements(0.01, by='magnitude'))]
        1 × [train('**', kernel=elements(0.02, by='magnitude', keep=1.0))]
    """
    amounts = amounts.tolist() if isinstance(amounts, np.ndarray) else amounts
    if isinstance(amounts, str) or not isinstance(amounts, Sequence):
        raise RuleError(f"budget_growth(...): amounts is a list, one for each phase, not {amounts!r}")
    for one, two in itertools.pairwise(amounts):
        if isinstance(one, int) == isinstance(two, int) and two < one:
            raise RuleError(
                f"budget_growth(...): what trains goes on training, so {two} cannot follow on {one}: "
                f"write amounts={sorted(amounts)}, or a Schedule of your own"
            )
    parts = [elements(a, by=by, over=over, keep=1.0 if n else None) for n, a in enumerate(amounts)]
    return _of_parts(selector, weights, parts, epochs)


def regrowth(
    selector: Which,
    *weights: str,
    amount: float,
    phases: int,
    by: By,
    drop: float = 0.3,
    over: Any = "model",
    epochs: int = 1,
) -> Schedule:
    """Exchange a part of what trains in each phase: what moved least for what the criterion puts first.

    Mocanu et al. (SET, 2018, arXiv:1707.04780) with `by="random"`; Evci et al., "Rigging the Lottery" (RigL,
    2020, arXiv:1911.11134) with `by=gradient(data)`. That what moved least goes, and keeps its trained value,
    follows Ansell et al. (SpIEL, 2024, arXiv:2401.16405).

    Args:
        selector: Which layers.
        *weights: Names of the weights; the others are frozen.
        amount: The fraction or count of the elements that trains in every phase.
        phases: How many phases.
        by: A criterion; it is asked anew in each phase.
        drop: The fraction of what trains that is exchanged.
        over: What the amount is of: each `"weight"`, each `"layer"`, or the `"model"`.
        epochs: How many epochs each phase lasts.

    Raises:
        RuleError: If an argument makes no sense.

    Example:
        >>> print(regrowth("**", "kernel", amount=0.01, phases=2, by="random", over="weight"))
        1 × [freeze('**'), train('**', kernel=elements(0.01, by='random', seed=0))]
        1 × [train('**', kernel=elements(0.01, by='random', seed=1, keep=0.7))]
    """
    if not 0 < drop <= 1:
        raise RuleError(f"regrowth(...): drop is a fraction above 0 and at most 1, not {drop!r}")
    parts = [
        elements(
            amount,
            by=by,
            over=over,
            seed=number if by == "random" else None,
            keep=round(1 - drop, 9) if number else None,
        )
        for number in range(phases)
    ]
    return _of_parts(selector, weights, parts, epochs)


def _check_list(what: str, given: Any) -> None:
    """Refuse a text, of which each letter would be a layer, and what is no list at all."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise RuleError(f"{what}: the layers are a list, such as [{given!r}], not {given!r}")


def _of_parts(selector: Which, weights: Sequence[str], parts: Sequence[Any], epochs: int) -> Schedule:
    if not weights:
        raise RuleError(f"say of which weights a part is meant: ({selector!r}, 'kernel', ...)")
    rules = [train(selector, **dict.fromkeys(weights, part)) for part in parts]
    first = [freeze("**")]
    return Schedule([Phase([*(first if not n else ()), rule], epochs) for n, rule in enumerate(rules)])
