"""Extract a part of a model, split one in two, join two to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from surgeon import _keras
from surgeon.errors import GraphError
from surgeon.graph import GraphEditor, ModelGraph, Ref, encoded, refs_in
from surgeon.planning.applying import apply
from surgeon.planning.architecture import Architecture
from surgeon.planning.keeping import covers
from surgeon.planning.plan import Plan
from surgeon.planning.rewriting import rewrite
from surgeon.planning.templates import Template
from surgeon.roundtrip import sites, to_graph
from surgeon.rules import inline
from surgeon.select import World
from surgeon.select.close import close_paths

Paths = str | Sequence[str]


def extract(model: Any, start: Paths = (), end: Paths = (), *, name: str | None = None) -> Any:
    """Return the model between some tensors of a model, as an independent copy.

    Args:
        model: A built functional or Sequential model; it stays as it is.
        start: Path of the layer whose output becomes the input, or several; the model's own inputs
            unless given. Of a layer that is called several times, every call's.
        end: Path of the layer whose output becomes the output, or several; the model's own outputs
            unless given. Paths may lead into nested models: these are taken apart on the way.
        name: Name of the new model; that of the old one unless given.

    Raises:
        GraphError: If there is no such layer, or the outputs also depend on an input that the
            start does not cut off.
        NoGraphError: If the model has no graph.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"),
        ...     keras.layers.Dense(2, name="b")])
        >>> extract(model, end="a").output_shape
        (None, 3)
    """
    cut = _Cut(model)
    starts, ends = ([paths] if isinstance(paths, str) else list(paths) for paths in (start, end))
    opened = cut.open([*starts, *ends])
    outputs = cut.refs([opened[path] for path in ends])
    inputs = cut.refs([opened[path] for path in starts])
    return cut.between(inputs, outputs, name or model.name, only=bool(starts))


def split(model: Any, at: Paths) -> tuple[Any, Any]:
    """Return two models of which the second goes on where the first ends.

    The first has all that the layers at the cut depend on. Whatever crosses the cut besides (a skip
    connection) is an output of the first and an input of the second, too, so that
    `second(first(x))` is `model(x)`. Inputs that are needed only after the cut are inputs of the
    second, after these.

    Args:
        model: A built functional or Sequential model; it stays as it is.
        at: Path of the last layer of the first model, or several.

    Raises:
        GraphError: If there is no such layer, or nothing comes after it.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"),
        ...     keras.layers.Dense(2, name="b")])
        >>> [len(part.weights) for part in split(model, "a")]
        [2, 2]
    """
    ends = [at] if isinstance(at, str) else list(at)
    cut = _Cut(model)
    opened = cut.open(ends)
    crossing = cut.crossing(cut.refs([opened[path] for path in ends]))
    first = cut.between([], crossing, f"{model.name}_head", only=False)
    again = _Cut(model)
    again.open(ends)
    return first, again.between(crossing, [], f"{model.name}_tail", only=False)


def join(first: Any, second: Any, *, name: str = "joined") -> Any:
    """Return one flat model that does what two do one after another, as an independent copy.

    Args:
        first: A built functional or Sequential model.
        second: Another one, that takes what the first returns.
        name: Name of the new model.

    Raises:
        GraphError: If the second does not take what the first returns.

    Example:
        >>> import keras
        >>> def part(units): return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
        >>> len(join(part(4), part(2)).weights)
        4
    """
    parts = [rewrite(model, [], validate="none") for model in (first, second)]
    parts[0].name, parts[1].name = f"{name}_first", f"{name}_second"
    graph = to_graph(first)
    inputs = {
        ref: keras.Input(batch_shape=graph.spec(ref).shape, dtype=graph.spec(ref).dtype, name=ref.node)
        for _, ref in refs_in(graph.inputs)
    }
    given = keras.tree.map_structure(lambda leaf: inputs.get(leaf, leaf), graph.inputs)
    try:
        model = keras.Model(given, parts[1](parts[0](given)), name=name)
    except (ValueError, TypeError) as error:
        raise GraphError(f"{second.name!r} does not take what {first.name!r} returns: {error}") from error
    return rewrite(model, [inline(f"{name}_first"), inline(f"{name}_second")], validate="structure")


class _Cut:
    """A model that is about to be cut, with the edits so far."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.source = to_graph(model)
        self.editor = GraphEditor(self.source, "extract")
        self.graph: ModelGraph = self.source

    def open(self, paths: Sequence[str]) -> dict[str, str]:
        """Take apart the nested models that paths lead into; return where each path leads now.

        Raises:
            GraphError: If one of them leads nowhere, or to a layer that no graph calls.
        """
        for path in paths:
            self._check(path)
        now = {path: path for path in paths}
        while True:
            self.graph = self.editor.finish()
            inner = next((m for path in now.values() if (m := self._model_on(path)) is not None), None)
            if inner is None:
                return now
            moved = self.editor.inline(inner)
            for path, where in now.items():
                for old, new in moved.items():
                    if where == old or where.startswith(old + "/"):
                        now[path] = new + where[len(old) :]
                        break

    def _check(self, path: str) -> None:
        try:
            self.editor.node(path)
        except GraphError as error:
            known = sites(self.source)
            inside = next((site for site in known if site.path == path), None)
            if inside is None:
                close = close_paths(re.sub("[*?]", "", path), known)
                glob = ", for a path is wanted here and no glob" if re.search("[*?]", path) else ""
                raise GraphError(
                    f"no layer {path!r} in {self.model.name!r}{glob}{close}. "
                    "`surgeon inspect` lists the layers by path and class"
                ) from error
            around = [n.path for n in World(self.source).nodes if covers(n.path, path)]
            if not around:
                raise GraphError(
                    f"{path!r} ({inside.class_name}) is held by an attribute of {self.model.name!r}, and no "
                    "graph calls it: none of its tensors is there. Cut at a layer that is called"
                ) from error
            outer = max(around, key=len)
            raise GraphError(
                f"{path!r} ({inside.class_name}) is a part of {outer!r}, which calls it in plain Python: "
                f"none of its tensors is in the graph. Cut at {outer!r}"
            ) from error

    def _model_on(self, path: str) -> str | None:
        models = [node.path for node in self.graph if node.inner is not None]
        return next((model for model in models if path.startswith(model + "/")), None)

    def refs(self, paths: Sequence[str]) -> list[Ref]:
        """Return the outputs of layers: of one that is called several times, all, in the order of the calls.

        Raises:
            GraphError: If there is no such layer, or it has several outputs.
        """
        found = []
        for path in paths:
            nodes = [node for node in self.graph if node.path == path]
            several = next((node for node in nodes if len(node.outputs) != 1), None)
            if several is not None:
                raise GraphError(f"{path!r} has {len(several.outputs)} outputs: cut at a layer that has one")
            # The graph is in the order in which calls could run, which is not that in which they were made.
            made = [call.outputs[0].name for call in _keras.inbound_nodes(nodes[0].op)]
            order = {name: number for number, name in enumerate(made)}
            nodes.sort(key=lambda node: order.get(node.outputs[0].name, len(order)))
            found += [Ref(node.key) for node in nodes]
        return found

    def crossing(self, ends: Sequence[Ref]) -> list[Ref]:
        """Return the tensors that go from what the ends depend on to the rest."""
        before, todo = set(), [ref.node for ref in ends]
        while todo:
            key = todo.pop()
            if key not in before:
                before.add(key)
                todo += [ref.node for ref in self.graph[key].inputs]
        read = [ref for node in self.graph if node.key not in before for ref in node.sources]
        read += [ref for _, ref in refs_in(self.graph.outputs)]
        found = dict.fromkeys(ref for ref in read if ref.node in before and not self.graph[ref.node].is_input)
        rest = [node for node in self.graph if node.key not in before and not node.is_input]
        if not rest:
            raise GraphError(f"nothing comes after {ends[0].node!r}: there is no second model")
        order = {node.key: number for number, node in enumerate(self.graph)}
        return sorted(found, key=lambda ref: (order[ref.node], ref.index))

    def between(self, starts: Sequence[Ref], ends: Sequence[Ref], name: str, *, only: bool) -> Any:
        """Return the model from some tensors to others."""
        editor, templates = self.editor, []
        if ends:
            editor.set_outputs(encoded(list(ends) if len(ends) > 1 else ends[0]))
        new: list[Ref] = []
        for number, ref in enumerate(starts):
            node = self.graph[ref.node]
            if node.is_input:
                new.append(ref)
                continue
            spec = node.outputs[ref.index]
            label = editor.free_name("", f"{node.name}_output{number or ''}")
            layer = keras.layers.InputLayer(batch_shape=spec.shape, dtype=spec.dtype, name=label)
            templates.append(Template(layer))
            instead, slot = [ref.node, ref.index], len(templates) - 1
            new.append(editor.add_input(layer, instead, shape=spec.shape, dtype=spec.dtype, slot=slot))
        needed = _needed(editor.finish())
        kept = [ref for _, ref in refs_in(self.graph.inputs) if ref.node in needed and ref not in new]
        if only and kept:
            raise GraphError(
                f"the outputs also depend on the input {kept[0].node!r}, which the start does not cut off: "
                f"add {kept[0].node!r} to start"
            )
        if starts or len(kept) != len(refs_in(self.graph.inputs)):
            inputs = [*new, *kept]
            editor.set_inputs(encoded(inputs if len(inputs) > 1 else inputs[0]))
        editor.prune()
        editor.settle_paths()
        plan = Plan(
            Architecture.of(self.source), (), {}, journal=tuple(editor.journal), templates=tuple(templates)
        )
        made = apply(plan, self.model, validate="structure", compilation=False)
        made.name = name
        return made


def _needed(graph: ModelGraph) -> set[str]:
    """Return the keys of the calls that a graph's outputs depend on."""
    seen: set[str] = set()
    todo = [ref.node for _, ref in refs_in(graph.outputs)]
    while todo:
        key = todo.pop()
        if key not in seen:
            seen.add(key)
            todo += [ref.node for ref in graph[key].inputs]
    return seen
