"""Taking a nested model apart: its layers become layers of the model around it."""

from __future__ import annotations

from dataclasses import replace

from surgeon.errors import GraphError
from surgeon.graph.draft import Draft, substituted
from surgeon.graph.editing import Editing, numbered
from surgeon.graph.node import Node, Ref, refs_in


class Inlining(Editing):
    """Inline; see `GraphEditor`."""

    def inline(self, path: str) -> dict[str, str]:
        """Put the calls inside of a nested model in the place of the calls of the model.

        A layer keeps its name unless the model around has a layer of that name; then the nested
        model's name leads it.

        Args:
            path: Path of the nested model.

        Returns:
            The new path of each layer that was directly inside of it.

        Raises:
            GraphError: If it is no nested model with a graph.
        """
        before = self.node(path)
        if before.inner is None:
            raise GraphError(
                f"{path!r} ({before.class_name}) is no nested model with a graph: there is nothing to inline"
            )
        inner = self._drafts[path]
        moved: dict[str, str] = {}
        for draft, keys in self._calls(path, None):
            taken = {node.name for node in draft.nodes.values()}
            for node in inner.nodes.values():
                if node.is_input or node.path in moved:
                    continue
                if not node.path.startswith(before.path + "/"):
                    moved[node.path] = node.path  # it is called further out, too, and has its name from there
                    continue
                name = node.name
                if name in taken:
                    name = numbered(f"{before.name}_{name}", taken)
                taken.add(name)
                moved[node.path] = f"{draft.path}/{name}" if draft.path else name
            for key in keys:
                self._inline_call(draft, draft.nodes[key], inner, moved)
        del self._drafts[path]
        for old, new in moved.items():
            if old != new:
                self._move(old, new)
        self._log("inlined", path, "inline", {"path": path}, before=before.class_name)
        return moved

    def _inline_call(self, draft: Draft, call: Node, inner: Draft, moved: dict[str, str]) -> None:
        entries, given = refs_in(inner.inputs), refs_in(call.args[0] if len(call.args) == 1 else call.args)
        if len(entries) != len(given):
            raise GraphError(f"{call.path!r} takes {len(entries)} tensors, and is given {len(given)}")
        by_place = dict(given)
        new_of = {
            entry: by_place.get(place, ref) for (place, entry), (_, ref) in zip(entries, given, strict=True)
        }
        for node in inner.nodes.values():
            if node.is_input:
                continue
            path = moved[node.path]
            name = path.rpartition("/")[2]
            key = draft.free_key(name)
            args, kwargs = substituted((node.args, dict(node.kwargs)), new_of)
            changed = {"key": key, "name": name, "path": path, "args": args, "kwargs": kwargs}
            draft.put(replace(node, is_rewired=True, **changed), call.key)
            new_of |= {Ref(node.key, index): Ref(key, index) for index in range(len(node.outputs))}
        for index, (_, ref) in enumerate(refs_in(inner.outputs)):
            draft.redirect(Ref(call.key, index), new_of[ref])
        draft.drop(call.key)
