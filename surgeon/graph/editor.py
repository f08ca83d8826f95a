"""The only thing that changes a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from surgeon.graph.change import Change
from surgeon.graph.edge_edits import EdgeEdits
from surgeon.graph.identity_edits import IdentityEdits
from surgeon.graph.inlining import Inlining
from surgeon.graph.model_graph import ModelGraph
from surgeon.graph.node import Node
from surgeon.graph.operation_edits import OperationEdits


class GraphEditor(OperationEdits, EdgeEdits, IdentityEdits, Inlining):
    """Edits a graph and the graphs nested in it, and keeps a journal of what it did.

    The graph that it was made from is never changed; `finish` returns the edited one. A layer is
    named by its path, and an edit concerns all of its calls unless `calls` says which, as numbers
    that count from 0. Every entry of the journal can be done again on another graph of the same
    architecture, with other operations: see `redo`.

    Example:
        >>> from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
        >>> spec = TensorSpec((None, 2), "float32")
        >>> x = Node("x", "x", "x", "InputLayer", outputs=(spec,), is_input=True)
        >>> d = Node("d", "d", "d", "Dropout", args=(Ref("x"),), outputs=(spec,))
        >>> editor = GraphEditor(ModelGraph("m", "Functional", {"x": x, "d": d}, [Ref("x")], [Ref("d")]))
        >>> editor.remove("d")
        >>> editor.finish().outputs, str(editor.journal[0])
        ([Ref(node='x', index=0)], 'd: Dropout')
    """

    def prune(self) -> None:
        """Drop the calls that no output depends on any more."""
        gone: dict[str, str] = {}
        for draft in self._drafts.values():
            if draft.touched:
                for key in draft.dead():
                    gone[draft.nodes[key].path] = draft.nodes[key].class_name
                    draft.drop(key)
        left = {node.path for draft in self._drafts.values() for node in draft.nodes.values()}
        names = [path for path in gone if path not in left]
        if gone:  # said even if it is only one call of a layer that others call: a replay must drop it, too
            first = (names or list(gone))[0]
            note = _and_more(names) if names else "a call that nothing reads"
            self._log("dropped", first, "prune", {}, before=gone[first], note=note)

    def settle_paths(self) -> None:
        """Name layers anew whose path leads nowhere any more.

        A layer that several models call has the path of its outermost call. If that call is gone, it has
        the path of the outermost one that is left.
        """
        homes: dict[Any, str] = {}
        homeless: dict[Any, tuple[str, str]] = {}
        for where, node in self._places("", set()):
            identity = id(node.op) if node.op is not None else node.path
            if where == node.path:
                homes[identity] = where
            elif node.path.rpartition("/")[0] in self._drafts:
                homeless.setdefault(identity, (node.path, where))
        for identity, (old, new) in homeless.items():
            if identity not in homes:
                self._move(old, new)
                self._log("moved", old, "settle_paths", {}, note=f"is now {new}")

    def _places(self, model: str, seen: set[int]) -> Iterator[tuple[str, Node]]:
        """Yield every call that is left with where it is: all of one model before those nested in it."""
        draft = self._drafts[model]
        if id(draft) in seen:
            return
        seen.add(id(draft))
        nodes = list(draft.nodes.values())
        yield from ((f"{model}/{node.name}" if model else node.name, node) for node in nodes)
        for node in nodes:
            if node.inner is not None:
                yield from self._places(node.path, seen)

    def finish(self) -> ModelGraph:
        """Return the graph with all edits made.

        Raises:
            GraphError: If two layers of one model would have the same name, or there is a cycle.
        """
        if not self.journal:
            return self._graph
        done: dict[str, ModelGraph] = {}

        def finished(path: str) -> ModelGraph:
            if path not in done:
                done[path] = self._drafts[path].finished(inner_of)
            return done[path]

        def inner_of(node: Node) -> ModelGraph | None:
            return finished(node.path) if node.inner is not None else None

        return finished("")

    def redo(self, change: Change, ops: Sequence[Any]) -> None:
        """Do again what an entry of a journal says.

        Args:
            change: The entry, of a journal of a graph of the same architecture.
            ops: Operations to use for its slots.

        Raises:
            GraphError: If it does not fit this graph.
        """
        given = dict(change.arguments)
        if change.method in (
            "replace",
            "insert_after",
            "insert_before",
            "collapse",
            "add_input",
            "replace_input",
        ):
            given |= {"op": ops[change.slots[0]], "slot": change.slots[0]}
        elif change.method == "unshare":
            given |= {"ops": [ops[slot] for slot in change.slots], "slots": list(change.slots)}
        self.rule = change.rule
        getattr(self, change.method)(**given)


def _and_more(names: Sequence[str]) -> str:
    rest = len(names) - 1
    return f"and {rest} more that nothing reads" if rest else "nothing reads it"
