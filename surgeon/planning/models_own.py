"""Weights that belong to a model and to none of its layers (`model.add_weight`): no rule reaches them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from surgeon import _keras, paths
from surgeon.errors import ModelError
from surgeon.graph import ModelGraph, Node
from surgeon.rules import TrainabilityRule
from surgeon.select import World


@dataclass(frozen=True)
class ModelsOwn:
    """A weight that a model owns.

    Attributes:
        model: Path of the model; empty for the outermost.
        name: Name of the weight.
        variable: The weight.
    """

    model: str
    name: str
    variable: Any

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.variable.shape)


def models_own(graph: ModelGraph) -> list[ModelsOwn]:
    """Return the weights that train which the model, or one nested in it, owns besides its layers."""
    found = []
    for path, inner in World(graph).graphs.items():
        if inner.model is None:
            continue
        own = {id(variable) for variable in _keras.own_variables(inner.model)[0]}
        if not own:
            continue
        for _, layer in paths.walk(inner.model):
            own -= {id(variable) for variable in paths.own_weights(layer).values()}
        found += [
            ModelsOwn(path, name, variable)
            for name, variable in paths.own_weights(inner.model).items()
            if id(variable) in own and variable.trainable
        ]
    return found


def check_models_own(
    rule: TrainabilityRule, own: Sequence[ModelsOwn], matched: Sequence[Node], nodes: Sequence[Node]
) -> None:
    """Check that a rule freezes nothing that would train all the same.

    Raises:
        ModelError: If it means such a weight: it matches the nested model that owns it, or everything.
    """
    if not own or rule.verb != "freeze":
        return
    models = {node.path for node in matched if node.inner is not None}
    if {id(node.op) for node in matched} >= {id(node.op) for node in nodes}:
        models.add("")
    meant = [one for one in own if one.model in models and rule.speaks_of(one.name)]
    if meant:
        where = f"the model {meant[0].model!r}" if meant[0].model else "the model"
        names = ", ".join(repr(one.name) for one in meant)
        raise ModelError(
            f"{rule.origin}: {rule}: {where} itself owns {names}, and Surgeon freezes the weights of layers: "
            "let a layer own it, or name what is to be frozen besides: "
            f"freeze({rule.selector}, 'kernel', 'bias')"
        )
