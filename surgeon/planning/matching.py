"""Which layers and weights a rule means, before anything is asked of their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from surgeon import paths
from surgeon.errors import NoMatchError, RuleError, WeightNameError, near_misses
from surgeon.graph import Node
from surgeon.planning.asks import WeightSite
from surgeon.rules import LoraRule, TrainabilityRule
from surgeon.select import World


def find_layers(rule: TrainabilityRule | LoraRule, nodes: list[Node], world: World) -> list[Node]:
    """Return what the selector of a rule matches.

    Raises:
        NoMatchError: If that is nothing; names near misses.
    """
    try:
        return list(rule.selector.resolved(world).find(nodes))
    except RuleError as error:
        raise type(error)(f"{rule.origin}: {rule}: {error}") from error


def what_it_means(
    rule: TrainabilityRule, nodes: list[Node], world: World, weights: Iterable[WeightSite]
) -> tuple[list[Node], list[WeightSite]]:
    """Return the layers that a rule matches, and the weights in them that it speaks of.

    Raises:
        NoMatchError: If it matches nothing, or nothing with weights.
        WeightNameError: If a named weight is in none of the matched layers.
    """
    matched = find_layers(rule, nodes, world)
    reached = {id(variable) for node in matched for variable in variables_of(node)}
    covered = [weight for weight in weights if id(weight.variable) in reached]
    if not covered:
        some = ", ".join(node.path for node in matched[:3])
        raise NoMatchError(f"{rule.origin}: {rule} matches only layers without weights: {some}")
    known = sorted({weight.name for weight in covered})
    for name in [*rule.weights, *rule.selections]:
        if name not in known:
            close = near_misses(name, known)
            raise WeightNameError(
                f"{rule.origin}: {rule}: none of the matched layers has a weight {name!r}{close}; "
                f"they have: {', '.join(known)}{_elsewhere(rule, name, nodes, covered)}"
            )
    return matched, [weight for weight in covered if rule.speaks_of(weight.name)]


def _elsewhere(
    rule: TrainabilityRule | LoraRule, name: str, nodes: list[Node], covered: list[WeightSite]
) -> str:
    """Return what was meant, if a name is that of a layer, or of a weight with the path to it."""
    verb = getattr(rule, "verb", "freeze")
    inner, _, own = name.rpartition("/")
    within = [site.layer for site in covered if inner and site.name == own and _ends(site.layer, inner)]
    if within:
        return f". Write {verb}({within[0]!r}, {own!r})"
    layers = [
        site.layer for site in covered if _ends(site.layer, name) or _ends(site.layer, f"_{name}_dense")
    ]
    if layers:
        part = getattr(rule, "selections", {}).get(name)
        which = "" if part is None else f", kernel={part}"
        return f". {layers[0]!r} is a layer: write {verb}({layers[0]!r}{which})"
    if any(node.path == name for node in nodes):
        return f". {name!r} is a layer: combine selectors with |, or write a rule for each"
    return ""


def _ends(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")


def variables_of(node: Node) -> list[Any]:
    """Return the weights of a layer and of all that is inside of it, tied and shared ones included."""
    if not isinstance(node.op, keras.layers.Layer):
        return []
    return [variable for _, _, _, variable in paths.weights(node.op)]
