"""Which layer is the head of a model, and whether it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from surgeon.errors import RuleError
from surgeon.graph import Node, TensorSpec, refs_in
from surgeon.select import Selector, World, last, where
from surgeon.select.relative import Placed, found_by
from surgeon.select.world import Place

POINTWISE = ("Activation", "BatchNormalization", "Dense", "Dropout", "LayerNormalization", "ReLU", "Softmax")
"""Classes that do the same at every position, and leave all positions there."""


def has_weights(node: Node) -> bool:
    """Whether a layer, that is no model, has weights."""
    return bool(node.weights) and node.inner is None


@dataclass(frozen=True, repr=False)
class OldHead(Placed):
    """The last layer with weights, where a new head can take its place.

    Attributes:
        made: The layers of the new head, or nothing if only the match will tell.
    """

    made: Sequence[Any] = field(default=(), compare=False)

    def places(self, world: World) -> set[Place]:
        """Return the calls of the head.

        Raises:
            NoMatchError: If there is no layer with weights.
            RuleError: If the model has no head, or several.
        """
        found = found_by(_LAST, world)
        head = found[-1][1]
        if head.class_name.endswith("Normalization"):
            raise RuleError(f"the last layer with weights is {_shown(head)}: {_put_one(_outputs(world))}")
        self._check_alone(found, world)
        self._check_kind(found, world)
        return {place for place, _ in found}

    def _check_alone(self, found: Sequence[tuple[Place, Node]], world: World) -> None:
        """Refuse a head that is called several times, and one beside which others put out something."""
        if len(found) > 1:
            path = found[-1][1].path
            raise RuleError(
                f"the last layer with weights, {_shown(found[-1][1])}, is called {len(found)} times: "
                f"replace({path!r}, keras.layers.Dense(10, name='head')) replaces it in all its calls"
            )
        places = {place for place, _ in found}
        before = world.stream(places, up=True) | places
        beside = [node.path for place, node in world if place not in before and _is_trained(node)]
        if beside:
            heads = [*dict.fromkeys(beside), found[-1][1].path]
            raise RuleError(
                f"this model has {len(heads)} heads, none of which reads another: "
                f"{', '.join(map(repr, heads[:5]))}{', ...' if len(heads) > 5 else ''}. Say which one goes: "
                f"replace({heads[-1]!r}, keras.layers.Dense(10, name='head'))"
            )

    def _check_kind(self, found: Sequence[tuple[Place, Node]], world: World) -> None:
        """Refuse the last layer of a backbone, which something else should follow."""
        head, ends = found[-1][1], _outputs(world)
        after = world.stream([place for place, _ in found], up=False)
        pools = [node for place, node in world if place in after and node.class_name.startswith("MaxPooling")]
        if "Conv" in head.class_name and pools:
            raise RuleError(
                f"the last layer with weights is {_shown(head)}, and {_shown(pools[0])} follows: "
                f"{_put_one(ends)}"
            )
        if not self.made or any(type(layer).__name__ not in POINTWISE for layer in self.made):
            return
        if "Conv" in head.class_name and any(_has_places(end) for end in ends):
            raise RuleError(
                f"the last layer with weights is {_shown(head)}, and with a Dense in its place the model "
                f"would still answer for each position. If that is wanted, give a convolution, such as "
                f"keras.layers.{head.class_name}(10, 1, name='head'); else {_put_one(ends)}"
            )
        reads = {len(spec.shape) for spec in _read_by(found[-1], world)}
        if min(reads, default=0) > len(head.outputs[0].shape):
            raise RuleError(
                f"the last layer with weights is {_shown(head)}, which makes one vector of a sequence as no "
                f"Dense does: {_put_one(ends)}"
            )

    def to_data(self) -> Any:
        """Refuse: rule files have the rules that `new_head` is made of.

        Raises:
            RuleError: Always.
        """
        raise RuleError("new_head is Python only: a rule file names the layer, with replace")

    def __repr__(self) -> str:
        return repr(_LAST)


_LAST: Selector = last(where(has_weights))


def _is_trained(node: Node) -> bool:
    return node.inner is None and any(weight.role == "parameter" for weight in node.weights)


def _shown(node: Node) -> str:
    return f"{node.class_name} {node.path!r}"


def _outputs(world: World) -> list[TensorSpec]:
    graph = world.graphs[""]
    return [graph[ref.node].outputs[ref.index] for _, ref in refs_in(graph.outputs)]


def _read_by(call: tuple[Place, Node], world: World) -> list[TensorSpec]:
    (path, _), node = call
    return [world.graphs[path][ref.node].outputs[ref.index] for ref in node.sources]


def _has_places(spec: TensorSpec) -> bool:
    """Whether there is more than one position beside batch and channels."""
    return any(size != 1 for size in spec.shape[1:-1])


def _put_one(ends: Sequence[TensorSpec]) -> str:
    """Say that there is no head, and how the model gets one."""
    positions = max(len(end.shape) for end in ends) - 2
    pooled = f"keras.layers.GlobalAveragePooling{positions}D(), " if 0 < positions < 4 else ""
    return (
        f"this model has no head. Put one at its end: insert_after(ends(), [{pooled}"
        "keras.layers.Dense(10, name='head')])"
    )
