"""The graph of a model as plain, read-only data.

This floor knows nothing of Keras: a graph that was written as JSON is as good, for
everything but rebuilding, as one that was read from a live model.
"""

from surgeon.graph.change import Change
from surgeon.graph.edge_edits import encoded
from surgeon.graph.editing import Carrying, paths_beside
from surgeon.graph.editor import GraphEditor
from surgeon.graph.graph_json import graph_from_json, graph_to_json
from surgeon.graph.model_graph import Edge, ModelGraph
from surgeon.graph.node import Node, Ref, TensorSpec, Weight, map_leaves, refs_in

__all__ = [
    "Carrying",
    "Change",
    "Edge",
    "GraphEditor",
    "ModelGraph",
    "Node",
    "Ref",
    "TensorSpec",
    "Weight",
    "encoded",
    "graph_from_json",
    "graph_to_json",
    "map_leaves",
    "paths_beside",
    "refs_in",
]
