"""The graph that a rewritten model will have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from surgeon import paths
from surgeon.graph import ModelGraph, Node


def after_graph(graph: ModelGraph, sizes: Mapping[str, int]) -> ModelGraph:
    """Return a graph in which so many elements of the named weights train."""
    return _relabel(graph, sizes, {}) if sizes else graph


def _relabel(graph: ModelGraph, sizes: Mapping[str, int], done: dict[int, ModelGraph]) -> ModelGraph:
    if id(graph) not in done:
        nodes = {key: _relabel_node(node, sizes, done) for key, node in graph.nodes.items()}
        done[id(graph)] = replace(graph, nodes=nodes)
    return done[id(graph)]


def _relabel_node(node: Node, sizes: Mapping[str, int], done: dict[int, ModelGraph]) -> Node:
    # A shared nested model is read once, under its first path, and its weights are named by that.
    weights = tuple(
        replace(weight, trainable=sizes[path])
        if (path := paths.join(node.path, weight.path)) in sizes
        else weight
        for weight in node.weights
    )
    inner = None if node.inner is None else _relabel(node.inner, sizes, done)
    return replace(node, weights=weights, inner=inner)
