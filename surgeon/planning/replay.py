"""Doing the edits of a plan again, on the graph of any model of its architecture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras

from surgeon import paths
from surgeon.errors import ValidationError
from surgeon.graph import Change, GraphEditor, ModelGraph, Node
from surgeon.planning.templates import Template
from surgeon.roundtrip import sites, to_graph

if TYPE_CHECKING:
    from surgeon.planning.plan import Plan


def replay(journal: Sequence[Change], templates: Sequence[Template], graph: ModelGraph) -> GraphEditor:
    """Return an editor that has made all edits of a journal, with fresh copies of the new layers."""
    editor = GraphEditor(graph)
    ops = [template.make() for template in templates]
    for change in journal:
        editor.redo(change, ops)
    return editor


def edited_paths(plan: Plan, graph: ModelGraph) -> frozenset[str]:
    """Return the paths of the layers that a plan takes out of the model of a graph, or makes anew in it."""
    if not plan.journal:
        return frozenset()
    return changed_paths(graph, replay(plan.journal, plan.templates, graph).finish())


def changed_paths(before: ModelGraph, after: ModelGraph) -> frozenset[str]:
    """Return the paths of the layers that an edited graph has not, or has anew."""
    olds = {site.path: id(site.op) for site in sites(before)}
    news = {site.path: id(site.op) for site in sites(after)}
    both = olds.keys() & news.keys()
    # Around a nested model nothing changes but its graph; what is inside of it is looked at by itself.
    models = _models(before) & _models(after)
    moved = {path for path in both if olds[path] != news[path] and path not in models}
    return frozenset((olds.keys() ^ news.keys()) | moved)


def _models(graph: ModelGraph) -> set[str]:
    return {node.path for node in sites(graph) if node.inner is not None}


def check_built(graph: ModelGraph, model: Any) -> None:
    """Check that a model calls the layers that a graph says, and joins them as it says.

    Raises:
        ValidationError: If it does not; names the first layers that differ.
    """
    wanted, built = _calls(graph), _calls(to_graph(model))
    if wanted != built:
        lines = [f"planned: {_in_words(call)}" for call in sorted(wanted - built)[:3]]
        lines += [f"built: {_in_words(call)}" for call in sorted(built - wanted)[:3]]
        raise ValidationError(
            "\n  ".join([f"the rewritten {model.name!r} is not what was planned; this is a defect:", *lines])
        )


Call = tuple[str, str, tuple[str, ...], tuple[str, ...]]


def _in_words(call: Call) -> str:
    where, kind, reads, homes = call
    others = [home for home in homes if home != where]
    also = f", and is called as {', '.join(others)}, too" if others else ""
    return f"{kind} {where!r} reads {', '.join(reads) or 'nothing'}{also}"


def _calls(graph: ModelGraph) -> set[Call]:
    """Return every call of a layer: where it is, its class, what it is given, and where else it is called."""
    calls = list(_walk(graph, "", set()))
    homes: defaultdict[int, set[str]] = defaultdict(set)
    for where, node, _ in calls:
        homes[id(node.op)].add(where)
    # A nested model in which something changed may be of another class: its own would undo the edit.
    return {
        (
            where,
            "model" if node.inner is not None else node.class_name,
            reads,
            tuple(sorted(homes[id(node.op)])),
        )
        for where, node, reads in calls
    }


def _walk(graph: ModelGraph, model: str, seen: set[int]) -> Iterator[tuple[str, Node, tuple[str, ...]]]:
    """Yield the calls of layers, each by the models that it is in, and what it is given."""
    if id(graph) in seen:
        return
    seen.add(id(graph))
    for node in graph:
        # Operations on masks come and go as Keras derives them.
        if isinstance(node.op, keras.layers.Layer):
            yield paths.join(model, node.name), node, tuple(graph[ref.node].name for ref in node.sources)
        if node.inner is not None:
            yield from _walk(node.inner, paths.join(model, node.name), seen)
