"""The graph that a rewritten model will have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from surgeon import paths
from surgeon.graph import ModelGraph, Node, Weight


def after_graph(
    graph: ModelGraph,
    sizes: Mapping[str, int],
    still: Mapping[str, bool],
    added: Mapping[str, tuple[Weight, ...]],
) -> ModelGraph:
    """Return a graph in which so many elements of the named weights train.

    Args:
        graph: The graph before.
        sizes: How many elements train, by path of the weight.
        still: Whether the moving statistics hold still, by path of the layer.
        added: Further weights, by path of the layer.
    """
    return _Relabeling(sizes, still, added, {}).graph(graph) if sizes or still or added else graph


def lora_weights(weight: Weight, rank: int) -> tuple[Weight, Weight]:
    """Return the two weights of a low-rank adapter of a weight, as Keras will make them.

    Example:
        >>> [(one.path, one.shape) for one in lora_weights(Weight("kernel", (3, 3, 8, 16)), 2)]
        [('lora_kernel_a', (3, 3, 8, 2)), ('lora_kernel_b', (2, 16))]
    """
    shapes = {"a": (*weight.shape[:-1], rank), "b": (rank, weight.shape[-1])}
    first, second = (
        Weight(f"lora_{weight.name}_{letter}", shape, weight.dtype, trainable=math.prod(shape))
        for letter, shape in shapes.items()
    )
    return first, second


@dataclass(frozen=True)
class _Relabeling:
    sizes: Mapping[str, int]
    still: Mapping[str, bool]
    added: Mapping[str, tuple[Weight, ...]]
    done: dict[int, ModelGraph]

    def graph(self, graph: ModelGraph) -> ModelGraph:
        if id(graph) not in self.done:
            nodes = {key: self._node(node) for key, node in graph.nodes.items()}
            self.done[id(graph)] = replace(graph, nodes=nodes)
        return self.done[id(graph)]

    def _node(self, node: Node) -> Node:
        weights = tuple(self._weight(weight, paths.join(node.path, weight.path)) for weight in node.weights)
        weights = self._with_added(node.path, weights) if self.added else weights
        inner = None if node.inner is None else self.graph(node.inner)
        return replace(node, weights=weights, inner=inner)

    def _with_added(self, path: str, weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
        """Return the weights of a node, with what is added to its layers after what they have."""
        rows: list[Weight] = []
        owners = [paths.join(path, weight.path).rpartition("/")[0] for weight in weights]
        for number, (weight, owner) in enumerate(zip(weights, owners, strict=True)):
            rows.append(weight)
            if owner not in owners[number + 1 :]:
                prefix = weight.path.rpartition("/")[0]
                rows += [replace(one, path=paths.join(prefix, one.path)) for one in self.added.get(owner, ())]
        return tuple(rows)

    def _weight(self, weight: Weight, path: str) -> Weight:
        # A shared nested model is read once, under its first path, and its weights are named by that.
        if weight.role == "state":
            holds = self.still.get(path.rpartition("/")[0])
            return weight if holds is None else replace(weight, still=holds)
        return replace(weight, trainable=self.sizes[path]) if path in self.sizes else weight
