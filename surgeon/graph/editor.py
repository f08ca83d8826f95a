"""The only thing that changes a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from surgeon.errors import GraphError, near_misses
from surgeon.graph.model_graph import ModelGraph
from surgeon.graph.node import Node, TensorSpec, Weight


@dataclass(frozen=True)
class Change:
    """One entry of the journal.

    Attributes:
        kind: What was done: `"replaced"`.
        path: Path of the layer that it was done to.
        before: Class of the layer before.
        after: Class of the layer after.
        rule: The rule that asked for it, as it was typed.
    """

    kind: str
    path: str
    before: str
    after: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.before} → {self.after}"


class GraphEditor:
    """Collects edits to a graph and its nested graphs, and a journal of them.

    The graph that it was made from is never changed.

    Example:
        >>> from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
        >>> spec = TensorSpec((None, 2), "float32")
        >>> node = Node("x", "x", "x", "InputLayer", outputs=(spec,), is_input=True)
        >>> editor = GraphEditor(ModelGraph("m", "Functional", {"x": node}, [Ref("x")], [Ref("x")]))
        >>> editor.finish().name
        'm'
    """

    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self._paths = _paths(graph)
        self._ops: dict[str, tuple[Any, tuple[Weight, ...], tuple[TensorSpec, ...]]] = {}
        self.journal: list[Change] = []

    def replace(
        self,
        path: str,
        op: Any,
        rule: str = "",
        weights: Sequence[Weight] = (),
        outputs: Sequence[TensorSpec] | None = None,
    ) -> None:
        """Let another operation be called in the place of one, in all its calls.

        Args:
            path: Path of a node, through nested models.
            op: The operation that takes its place.
            rule: Who asked, for the journal.
            weights: The weights that it has, as far as they are known.
            outputs: What it returns; `None` for what was returned before.

        Raises:
            GraphError: If there is no such node, or it is an input of the model.
        """
        node = self._paths.get(path)
        if node is None:
            raise GraphError(f"no node {path!r} in {self._graph.name!r}{near_misses(path, self._paths)}")
        if node.is_input:
            raise GraphError(
                f"{path!r} is an input of the model and cannot be replaced by {type(op).__name__}"
            )
        self._ops[path] = (op, tuple(weights), node.outputs if outputs is None else tuple(outputs))
        self.journal.append(Change("replaced", path, node.class_name, type(op).__name__, rule))

    def finish(self) -> ModelGraph:
        """Return the graph with all edits made.

        Raises:
            GraphError: If two layers of one model would have the same name.
        """
        return self._edited(self._graph, {}) if self._ops else self._graph

    def _edited(self, graph: ModelGraph, done: dict[int, ModelGraph]) -> ModelGraph:
        if id(graph) not in done:
            nodes = {key: self._edit_node(node, done) for key, node in graph.nodes.items()}
            _check_names(graph.name, nodes.values())
            changed = any(nodes[key] is not node for key, node in graph.nodes.items())
            done[id(graph)] = replace(graph, nodes=nodes) if changed else graph
        return done[id(graph)]

    def _edit_node(self, node: Node, done: dict[int, ModelGraph]) -> Node:
        if node.path in self._ops:
            op, weights, outputs = self._ops[node.path]
            return replace(
                node,
                op=op,
                name=op.name,
                path=paths_beside(node.path, op.name),
                class_name=type(op).__name__,
                weights=weights,
                outputs=outputs,
                config={},
                inner=None,
                is_new=True,
            )
        if node.inner is None:
            return node
        inner = self._edited(node.inner, done)
        return node if inner is node.inner else replace(node, inner=inner)


def paths_beside(path: str, name: str) -> str:
    """Return the path of a layer of another name in the same place."""
    return "/".join([*path.split("/")[:-1], name])


def _paths(graph: ModelGraph) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for node in graph:
        found.setdefault(node.path, node)
        if node.inner is not None:
            found = {**_paths(node.inner), **found}
    return found


def _check_names(model: str, nodes: Any) -> None:
    ops = {id(node.op): node.name for node in nodes}
    name, count = Counter(ops.values()).most_common(1)[0]
    if count > 1:
        raise GraphError(
            f"{count} layers of {model!r} would have the name {name!r}; give the new layer another name"
        )
