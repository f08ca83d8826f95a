"""Changing what trains of a live model, in place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from surgeon import _keras
from surgeon.errors import PlanError
from surgeon.partial import Part, repart
from surgeon.planning.applying import forget_functions, parts_of
from surgeon.planning.asks import weight_sites
from surgeon.planning.flags import release, still_layers
from surgeon.planning.making import plan_for_graph
from surgeon.planning.plan import Plan
from surgeon.roundtrip import to_graph
from surgeon.roundtrip.compiling import Stored, carry_slots, fresh_optimizer, stored
from surgeon.scoring import Scorer


def adjust(model: Any, rules: Any, *, data: Any = None) -> Plan:
    """Change what trains of a live model, in place: between two calls of `fit`, or from a callback.

    No value of a weight changes. The optimizer goes on with what it remembers of every element that goes on
    training; of what begins to train it remembers nothing. `rewrite` is the same for a copy of the model.

    Args:
        model: A built functional or Sequential model, rewritten before or not.
        rules: `freeze` and `train` rules, which start from what trains now.
        data: What criteria look at that bring no data of their own; anything that `fit` takes.

    Returns:
        The plan that was carried out.

    Raises:
        RuleError: If a rule makes no sense; a `NoMatchError` if it matches nothing.
        PlanError: If a rule changes the layers.
        CopyError: If the optimizer cannot be made from its own config.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> adjust(model, surgeon.freeze("d", "kernel")).trainable_after
        2
    """
    graph, scorer = to_graph(model), Scorer(model, data)
    plan = plan_for_graph(graph, rules, scorer)
    if plan.journal or plan.adapters:
        raise PlanError("the layers of a live model cannot be changed: use rewrite, which makes a new model")
    weights, still = weight_sites(graph), still_layers(plan, graph)
    parts = parts_of(plan, graph, weights, still, scorer)
    train_parts(model, parts, still, [path for path in plan.asks if not parts[path].is_none])
    return plan


def train_parts(model: Any, parts: dict[str, Part], still: frozenset[str], wanted: list[str]) -> None:
    """Let these parts of a live model train, and let its optimizer go on.

    Args:
        model: The model.
        parts: What trains of each weight, by path.
        still: Paths of all layers whose state holds still.
        wanted: Paths of the weights whose flags must not keep them from training.
    """
    optimizer = getattr(model, "optimizer", None)
    built = optimizer is not None and optimizer.built
    fresh = fresh_optimizer(optimizer) if built else None
    before: Stored = stored(model) if built else {}
    seen = [id(variable) for variable in model.trainable_variables]
    replaced = repart(model, parts, still)
    release(model, wanted)
    replaced |= seen != [id(variable) for variable in model.trainable_variables]
    if fresh is not None:
        _go_on(model, fresh, before, replaced=replaced)
    if replaced:
        trace_anew(model)


def _go_on(model: Any, fresh: Any, before: Stored, *, replaced: bool) -> None:
    """Give a model an optimizer that remembers what the old one did of all that goes on training."""
    fresh.build(model.trainable_variables)
    carry_slots(model.optimizer, before, fresh, stored(model))
    if replaced:
        model.optimizer = fresh
        return
    for old, new in zip(model.optimizer.variables, fresh.variables, strict=True):
        old.assign(np.array(keras.ops.convert_to_numpy(new)))


def trace_anew(model: Any) -> None:
    """Let a model trace anew what it does in a step, in the midst of a `fit` too."""
    was_fitting = model.train_function is not None
    forget_functions(model)
    _keras.forget_traces()
    if was_fitting:
        model.make_train_function()
