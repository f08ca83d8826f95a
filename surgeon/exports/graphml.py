"""GraphML: for Gephi, yEd, Cytoscape, and `networkx` itself."""

from __future__ import annotations

import os
from pathlib import Path

import networkx as nx

from surgeon.diagrams.drawing import write_whole
from surgeon.diagrams.figures import Figures
from surgeon.diagrams.text import clean
from surgeon.diagrams.view import text_of_shape
from surgeon.exports.flat import first_calls, flatten
from surgeon.graph import ModelGraph


def to_graphml(graph: ModelGraph, path: str | os.PathLike[str] | None = None) -> str:
    """Return a model as GraphML, nested models laid open; write it if a path is given.

    Each node has `name`, `path`, `class`, `shape`, `frozen`, `trainable`, `state`, `still` (elements;
    what holds still is state, too) and `freeze` (`frozen`, `partial`, `trainable`, `state`, `still` or
    `none`); each edge the `shape`, without the batch dimension, and the `dtype` of its tensor. A shared
    layer's elements stand at its first call alone, so that sums over the nodes are those of the model.

    Example:
        >>> import networkx as nx
        >>> text = to_graphml(ModelGraph("tiny", "Functional", {}, (), ()))
        >>> len(nx.parse_graphml(text, force_multigraph=True))
        0
    """
    flat = flatten(graph)
    counted = set(first_calls(flat))
    made: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=clean(graph.name))
    for key, node in flat.nodes.items():
        figures = Figures.of(node.weights if key in counted else ())
        made.add_node(
            clean(key),
            **{
                "name": clean(node.name),
                "path": clean(node.path or node.name),
                "class": clean(node.class_name),
                "shape": text_of_shape(node.outputs[0].shape) if node.outputs else "",
                "frozen": figures.frozen,
                "trainable": figures.trainable,
                "state": figures.state,
                "still": figures.still,
                "freeze": figures.freeze,
            },
        )
    for edge in flat.edges:
        shape = text_of_shape(edge.spec.shape)
        made.add_edge(clean(edge.source), clean(edge.target), shape=shape, dtype=edge.spec.dtype)
    text = "\n".join(nx.generate_graphml(made)) + "\n"
    if path is not None:
        write_whole(Path(path), text.encode())
    return text
