"""What rules ask of one weight, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import keras
import numpy as np

from surgeon import _keras, paths
from surgeon.errors import SelectionError
from surgeon.graph import ModelGraph, Node, Weight
from surgeon.partial import Part, PartialVariable
from surgeon.roundtrip import sites
from surgeon.select import Axes, Selection, along, axes_of, elements


@dataclass(frozen=True)
class Ask:
    """One rule's word on one weight.

    Attributes:
        verb: `"freeze"` or `"train"`.
        selection: The part that is meant; `None` for all of it.
        rule: The rule, as it was typed.
        pool: Paths of the weights that share the selection's budget, this one among them; empty
            where each weight has its own.
        number: Which of the rules it was.
    """

    verb: Literal["freeze", "train"]
    selection: Selection | None
    rule: str
    pool: tuple[str, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class WeightSite:
    """One weight of a live model.

    Attributes:
        layer: Path of the layer that owns it.
        name: Its name in that layer.
        weight: Its description.
        axes: Where its channels and rows lie.
        variable: The live variable.
        is_new: Whether a rule put its layer here.
        held: What trains of it, where its layer was made anew out of one that was partly frozen.
    """

    layer: str
    name: str
    weight: Weight
    axes: Axes
    variable: Any
    is_new: bool = False
    held: Part | None = None

    @property
    def path(self) -> str:
        """Path of the weight from the outermost model."""
        return paths.join(self.layer, self.name)

    @property
    def current(self) -> Part:
        """What trains of it now."""
        shape = self.weight.shape
        if self.held is not None:
            return self.held
        if isinstance(self.variable, PartialVariable):
            return self.variable.part if self.weight.trainable else Part.none(shape)
        return Part.all(shape) if self.weight.trainable else Part.none(shape)


def weight_sites(graph: ModelGraph) -> dict[str, WeightSite]:
    """Return every weight of a graph by path; one that is tied into several layers once."""
    if "weights" not in graph.derived:
        graph.derived["weights"] = _weight_sites(graph)
    return dict(graph.derived["weights"])


def _weight_sites(graph: ModelGraph) -> dict[str, WeightSite]:
    found: dict[str, WeightSite] = {}
    seen: set[int] = set()
    for site in sites(graph):
        if not isinstance(site.op, keras.layers.Layer) or site.inner is not None:
            continue
        rows = {weight.path: weight for weight in site.weights}
        for name, variable in paths.own_weights(site.op).items():
            if id(variable) not in seen:
                seen.add(id(variable))
                found_site = _weight_site(site, name, variable, rows)
                found[found_site.path] = found_site
    return found


def other_path(path: str, graph: ModelGraph) -> str | None:
    """Return the path under which a graph lists a weight that a second layer holds; `None` if it has none.

    Args:
        path: A path that leads to it.
        graph: The graph.
    """
    layer, _, name = path.rpartition("/")
    owner = next((site for site in sites(graph) if site.path == layer), None)
    if owner is None or not isinstance(owner.op, keras.layers.Layer):
        return None
    variable = paths.own_weights(owner.op).get(name)
    return next((p for p, site in weight_sites(graph).items() if site.variable is variable), None)


def with_held(weights: dict[str, WeightSite], held: Mapping[str, Part]) -> dict[str, WeightSite]:
    """Return weights of which some are held in part because the layer that they had was.

    Args:
        weights: The weights by path.
        held: What trains of those, by path.
    """
    some = {path: replace(weights[path], held=part) for path, part in held.items() if path in weights}
    return weights | some


def shrunk(ask: Ask, site: WeightSite, positions: Sequence[tuple[int, Sequence[int]]]) -> Ask | None:
    """Return what is asked of a weight once only some positions of it are there; `None` for nothing.

    What a criterion chooses is chosen anew, among those that are there then.

    Args:
        ask: What was asked.
        site: The weight as it was.
        positions: Pairs of an axis and the positions that stay along it.

    Raises:
        SelectionError: If a criterion is to choose more than will be there.
    """
    if ask.selection is None or ask.pool:
        return ask
    if ask.selection.is_chosen:
        shape = list(site.weight.shape)
        for axis, stay in positions:
            shape[axis] = len(stay)
        try:
            ask.selection.size(shape, site.axes, site.path)
        except SelectionError as error:
            raise SelectionError(
                f"{ask.rule}: {error}, once it is pruned: write the prune rule before this one, or a fraction"
            ) from error
        return ask
    chosen = ask.selection.resolve(site.path, site.weight.shape, site.axes, lambda: np.empty(0))
    part = chosen.at(positions)
    if part.is_none:
        return None if ask.verb == "freeze" else replace(ask, verb="freeze", selection=None)
    if part.is_all:
        return replace(ask, selection=None)
    stays = elements(part.to_mask()) if part.axis is None else along(part.axis, part.index)
    return replace(ask, selection=stays)


@cache
def _class_names(cls: type) -> tuple[str, ...]:
    return tuple(base.__name__ for base in cls.__mro__)


def _weight_site(site: Node, name: str, variable: Any, rows: dict[str, Weight]) -> WeightSite:
    weight = rows.get(name) or Weight(name, tuple(variable.shape), _keras.stored_dtype(variable))
    cls: Any = type(site.op)
    classes = _class_names(cls)
    # Reading a config can be slow or fail, and only an equation is ever looked at.
    config = site.config if "EinsumDense" in classes else {}
    return WeightSite(
        site.path, name, weight, axes_of(classes, name, weight.shape, config), variable, site.is_new
    )
