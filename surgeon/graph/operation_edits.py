"""Edits that bring operations in and take them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from surgeon.errors import GraphError
from surgeon.graph.editing import Calls, Editing, listed, paths_beside, source_of, with_op
from surgeon.graph.node import Ref


class OperationEdits(Editing):
    """Replace, insert, remove; see `GraphEditor`."""

    def replace(
        self,
        path: str,
        op: Any,
        *,
        slot: int = -1,
        calls: Calls = None,
        sources: Sequence[str] | None = None,
        kind: str = "replaced",
        note: str = "",
    ) -> None:
        """Let another operation be called in the place of one.

        Args:
            path: Path of the layer.
            op: The operation that takes its place, under its own name.
            slot: Its position in the list that `redo` gets.
            calls: Which calls; all unless given.
            sources: Paths of the layers that it takes weights from; that layer itself unless given.
            kind: What the journal calls it.
            note: More for the reader of the journal.

        Raises:
            GraphError: If there is no such layer, or it is an input of the model.
        """
        places = self._calls(path, calls)
        before = self.node(path)
        if before.is_input:
            raise GraphError(
                f"{path!r} is an input of the model and cannot be replaced by {type(op).__name__}"
            )
        chosen = [path] if sources is None else list(sources)
        self._carry(op, slot, chosen)
        for draft, keys in places:
            for key in keys:
                draft.put(with_op(draft.nodes[key], op))
        given = {"path": path, "calls": listed(calls), "sources": chosen, "kind": kind, "note": note}
        self._log(
            kind,
            path,
            "replace",
            given,
            before=before.class_name,
            after=type(op).__name__,
            note=note,
            slots=[slot],
        )

    def insert_after(
        self,
        path: str,
        op: Any,
        *,
        slot: int = -1,
        calls: Calls = None,
        output: int = 0,
        sources: Sequence[str] = (),
        kind: str = "inserted",
    ) -> None:
        """Let an operation be called on an output of a layer, and all readers of that read its result.

        Args:
            path: Path of the layer.
            op: The new operation, under a name that is free.
            slot: Its position in the list that `redo` gets.
            calls: After which calls; all unless given.
            output: Which output of the layer.
            sources: Paths of the layers that it takes weights from.
            kind: What the journal calls it.

        Raises:
            GraphError: If there is no such layer or output.
        """
        places = self._calls(path, calls)
        self._carry(op, slot, sources)
        for draft, keys in places:
            for key in keys:
                if output >= len(draft.nodes[key].outputs):
                    raise GraphError(
                        f"{path!r} has no output {output}: it has {len(draft.nodes[key].outputs)}"
                    )
                old = Ref(key, output)
                new = self._add(draft, op, (old,), draft.spec(old), old.node)
                draft.redirect(old, new, but=[new.node])
        where = paths_beside(path, op.name)
        given = {
            "path": path,
            "calls": listed(calls),
            "output": output,
            "sources": list(sources),
            "kind": kind,
        }
        self._log(
            kind, where, "insert_after", given, after=type(op).__name__, note=f"after {path}", slots=[slot]
        )

    def insert_before(
        self,
        path: str,
        op: Any,
        *,
        slot: int = -1,
        calls: Calls = None,
        argument: int | None = None,
        sources: Sequence[str] = (),
    ) -> None:
        """Let an operation be called on what a layer reads, and the layer read its result.

        Args:
            path: Path of the layer.
            op: The new operation, under a name that is free.
            slot: Its position in the list that `redo` gets.
            calls: Before which calls; all unless given.
            argument: Which of the tensors that the layer reads; needed if there are several.
            sources: Paths of the layers that it takes weights from.

        Raises:
            GraphError: If there is no such layer or tensor, or it must be said which.
        """
        places = self._calls(path, calls)
        self._carry(op, slot, sources)
        for draft, keys in places:
            for key in keys:
                old = source_of(draft.nodes[key], argument, "insert_before(..., argument=0)")
                new = self._add(draft, op, (old,), draft.spec(old), old.node)
                draft.reread(key, old, new)
        where = paths_beside(path, op.name)
        given = {"path": path, "calls": listed(calls), "argument": argument, "sources": list(sources)}
        note = f"before {path}"
        self._log("inserted", where, "insert_before", given, after=type(op).__name__, note=note, slots=[slot])

    def remove(
        self, path: str, *, calls: Calls = None, keep: int | None = None, any_shape: bool = False
    ) -> None:
        """Take a layer out: who read its output reads what it read.

        Args:
            path: Path of the layer.
            calls: Which calls; all unless given.
            keep: Which of the tensors that it reads goes on; needed if there are several.
            any_shape: Let it go even if its output has another shape than what it read.

        Raises:
            GraphError: If it is an input, has several outputs, or changes the shape of what others read.
        """
        for draft, keys in self._calls(path, calls):
            for key in keys:
                node = draft.nodes[key]
                if node.is_input:
                    raise GraphError(f"{path!r} is an input of the model and cannot be removed")
                if len(node.outputs) != 1:
                    raise GraphError(
                        f"{path!r} has {len(node.outputs)} outputs: it is not clear what would replace them"
                    )
                old, new = Ref(key), source_of(node, keep, "remove(..., keep=0)")
                readers = draft.readers(old)
                was, now = draft.spec(old), draft.spec(new)
                if readers and not any_shape and not _fits(now.shape, was.shape):
                    raise GraphError(
                        f"{path!r} ({node.class_name}) turns {now.shape} into {was.shape}, which "
                        f"{readers[0]!r} reads: remove(..., any_shape=True) lets what follows be refitted, "
                        "replace(...) puts another layer there"
                    )
                draft.redirect(old, new)
                draft.drop(key)
        given = {"path": path, "calls": listed(calls), "keep": keep, "any_shape": True}
        self._log("removed", path, "remove", given, before=node.class_name)

    def collapse(
        self,
        reads: Sequence[Any],
        output: Any,
        op: Any,
        *,
        model: str = "",
        slot: int = -1,
        sources: Sequence[str] = (),
    ) -> None:
        """Let one operation compute what a block of calls computed; the block is dropped by `prune`.

        Args:
            reads: The tensors that it is called on, as `[key, index]`; several are passed as one list.
            output: The tensor that its result stands for, likewise.
            op: The new operation, under a name that is free once the block is gone.
            model: Path of the model in which the keys are.
            slot: Its position in the list that `redo` gets.
            sources: Paths of the layers that it takes weights from.
        """
        draft = self._drafts[model]
        refs, old = [Ref(*ref) for ref in reads], Ref(*output)
        self._carry(op, slot, sources)
        new = self._add(draft, op, (refs[0] if len(refs) == 1 else refs,), draft.spec(old), old.node)
        draft.redirect(old, new, but=[new.node])
        where = draft.nodes[new.node].path
        given = {
            "reads": [list(r) for r in reads],
            "output": list(output),
            "model": model,
            "sources": list(sources),
        }
        note = f"in place of {', '.join(sources)}" if sources else ""
        self._log("inserted", where, "collapse", given, after=type(op).__name__, note=note, slots=[slot])


def _fits(new: tuple[int | None, ...], old: tuple[int | None, ...]) -> bool:
    return len(new) == len(old) and all(a == b or None in (a, b) for a, b in zip(new, old, strict=True))
