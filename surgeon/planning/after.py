"""The graph that a rewritten model will have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from surgeon import paths
from surgeon.graph import ModelGraph, Node
from surgeon.partial import Part


def after_graph(graph: ModelGraph, parts: Mapping[str, Part]) -> ModelGraph:
    """Return a graph in which the named weights train as their parts say."""
    return _relabel(graph, parts, {}) if parts else graph


def _relabel(graph: ModelGraph, parts: Mapping[str, Part], done: dict[int, ModelGraph]) -> ModelGraph:
    if id(graph) not in done:
        nodes = {key: _relabel_node(node, parts, done) for key, node in graph.nodes.items()}
        done[id(graph)] = replace(graph, nodes=nodes)
    return done[id(graph)]


def _relabel_node(node: Node, parts: Mapping[str, Part], done: dict[int, ModelGraph]) -> Node:
    # A shared nested model is read once, under its first path, and its weights are named by that.
    weights = tuple(
        replace(weight, trainable=parts[path].size)
        if (path := paths.join(node.path, weight.path)) in parts
        else weight
        for weight in node.weights
    )
    inner = None if node.inner is None else _relabel(node.inner, parts, done)
    return replace(node, weights=weights, inner=inner)
