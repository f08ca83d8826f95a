"""The graph of a model as plain, read-only data.

This floor knows nothing of Keras: a graph that was written as JSON is as good, for
everything but rebuilding, as one that was read from a live model.
"""

from surgeon.graph.editor import Change, GraphEditor
from surgeon.graph.graph_json import graph_from_json, graph_to_json
from surgeon.graph.model_graph import Edge, ModelGraph
from surgeon.graph.node import Node, Ref, TensorSpec, Weight, map_leaves

__all__ = [
    "Change",
    "Edge",
    "GraphEditor",
    "ModelGraph",
    "Node",
    "Ref",
    "TensorSpec",
    "Weight",
    "graph_from_json",
    "graph_to_json",
    "map_leaves",
]
