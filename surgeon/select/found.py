"""Look before you cut: what a selector or pattern means in a model, as a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from surgeon.errors import NoMatchError, RuleError
from surgeon.graph import ModelGraph, Node
from surgeon.select.selector import Selector
from surgeon.select.world import World


@dataclass(frozen=True)
class Selected:
    """What a selector means in one graph.

    Attributes:
        selector: The selector.
        nodes: One node for each layer, in the order of the graph.
        reason: If there is none: near misses and the next step.
    """

    selector: Selector
    nodes: tuple[Node, ...]
    reason: str = ""

    @property
    def paths(self) -> list[str]:
        """The paths of the layers."""
        return [node.path for node in self.nodes]

    def expect(self, count: int) -> Selected:
        """Return this if it holds so many layers.

        Raises:
            RuleError: If it holds more or fewer; names them.
        """
        if len(self.nodes) != count:
            raise RuleError(f"expected {count} layers, found {len(self.nodes)}\n{self}")
        return self

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, position: int) -> Node:
        return self.nodes[position]

    def __str__(self) -> str:
        shown = "1 layer" if len(self.nodes) == 1 else f"{len(self.nodes)} layers"
        lines = [f"  {node.path} ({node.class_name}){_facts(node)}" for node in self.nodes]
        return "\n".join([f"{self.selector}: {shown}", *lines, *([self.reason] * bool(self.reason))])


def select(selector: Selector, graph: ModelGraph) -> Selected:
    """Return what a selector means in a graph, nested graphs included; nothing is no error here."""
    world = World(graph)
    nodes = first_calls(world.nodes)
    try:
        return Selected(selector, selector.resolved(world).find(nodes))
    except NoMatchError as error:
        return Selected(selector, (), str(error))


def first_calls(nodes: Sequence[Node]) -> list[Node]:
    """Return the first call of each layer."""
    first: dict[str, Node] = {}
    for node in nodes:
        first.setdefault(node.path, node)
    return list(first.values())


def _facts(node: Node) -> str:
    shapes = ", ".join(str(spec.shape) for spec in node.outputs)
    size = sum(weight.size for weight in node.weights if weight.role == "parameter")
    trains = sum(weight.trainable for weight in node.weights)
    return f" {shapes}" + (f", {trains:,} of {size:,} train" if size else "")
