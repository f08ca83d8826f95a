"""Finding out whether rules fit a model long before they are carried out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from surgeon.errors import RuleError
from surgeon.planning.asks import weight_sites
from surgeon.planning.matching import what_it_means
from surgeon.planning.models_own import check_models_own, models_own
from surgeon.roundtrip import sites, to_graph
from surgeon.rules import TrainabilityRule
from surgeon.select import Selector, World
from surgeon.select.leaves import Where


def check_rules(model: Any, rules: Iterable[TrainabilityRule]) -> None:
    """Check that rules fit a model, as far as layers, names and shapes say.

    Nothing is carried out, and neither values nor data are looked at. A predicate of `where` may look
    at what trains, which is another thing by the time when its rule is carried out: it is not asked.

    Args:
        model: A built functional or Sequential model.
        rules: `freeze` and `train` rules.

    Raises:
        NoMatchError: If a rule matches nothing; names near misses.
        WeightNameError: If a named weight is in none of the matched layers.
        SelectionError: If a selection does not fit a weight.
        ModelError: If a rule means a weight that a model owns itself.
    """
    graph = to_graph(model)
    nodes, weights = sites(graph), weight_sites(graph).values()
    world, own = World(graph, nodes), models_own(graph)
    for rule in rules:
        if asks_a_predicate(rule.selector):
            continue
        matched, spoken = what_it_means(rule, nodes, world, weights)
        check_models_own(rule, own, matched, nodes)
        for site in spoken:
            selection = rule.selections.get(site.name)
            if selection is not None and selection.over == "weight":
                try:
                    selection.size(site.weight.shape, site.axes, site.path)
                except RuleError as error:
                    raise type(error)(f"{rule.origin}: {rule}: {error}") from error


def asks_a_predicate(value: Any) -> bool:
    """Whether a selector, or one that it is made of, asks a function of the caller's own."""
    if isinstance(value, Selector) and not type(value).__module__.startswith("surgeon.select."):
        return True  # a selector of the caller's own may look at anything
    if isinstance(value, Where):
        return True
    if isinstance(value, list | tuple):
        return any(map(asks_a_predicate, value))
    if dataclasses.is_dataclass(value):
        return any(asks_a_predicate(getattr(value, field.name)) for field in dataclasses.fields(value))
    return False
