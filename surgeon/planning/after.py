"""The graph that a rewritten model will have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import keras

from surgeon import paths
from surgeon.graph import ModelGraph, Node, Weight
from surgeon.graph.model_graph import unique_nodes
from surgeon.roundtrip import sites


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
    if not (sizes or still or added):
        return graph
    known = {id(site.op): site.path for site in sites(graph) if site.op is not None}
    return _Relabeling(sizes, still, added, known, {}).graph(graph)


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
    known: Mapping[int, str]
    done: dict[int, ModelGraph]

    def graph(self, graph: ModelGraph) -> ModelGraph:
        if id(graph) not in self.done:
            nodes = {key: self._node(node) for key, node in graph.nodes.items()}
            self.done[id(graph)] = replace(graph, nodes=nodes)
        return self.done[id(graph)]

    def _node(self, node: Node) -> Node:
        homes = dict(self._homes(node))
        owners = [_owner(node, weight, homes) for weight in node.weights]
        weights = tuple(
            self._weight(weight, owner) for weight, owner in zip(node.weights, owners, strict=True)
        )
        weights = self._with_added(weights, owners) if self.added else weights
        inner = None if node.inner is None else self.graph(node.inner)
        return replace(node, weights=weights, inner=inner)

    def _homes(self, node: Node) -> Iterator[tuple[str, str]]:
        """Yield where each layer inside of a node is: from the node, and by its one path.

        The two differ for a layer that is called further out, too.
        """
        if node.inner is not None:
            for inside in unique_nodes(node.inner):
                yield inside.name, inside.path
                yield from ((f"{inside.name}/{path}", home) for path, home in self._homes(inside))
        elif isinstance(node.op, keras.layers.Layer):
            for path, layer in paths.walk(node.op):
                yield path, self.known.get(id(layer), paths.join(node.path, path))

    def _with_added(self, weights: tuple[Weight, ...], owners: list[str]) -> tuple[Weight, ...]:
        """Return the weights of a node, with what is added to its layers after what they have."""
        rows: list[Weight] = []
        for number, (weight, owner) in enumerate(zip(weights, owners, strict=True)):
            rows.append(weight)
            if owner not in owners[number + 1 :]:
                prefix = weight.path.rpartition("/")[0]
                rows += [replace(one, path=paths.join(prefix, one.path)) for one in self.added.get(owner, ())]
        return tuple(rows)

    def _weight(self, weight: Weight, owner: str) -> Weight:
        # A shared nested model is read once, under its first path, and its weights are named by that.
        if weight.role == "state":
            holds = self.still.get(owner)
            return weight if holds is None else replace(weight, still=holds)
        path = paths.join(owner, weight.name)
        return replace(weight, trainable=self.sizes[path]) if path in self.sizes else weight


def _owner(node: Node, weight: Weight, homes: Mapping[str, str]) -> str:
    inside = weight.path.rpartition("/")[0]
    return homes.get(inside, paths.join(node.path, inside))
