"""The graph that a rewritten model will have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from surgeon import paths
from surgeon.graph import ModelGraph, Node, Weight


def after_graph(graph: ModelGraph, sizes: Mapping[str, int], still: Mapping[str, bool]) -> ModelGraph:
    """Return a graph in which so many elements of the named weights train.

    Args:
        graph: The graph before.
        sizes: How many elements train, by path of the weight.
        still: Whether the moving statistics hold still, by path of the layer.
    """
    return _Relabeling(sizes, still, {}).graph(graph) if sizes or still else graph


@dataclass(frozen=True)
class _Relabeling:
    sizes: Mapping[str, int]
    still: Mapping[str, bool]
    done: dict[int, ModelGraph]

    def graph(self, graph: ModelGraph) -> ModelGraph:
        if id(graph) not in self.done:
            nodes = {key: self._node(node) for key, node in graph.nodes.items()}
            self.done[id(graph)] = replace(graph, nodes=nodes)
        return self.done[id(graph)]

    def _node(self, node: Node) -> Node:
        weights = tuple(self._weight(weight, paths.join(node.path, weight.path)) for weight in node.weights)
        inner = None if node.inner is None else self.graph(node.inner)
        return replace(node, weights=weights, inner=inner)

    def _weight(self, weight: Weight, path: str) -> Weight:
        # A shared nested model is read once, under its first path, and its weights are named by that.
        if weight.role == "state":
            holds = self.still.get(path.rpartition("/")[0])
            return weight if holds is None else replace(weight, still=holds)
        return replace(weight, trainable=self.sizes[path]) if path in self.sizes else weight
