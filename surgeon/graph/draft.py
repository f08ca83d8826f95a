"""A graph while it is being edited: its nodes, and who reads whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import networkx as nx

from surgeon.errors import GraphError
from surgeon.graph.model_graph import ModelGraph
from surgeon.graph.node import Node, Ref, TensorSpec, refs_in


class Draft:
    """One model's graph, mutable; `GraphEditor` keeps one for each model, nested ones included.

    Attributes:
        path: Path of the model; empty for the outermost.
        name: Name of the model.
        nodes: All nodes by key.
        inputs: Input structure, tensors as `Ref`.
        outputs: Output structure, tensors as `Ref`.
        touched: Whether anything was changed.
    """

    def __init__(self, graph: ModelGraph, path: str) -> None:
        self.graph = graph
        self.path = path
        self.name = graph.name
        self.nodes: dict[str, Node] = {}
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._readers: dict[str, dict[str, None]] = {}
        self._position: dict[str, tuple[int, ...]] = {}
        for node in graph:
            self.put(node)
        self.touched = False

    def put(self, node: Node, beside: str | None = None) -> None:
        """Add a node, behind another one in the graph's order, or put it in the place of one of its key."""
        self.touched = True
        if node.key not in self._position:
            place = self._position[beside] if beside is not None else ()
            self._position[node.key] = (*place, len(self._position))
        for ref in self.nodes[node.key].inputs if node.key in self.nodes else ():
            self._readers.get(ref.node, {}).pop(node.key, None)
        self.nodes[node.key] = node
        for ref in node.inputs:
            self._readers.setdefault(ref.node, {})[node.key] = None

    def drop(self, key: str) -> None:
        """Take a node out."""
        self.touched = True
        for ref in self.nodes.pop(key).inputs:
            self._readers.get(ref.node, {}).pop(key, None)

    def readers(self, ref: Ref) -> list[str]:
        """Return the keys of the nodes that read a tensor."""
        return [key for key in self._readers.get(ref.node, ()) if ref in self.nodes[key].inputs]

    def spec(self, ref: Ref) -> TensorSpec:
        """Return shape and dtype of a tensor."""
        return self.nodes[ref.node].outputs[ref.index]

    def redirect(self, old: Ref, new: Ref, but: Collection[str] = ()) -> None:
        """Let every reader of one tensor, the model's outputs included, read another instead."""
        for key in self.readers(old):
            if key not in but:
                self.reread(key, old, new)
        self.outputs = substituted(self.outputs, {old: new})
        self.touched = True

    def reread(self, key: str, old: Ref, new: Ref) -> None:
        """Let one node read another tensor wherever it reads `old`."""
        self.put(_reading(self.nodes[key], lambda _path, ref: new if ref == old else ref))

    def reaches(self, start: str, goal: str) -> bool:
        """Whether a tensor of `start` has an influence on `goal`."""
        seen, todo = {start}, [start]
        while todo:
            key = todo.pop()
            if key == goal:
                return True
            fresh = [reader for reader in self._readers.get(key, ()) if reader not in seen]
            seen.update(fresh)
            todo += fresh
        return False

    def free_key(self, name: str) -> str:
        """Return a key that no node has: the name, or the name and a number."""
        number, key = 0, name
        while key in self.nodes:
            number += 1
            key = f"{name}:{number}"
        return key

    def dead(self) -> list[str]:
        """Return the keys of the nodes that no output depends on; inputs stay, used or not."""
        alive, todo = set(), [ref.node for _, ref in refs_in(self.outputs)]
        while todo:
            key = todo.pop()
            if key not in alive:
                alive.add(key)
                todo += [ref.node for ref in self.nodes[key].inputs]
        inputs = {ref.node for _, ref in refs_in(self.inputs)}
        return [key for key in self.nodes if key not in alive and key not in inputs]

    def finished(self, inner_of: Callable[[Node], ModelGraph | None]) -> ModelGraph:
        """Return the graph, producers before consumers, calls numbered anew.

        Raises:
            GraphError: If it has a cycle, or two layers have one name.
        """
        nodes = {}
        calls: Counter[Any] = Counter()
        for key in self._in_order():
            node = self.nodes[key]
            identity = id(node.op) if node.op is not None else node.path
            inner = inner_of(node)
            if calls[identity] != node.call_index or inner is not node.inner:
                node = replace(node, call_index=calls[identity], inner=inner)
            calls[identity] += 1
            nodes[key] = node
        _check_names(self.name, nodes.values())
        unchanged = not self.touched and all(nodes[n.key] is n for n in self.graph)
        if unchanged:
            return self.graph
        return replace(self.graph, name=self.name, nodes=nodes, inputs=self.inputs, outputs=self.outputs)

    def _in_order(self) -> list[str]:
        if not self.touched:
            return list(self.nodes)
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.nodes)
        graph.add_edges_from((ref.node, node.key) for node in self.nodes.values() for ref in node.inputs)
        try:
            return list(nx.lexicographical_topological_sort(graph, key=self._position.__getitem__))
        except nx.NetworkXUnfeasible:
            cycle = " → ".join(source for source, *_ in nx.find_cycle(graph))
            raise GraphError(f"{self.name!r} would have a cycle: {cycle}") from None


def _reading(node: Node, ref_at: Callable[[tuple[Any, ...], Ref], Ref]) -> Node:
    """Return a node that reads other tensors, and so is called anew.

    What Keras filled in for masks is left out: it derives it again from the new tensors.
    """
    kwargs = {name: value for name, value in node.kwargs.items() if name not in node.implicit_masks}
    args, kwargs = _walk((node.args, kwargs), (), ref_at)
    return replace(
        node,
        args=args,
        kwargs=kwargs,
        implicit_masks=(),
        is_rewired=True,
    )


def _walk(structure: Any, path: tuple[Any, ...], ref_at: Callable[[tuple[Any, ...], Ref], Ref]) -> Any:
    if isinstance(structure, Ref):
        return ref_at(path, structure)
    if isinstance(structure, dict):
        return {key: _walk(value, (*path, key), ref_at) for key, value in structure.items()}
    if type(structure) in (list, tuple):
        return type(structure)(_walk(value, (*path, i), ref_at) for i, value in enumerate(structure))
    return structure


def substituted(structure: Any, new_of: dict[Ref, Ref]) -> Any:
    """Return nested lists, tuples and dicts with other tensors in them."""
    return _walk(structure, (), lambda _path, ref: new_of.get(ref, ref))


def _check_names(model: str, nodes: Iterable[Node]) -> None:
    ops = {id(node.op) if node.op is not None else node.path: node.name for node in nodes}
    common = Counter(ops.values()).most_common(1)
    if common and common[0][1] > 1:
        name, count = common[0]
        raise GraphError(
            f"{count} layers of {model!r} would have the name {name!r}; give the new layer another name"
        )
