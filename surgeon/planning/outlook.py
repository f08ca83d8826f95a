"""What would change of what trains if rules were carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from surgeon.partial import Part
from surgeon.planning.applying import parts_of
from surgeon.planning.asks import weight_sites
from surgeon.planning.checking import asks_a_predicate
from surgeon.planning.flags import still_layers
from surgeon.planning.making import plan_for_graph
from surgeon.roundtrip import to_graph
from surgeon.rules import TrainabilityRule
from surgeon.scoring import Scorer


@dataclass(frozen=True)
class Outlook:
    """What would change of what trains; state that training updates counts, too.

    Attributes:
        freezes: Paths of the weights of which something trains that would freeze.
        trains: Paths of the weights of which something is frozen that would train.
        before: How many parameters train.
        after: How many would.
        size: How many parameters there are.
    """

    freezes: tuple[str, ...]
    trains: tuple[str, ...]
    before: int
    after: int
    size: int


def outlook(
    model: Any, rules: Sequence[TrainabilityRule], *, data: Any = None, choose: bool = True
) -> Outlook:
    """Return what would change if rules were carried out on a live model; see `adjust`.

    Args:
        model: A built functional or Sequential model.
        rules: The rules.
        data: What criteria look at that bring no data of their own.
        choose: Whether to find out which parameters train, too; else only their number, and state.

    Raises:
        RuleError: If a rule does not fit the model.
    """
    graph, scorer = to_graph(model), Scorer(model, data)
    plan = plan_for_graph(graph, rules, scorer)
    weights, still = weight_sites(graph), still_layers(plan, graph)
    held = still_layers(replace(plan, asks={}, still={}), graph)
    then = parts_of(plan, graph, weights, still, scorer) if choose else {}
    freezes, trains = [], []
    for path, site in weights.items():
        is_state = site.weight.role == "state"
        one = site.current if not is_state else _whole(site.weight.shape, trains=site.layer not in held)
        other = _whole(site.weight.shape, trains=site.layer not in still) if is_state else then.get(path, one)
        freezes += [path] * (not (one - other).is_none)
        trains += [path] * (not (other - one).is_none)
    counts = plan.trainable_before, plan.trainable_after, plan.size
    return Outlook(tuple(freezes), tuple(trains), *counts)


def is_known_again(rule: TrainabilityRule) -> bool:
    """Whether a rule means the same whenever it is carried out: neither values nor predicates decide."""
    chosen = (selection.needs_values or selection.looks_back for selection in rule.selections.values())
    return not any(chosen) and not asks_a_predicate(rule.selector)


def _whole(shape: tuple[int, ...], *, trains: bool) -> Part:
    return Part.all(shape) if trains else Part.none(shape)
