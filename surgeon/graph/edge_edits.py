"""Edits of what is read: by a layer, and by whoever calls the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from surgeon.errors import GraphError, near_misses
from surgeon.graph.editing import Calls, Editing, listed, source_of, with_op
from surgeon.graph.node import Ref, TensorSpec


class EdgeEdits(Editing):
    """Rewire, and give the model other inputs and outputs; see `GraphEditor`."""

    def rewire(
        self, path: str, source: str, *, argument: int | None = None, calls: Calls = None, output: int = 0
    ) -> None:
        """Let a layer read the output of another layer.

        Args:
            path: Path of the layer that reads.
            source: Path of the layer, in the same model, whose first call it shall read.
            argument: Which of the tensors that it reads now; needed if there are several.
            calls: Which calls of the reading layer; all unless given.
            output: Which output of the source.

        Raises:
            GraphError: If one of them does not exist, they lie in different models, or a cycle would arise.
        """
        for draft, keys in self._calls(path, calls):
            start = next((key for key, node in draft.nodes.items() if node.path == source), None)
            if start is None:
                self.node(source)  # names near misses if it is nowhere
                raise GraphError(f"{path!r} cannot read {source!r}: they lie in different models")
            if output >= len(draft.nodes[start].outputs):
                raise GraphError(
                    f"{source!r} has no output {output}: it has {len(draft.nodes[start].outputs)}"
                )
            for key in keys:
                if draft.reaches(key, start):
                    raise GraphError(
                        f"{path!r} cannot read {source!r}: that depends on it, a cycle would arise"
                    )
                old = source_of(draft.nodes[key], argument, "rewire(..., argument=0)")
                draft.reread(key, old, Ref(start, output))
        given = {
            "path": path,
            "source": source,
            "argument": argument,
            "calls": listed(calls),
            "output": output,
        }
        self._log("rewired", path, "rewire", given, note=f"reads {source}")

    def set_outputs(self, structure: Any) -> None:
        """Let the outermost model return other tensors.

        Args:
            structure: Nested lists and dicts with `{"ref": [key, index]}` for tensors.
        """
        self._drafts[""].outputs = _decoded(structure)
        self._drafts[""].touched = True
        self._log("outputs", "", "set_outputs", {"structure": structure}, note="returns other tensors")

    def set_inputs(self, structure: Any) -> None:
        """Let the outermost model take other inputs; as for `set_outputs`."""
        self._drafts[""].inputs = _decoded(structure)
        self._drafts[""].touched = True
        self._log("inputs", "", "set_inputs", {"structure": structure}, note="takes other inputs")

    def add_input(
        self, op: Any, instead_of: Any, *, shape: Any, dtype: str, model: str = "", slot: int = -1
    ) -> Ref:
        """Add an entry point whose tensor is read in the place of another.

        Args:
            op: An `InputLayer`, under a name that is free.
            instead_of: The tensor that it stands for, as `[key, index]`.
            shape: Shape of the new input, the batch included.
            dtype: Its dtype.
            model: Path of the model.
            slot: Its position in the list that `redo` gets.
        """
        draft, old = self._drafts[model], Ref(*instead_of)
        new = self._add(draft, op, (), TensorSpec(tuple(shape), dtype), old.node)
        draft.put(replace(draft.nodes[new.node], is_input=True))
        draft.redirect(old, new)
        given = {"instead_of": list(instead_of), "shape": list(shape), "dtype": dtype, "model": model}
        where, note = draft.nodes[new.node].path, f"stands for what {old.node} put out"
        self._log("inserted", where, "add_input", given, after=type(op).__name__, note=note, slots=[slot])
        self._carry(op, slot, ())
        return new

    def replace_input(
        self, path: str, op: Any, *, shape: Any, dtype: str, model: str = "", slot: int = -1
    ) -> None:
        """Let a model have an input of another shape or dtype in the place of one.

        Args:
            path: Path of the input.
            op: An `InputLayer`.
            shape: Its shape, the batch included.
            dtype: Its dtype.
            model: Path of the model; empty for the outermost.
            slot: Its position in the list that `redo` gets.

        Raises:
            GraphError: If there is no such input.
        """
        draft = self._drafts[model]
        key = next((k for k, node in draft.nodes.items() if node.path == path and node.is_input), None)
        if key is None:
            raise GraphError(
                f"{path!r} is no input{near_misses(path, [n.path for n in draft.nodes.values()])}"
            )
        node = with_op(draft.nodes[key], op)
        draft.put(replace(node, outputs=(TensorSpec(tuple(shape), dtype),)))
        for reader in draft.readers(Ref(key)):
            draft.put(replace(draft.nodes[reader], is_rewired=True))
        given = {"path": path, "shape": list(shape), "dtype": dtype, "model": model}
        self._carry(op, slot, ())
        note = f"shape {tuple(shape)}"
        self._log("input", path, "replace_input", given, after=type(op).__name__, note=note, slots=[slot])


def encoded(structure: Any) -> Any:
    """Return a structure of tensors as `GraphEditor.set_outputs` takes it; tuples become lists."""
    if isinstance(structure, Ref):
        return {"ref": [structure.node, structure.index]}
    if isinstance(structure, dict):
        return {key: encoded(value) for key, value in structure.items()}
    return [encoded(value) for value in structure] if isinstance(structure, list | tuple) else structure


def _decoded(structure: Any) -> Any:
    if isinstance(structure, dict):
        if structure.keys() == {"ref"}:
            return Ref(*structure["ref"])
        return {key: _decoded(value) for key, value in structure.items()}
    return [_decoded(value) for value in structure] if isinstance(structure, list) else structure
