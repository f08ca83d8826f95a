"""What every kind of edit needs: the drafts, finding calls in them, and the journal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from surgeon.errors import GraphError, near_misses
from surgeon.graph.change import Change
from surgeon.graph.draft import Draft
from surgeon.graph.model_graph import ModelGraph
from surgeon.graph.node import Node, Ref, TensorSpec

Calls = Collection[int] | None


@dataclass(frozen=True)
class Carrying:
    """From which operations, as they were when the edit was made, a new one takes its weights.

    Attributes:
        op: The new operation.
        slot: Its position in the list that `GraphEditor.redo` gets.
        sources: The operations that it takes weights from.
    """

    op: Any
    slot: int
    sources: tuple[Any, ...]


class Editing:
    """Base of the kinds of edits; see `GraphEditor`."""

    def __init__(self, graph: ModelGraph, rule: str = "") -> None:
        self.rule = rule
        self.journal: list[Change] = []
        self.carried: list[Carrying] = []
        self._graph = graph
        self._drafts: dict[str, Draft] = {}
        self._open(graph, "")

    def _open(self, graph: ModelGraph, path: str) -> None:
        self._drafts[path] = Draft(graph, path)
        for node in graph:
            if node.inner is not None and node.path not in self._drafts:
                self._open(node.inner, node.path)

    def inputs_now(self, model: str, key: str) -> list[Ref]:
        """Return what a call of a model (by its path, and the call's key) reads after the edits so far."""
        return list(self._drafts[model].nodes[key].inputs)

    def node(self, path: str) -> Node:
        """Return the first call of a layer.

        Raises:
            GraphError: If there is no such layer; names near misses.
        """
        draft, keys = self._calls(path, None)[0]
        return draft.nodes[keys[0]]

    def free_name(self, beside: str, wanted: str) -> str:
        """Return a name that no layer in the model around a path has: the wanted one, or with a number."""
        model = beside.rpartition("/")[0]
        draft = self._drafts.get(model) or self._drafts[""]
        return numbered(wanted, {node.name for node in draft.nodes.values()})

    def _calls(self, path: str, calls: Calls) -> list[tuple[Draft, list[str]]]:
        """Return where a layer is called: for each model, the keys of the calls that are meant."""
        found = []
        for draft in self._drafts.values():
            keys = [key for key, node in draft.nodes.items() if node.path == path]
            if calls is not None:
                wrong = [call for call in calls if not 0 <= call < len(keys)]
                if keys and wrong:
                    raise GraphError(f"{path!r} is called {len(keys)} times, there is no call {wrong[0]}")
                keys = [key for number, key in enumerate(keys) if number in calls]
            if keys:
                found.append((draft, keys))
        if not found:
            known = [node.path for draft in self._drafts.values() for node in draft.nodes.values()]
            raise GraphError(f"no node {path!r} in {self._graph.name!r}{near_misses(path, known)}")
        return found

    def _move(self, old: str, new: str) -> None:
        """Bring all paths up to date that lead to a layer, or into it, wherever it is called."""
        for path in [p for p in self._drafts if _covers(old, p)]:
            draft = self._drafts.pop(path)
            draft.path = new + path[len(old) :]
            if draft.name != (name := draft.path.rpartition("/")[2]):
                draft.name, draft.touched = name, True
            self._drafts[draft.path] = draft
        for draft in self._drafts.values():
            for key, node in draft.nodes.items():
                if _covers(old, node.path):
                    draft.nodes[key] = replace(node, path=new + node.path[len(old) :])

    def _log(
        self,
        kind: str,
        path: str,
        method: str,
        arguments: Mapping[str, Any],
        *,
        before: str = "",
        after: str = "",
        note: str = "",
        slots: Sequence[int] = (),
    ) -> None:
        self.journal.append(
            Change(kind, path, before, after, self.rule, note, method, arguments, tuple(slots))
        )

    def _carry(self, op: Any, slot: int, sources: Sequence[str]) -> None:
        self.carried.append(Carrying(op, slot, tuple(self.node(path).op for path in sources)))

    def _add(
        self, draft: Draft, op: Any, args: tuple[Any, ...], like: TensorSpec, beside: str | None = None
    ) -> Ref:
        key = draft.free_key(op.name)
        path = f"{draft.path}/{op.name}" if draft.path else op.name
        draft.put(
            Node(key, op.name, path, type(op).__name__, args=args, outputs=(like,), is_new=True, op=op),
            beside,
        )
        return Ref(key)


def _covers(outer: str, path: str) -> bool:
    return path == outer or path.startswith(outer + "/")


def numbered(wanted: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the wanted one, or with a number."""
    number, name = 0, wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def paths_beside(path: str, name: str) -> str:
    """Return the path of a layer of another name in the same place."""
    return "/".join([*path.split("/")[:-1], name])


def with_op(node: Node, op: Any) -> Node:
    """Return a node that calls another operation; its outputs are not known yet."""
    return replace(
        node,
        op=op,
        name=op.name,
        path=paths_beside(node.path, op.name),
        class_name=type(op).__name__,
        weights=(),
        config={},
        inner=None,
        is_new=True,
    )


def source_of(node: Node, number: int | None, how: str) -> Ref:
    """Return the tensor that is meant among those that a node reads."""
    refs = node.sources
    names = ", ".join(f"{i} from {ref.node!r}" for i, ref in enumerate(refs))
    if not refs:
        raise GraphError(f"{node.path!r} reads no tensor: there is nothing before it")
    if number is None and len(refs) > 1:
        raise GraphError(f"{node.path!r} reads {len(refs)} tensors ({names}): say which, with {how}")
    if not 0 <= (number or 0) < len(refs):
        raise GraphError(f"{node.path!r} reads no tensor {number}: {names}")
    return refs[number or 0]


def listed(calls: Calls) -> list[int] | None:
    """Return call numbers as JSON data."""
    return None if calls is None else sorted(calls)
