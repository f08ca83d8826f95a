"""Edits of which layer is which: names, and which calls are of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from surgeon.errors import GraphError
from surgeon.graph.editing import Editing, paths_beside, with_op
from surgeon.graph.node import Node


class IdentityEdits(Editing):
    """Rename, share, unshare; see `GraphEditor`."""

    def rename(self, path: str, name: str) -> None:
        """Give a layer another name, in all of its calls.

        Raises:
            GraphError: If there is no such layer, or the name is no name.
        """
        if not name or "/" in name:
            raise GraphError(f"{name!r} cannot be the name of a layer: it is empty or has a '/'")
        new_path = paths_beside(path, name)
        for draft, keys in self._calls(path, None):
            for key in keys:
                draft.put(replace(draft.nodes[key], name=name, path=new_path))
        self._move(path, new_path)
        self._log("renamed", path, "rename", {"path": path, "name": name}, note=f"to {new_path}")

    def unshare(self, path: str, ops: Sequence[Any], *, slots: Sequence[int] = ()) -> None:
        """Let each call of a layer but the first be of an operation of its own.

        Args:
            path: Path of a layer that is called more than once in one model.
            ops: One operation for each further call, under names that are free.
            slots: Their positions in the list that `redo` gets.

        Raises:
            GraphError: If there are not as many operations as further calls.
        """
        draft, keys = self._calls(path, None)[0]
        if len(keys) != len(ops) + 1 or len(keys) == 1:
            raise GraphError(f"{path!r} is called {len(keys)} times: {len(ops)} new layers do not fit that")
        kind = draft.nodes[keys[0]].class_name
        numbers = list(slots) or [-1] * len(ops)
        for key, op, slot in zip(keys[1:], ops, numbers, strict=True):
            self._carry(op, slot, [path])
            draft.put(with_op(draft.nodes[key], op))
        note = f"into {len(keys)} layers"
        self._log("unshared", path, "unshare", {"path": path}, before=kind, note=note, slots=numbers)

    def share(self, path: str, other: str) -> None:
        """Let one layer be called wherever another one is called now.

        Args:
            path: Path of the layer that stays.
            other: Path of the layer, in the same model and of the same kind, that goes.

        Raises:
            GraphError: If they are of different classes, have different weights, or lie in different models.
        """
        kept, gone = self.node(path), self.node(other)
        weights = [[(w.path, w.shape) for w in node.weights] for node in (kept, gone)]
        if kept.class_name != gone.class_name or weights[0] != weights[1]:
            raise GraphError(
                f"{path!r} and {other!r} cannot be one layer: {_described(kept)} and {_described(gone)}"
            )
        homes = {draft.path for draft, _ in self._calls(path, None)}
        for draft, keys in self._calls(other, None):
            if draft.path not in homes:
                raise GraphError(f"{path!r} and {other!r} cannot be one layer: they lie in different models")
            for key in keys:
                draft.put(_as_call_of(draft.nodes[key], kept))
        given = {"path": path, "other": other}
        self._log("shared", other, "share", given, before=gone.class_name, note=f"is now {path}")


def _as_call_of(node: Node, kept: Node) -> Node:
    return replace(
        node,
        op=kept.op,
        name=kept.name,
        path=kept.path,
        weights=kept.weights,
        config=kept.config,
        inner=kept.inner,
        is_new=kept.is_new,
        is_rewired=True,
    )


def _described(node: Node) -> str:
    return f"{node.class_name} with " + (
        ", ".join(f"{w.path} {w.shape}" for w in node.weights) or "no weights"
    )
