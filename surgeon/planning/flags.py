"""Trainable flags: whose state holds still, and what must be released so that it trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from surgeon import _keras, paths
from surgeon.graph import ModelGraph
from surgeon.partial import Part, PartialVariable
from surgeon.partial.layer import SPLIT, STILL
from surgeon.planning.asks import WeightSite
from surgeon.planning.plan import Plan
from surgeon.roundtrip import sites


def still_layers(plan: Plan, graph: ModelGraph) -> frozenset[str]:
    """Return the layers whose state holds still once the plan is carried out.

    A layer that was frozen by Keras's own flag held its state, too; training some of its
    weights does not change that.
    """
    still = {path for path, holds in plan.still.items() if holds}
    released = {path for path, holds in plan.still.items() if not holds}
    spoken = {path.rpartition("/")[0] for path in plan.asks}
    for site in sites(graph):
        if site.path in plan.still or not hasattr(site.op, "trainable"):
            continue
        held = bool(vars(site.op).get(STILL)) or (site.path in spoken and not _keras.trainable_flag(site.op))
        if held and site.path not in released:
            still.add(site.path)
    return frozenset(still)


def split_layers(graph: ModelGraph, parts: Mapping[str, Part]) -> frozenset[str]:
    """Return the layers that compute with their frozen and their trainable part one by one, and go on so.

    Args:
        graph: Graph of the source model.
        parts: What will train, by the weight's path.
    """
    partial = {path.rpartition("/")[0] for path in parts}
    return frozenset(site.path for site in sites(graph) if site.path in partial and vars(site.op).get(SPLIT))


def loosened(wanted: Iterable[str], graph: ModelGraph, weights: Mapping[str, WeightSite]) -> set[str]:
    """Return the weights that a flag holds frozen which must go so that the wanted ones train.

    They would train too, or come loose on the next save and load: flags of variables are not saved.

    Args:
        wanted: Paths of the weights that shall train.
        graph: Graph of the source model.
        weights: Its weights by path.
    """
    layers = {"": graph.model, **dict(paths.walk(graph.model))}
    flagged = {
        owner
        for path in wanted
        for owner in _owners(path)
        if owner in layers and not _keras.trainable_flag(layers[owner])
    }
    return {
        path
        for path, site in weights.items()
        if site.weight.role == "parameter"
        and not site.weight.trainable
        and any(owner in flagged for owner in _owners(path))
    }


def able_to_train(model: Any, new: Iterable[str]) -> list[str]:
    """Return the weights of new layers that train as far as their own flags say.

    Args:
        model: The rewritten model, whose flags may say otherwise.
        new: Paths of the new layers.
    """
    layers, heads = dict(paths.walk(model)), set(new)

    def own(path: str) -> list[str]:
        owners = _owners(path)[1:]
        first = next((number for number, owner in enumerate(owners) if owner in heads), len(owners))
        return owners[first:]

    return [
        full
        for path, name, _, variable in paths.weights(model)
        if own(full := paths.join(path, name))
        and stored(variable).trainable
        and all(_keras.trainable_flag(layers[owner]) for owner in own(full) if owner in layers)
    ]


def release(model: Any, weights: Iterable[str]) -> None:
    """Set every flag that would keep these weights from training, and no other.

    Args:
        model: The rewritten model.
        weights: Paths of the weights that shall train, in part or as a whole.
    """
    wanted = set(weights)
    if not wanted:
        return
    layers = {"": model, **dict(paths.walk(model))}
    # Not `paths.weights`, which names a variable that several layers own after one of them.
    owned = {path: paths.own_weights(layers[path]) for path in {path.rpartition("/")[0] for path in wanted}}
    for path in wanted:
        for layer_path in _owners(path):
            if layer_path in layers:
                _keras.set_trainable_flag(layers[layer_path], True)
                state = getattr(layers[layer_path], paths.STATE, None)
                if state is not None:
                    _keras.set_trainable_flag(state, True)
        where, _, name = path.rpartition("/")
        stored(owned[where][name]).trainable = True


def stored(variable: Any) -> Any:
    """Return the variable that an optimizer would see for a weight."""
    return (
        variable.compact
        if isinstance(variable, PartialVariable) and variable.compact is not None
        else variable
    )


def _owners(weight: str) -> list[str]:
    parts = weight.split("/")[:-1]
    return ["", *("/".join(parts[:count]) for count in range(1, len(parts) + 1))]
