"""Google's Model Explorer: a graph as JSON, and the frozen share as its node data.

The formats are those of the packages `ai-edge-model-explorer` (graph collections) and of its custom
node data. Both files are opened by hand in the viewer; nothing of it is needed here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from surgeon.diagrams import LIGHT
from surgeon.diagrams.drawing import write_whole
from surgeon.diagrams.figures import Figures
from surgeon.diagrams.text import clean
from surgeon.diagrams.view import text_of_shape
from surgeon.exports.flat import FlatGraph, first_calls, flatten
from surgeon.graph import ModelGraph, Node


def to_model_explorer(
    graph: ModelGraph, path: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model as a graph collection of Model Explorer, and its frozen shares as node data.

    Args:
        graph: The model.
        path: Where to write the graph, ending in `.json`; the node data goes beside it, into
            `….frozen.json`. Nothing is written without it.

    Returns:
        The graph collection, and the node data: for each call with parameters the frozen percentage.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> collection, shares = surgeon.to_model_explorer(surgeon.to_graph(model))
        >>> collection["label"], shares["small"]["results"]
        ('small', {'head': {'value': 0.0}})
    """
    flat = flatten(graph)
    name = clean(graph.name) or "model"
    collection = {"label": name, "graphs": [{"id": name, "nodes": _nodes(flat)}]}
    shares = {
        clean(key): {"value": _percent(figures)}
        for key in flat.nodes
        if (figures := Figures.of(flat.nodes[key].weights)).parameters
    }
    # Each color up to its value: none of it frozen, some of it, all of it.
    colors = [(0, LIGHT.trainable), (99.9999, "#a6cbe3"), (100, LIGHT.frozen)]
    thresholds = [{"value": value, "bgColor": color} for value, color in colors]
    data = {name: {"name": "frozen %", "results": shares, "thresholds": thresholds}}
    if path is not None:
        path = Path(path)
        for where, value in ((path, collection), (path.with_suffix(".frozen.json"), data)):
            write_whole(where, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())
    return collection, data


def _percent(figures: Figures) -> float:
    """Return the frozen share, never rounded to nothing or to everything."""
    share = round(100 * figures.frozen / figures.parameters, 3)
    return min(share, 99.999) if figures.trainable else share


def _nodes(flat: FlatGraph) -> list[dict[str, Any]]:
    counted = set(first_calls(flat))
    incoming: dict[str, list[dict[str, str]]] = {key: [] for key in flat.nodes}
    for edge in flat.edges:
        incoming[edge.target].append(
            {
                "sourceNodeId": clean(edge.source),
                "sourceNodeOutputId": str(edge.port),
                "targetNodeInputId": str(len(incoming[edge.target])),
            }
        )
    return [
        {
            "id": clean(key),
            "label": clean(node.class_name),
            "namespace": clean(key.rpartition("/")[0]),
            "attrs": _attributes(node, key in counted),
            "incomingEdges": incoming[key],
            "outputsMetadata": [
                {"id": str(number), "attrs": [{"key": "shape", "value": text_of_shape(spec.shape)}]}
                for number, spec in enumerate(node.outputs)
            ],
        }
        for key, node in flat.nodes.items()
    ]


def _attributes(node: Node, counted: bool) -> list[dict[str, str]]:
    figures = Figures.of(node.weights)
    values = {"name": node.name, "path": node.path or node.name, "state": figures.share}
    if figures.total:
        values |= {"frozen": f"{figures.frozen:,}", "trainable": f"{figures.trainable:,}"}
        values |= {"moving statistics": f"{figures.state:,}" + (" (still)" if figures.still else "")}
    if figures.total and not counted:
        values["shared"] = "weights are those of an earlier call"
    return [{"key": key, "value": clean(value)} for key, value in values.items()]
