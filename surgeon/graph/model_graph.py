"""A model as a read-only `networkx` graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import networkx as nx

from surgeon.errors import GraphError, near_misses
from surgeon.graph.node import Node, Ref, TensorSpec, Weight, refs_in


@dataclass(frozen=True)
class Edge:
    """One tensor on its way from `source` to an argument of the node `target`.

    Attributes:
        source: The tensor.
        target: Key of the node that reads it.
        argument: Path of the argument inside `(args, kwargs)`, such as `(0, 0)` for the first
            positional argument or `(1, "mask")` for a keyword argument.
    """

    source: Ref
    target: str
    argument: tuple[Any, ...]


@dataclass(frozen=True)
class ModelGraph:
    """The calls of one model, in an order in which they could run.

    Attributes:
        name: Name of the model.
        class_name: Name of the model's class.
        nodes: All nodes by key, producers before consumers.
        inputs: The model's input structure, tensors as `Ref`.
        outputs: The model's output structure, tensors as `Ref`.
        model: The live model that this was read from, or `None`.
        held: Layers that an attribute of the model holds and that are never called in its graph.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> graph = surgeon.to_graph(model)
        >>> [node.class_name for node in graph]
        ['InputLayer', 'Dense']
    """

    name: str
    class_name: str
    nodes: Mapping[str, Node]
    inputs: Any
    outputs: Any
    model: Any = field(default=None, compare=False, repr=False)
    held: tuple[Node, ...] = ()
    derived: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What others have worked out from this very graph, so that it is worked out once."""

    def __post_init__(self) -> None:
        """Check that every tensor which is read exists."""
        for node in self.nodes.values():
            for ref in node.inputs:
                self._check(ref, "node", node.key)
        for _, ref in refs_in((self.inputs, self.outputs)):
            self._check(ref, "model", self.name)

    def _check(self, ref: Ref, kind: str, name: str) -> None:
        node = self.nodes.get(ref.node)
        if node is None or ref.index >= len(node.outputs):
            raise GraphError(
                f"{kind} {name!r} reads output {ref.index} of {ref.node!r}: there is no such tensor"
            )

    def __getitem__(self, key: str) -> Node:
        """Return the node with this key.

        Raises:
            GraphError: If there is none; names near misses.
        """
        try:
            return self.nodes[key]
        except KeyError:
            raise GraphError(f"no node {key!r} in {self.name!r}{near_misses(key, self.nodes)}") from None

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def spec(self, ref: Ref) -> TensorSpec:
        """Return shape and dtype of a tensor."""
        return self.nodes[ref.node].outputs[ref.index]

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every tensor that goes from one call into an argument of another."""
        return tuple(Edge(ref, node.key, path) for node in self for path, ref in node.reads)

    @cached_property
    def nx(self) -> nx.MultiDiGraph[str]:
        """The same as a frozen `networkx.MultiDiGraph`.

        Each networkx node is a key, with the attribute `node`; each edge's key is the path of
        the argument, with the attributes `index` (which output) and `spec`.
        """
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=self.name)
        for node in self:
            graph.add_node(node.key, node=node)
        for edge in self.edges:
            graph.add_edge(
                edge.source.node,
                edge.target,
                key=edge.argument,
                index=edge.source.index,
                spec=self.spec(edge.source),
            )
        nx.freeze(graph)
        return graph

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """Every weight of the model once, its path counted from this model.

        A layer that several models call has the path of its outermost call.
        """
        rows = [*_rows(self, "", 0)]
        rows += [
            (0, f"{held.path}/{w.path}", f"{held.path}/{w.path}", w)
            for held in self.held
            for w in held.weights
        ]
        outermost: dict[str, int] = {}
        for depth, _, home, _ in rows:
            outermost[home] = min(depth, outermost.get(home, depth))
        found: dict[str, Weight] = {}
        for depth, path, home, weight in rows:
            if depth == outermost[home]:
                found.setdefault(home, replace(weight, path=path))
        return tuple(found.values())


def _rows(graph: ModelGraph, lead: str, depth: int) -> Iterator[tuple[int, str, str, Weight]]:
    """Yield how deep each weight lies, its path from the outermost graph, the one that names it, and it."""
    for node in unique_nodes(graph):
        for weight in node.weights:
            # Those of layers are told by the calls of them; the others are the nested model's own.
            if node.inner is None or "/" not in weight.path:
                yield depth, f"{lead}{node.name}/{weight.path}", f"{node.path}/{weight.path}", weight
        if node.inner is not None:
            yield from _rows(node.inner, f"{lead}{node.name}/", depth + 1)


def unique_nodes(graph: ModelGraph) -> Iterator[Node]:
    """Yield one node for each operation: its first call."""
    return (node for node in graph if node.call_index == 0)
