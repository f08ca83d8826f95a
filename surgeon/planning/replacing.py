"""Trying a replacement layer before the model is touched."""

from __future__ import annotations

import re
from typing import Any

import keras

from surgeon.errors import GraphError
from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
from surgeon.roundtrip.building import call_kwargs
from surgeon.roundtrip.copying import copy_op, stock_class
from surgeon.roundtrip.reading import spec_of


def template(layer: Any, node: Node) -> Any:
    """Return a copy of a layer to put in place of a node, under the node's name if it has none.

    A name that Keras made up is no name: the layer takes over the one of the layer it replaces.
    """
    copied = copy_op(layer)
    if layer.built:
        copied.set_weights(layer.get_weights())
    if re.fullmatch(rf"{_snake(stock_class(layer).__name__)}(_\d+)?", layer.name):
        copied.name = node.name
    return copied


def _snake(name: str) -> str:
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()


def try_layer(layer: Any, node: Node, graph: ModelGraph) -> tuple[Any, list[TensorSpec]]:
    """Call a copy of a layer on tensors like those of the node; return the copy and its outputs.

    Raises:
        GraphError: If the layer cannot be called on them.
    """
    copied = copy_op(layer)
    specs = _graph_of(node, graph)

    def tensor(leaf: Any) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        spec = specs.spec(leaf)
        return keras.KerasTensor(spec.shape, spec.dtype, sparse=spec.sparse)

    kwargs = call_kwargs(node, copied)
    try:
        args = keras.tree.map_structure(tensor, node.args)
        outputs = copied(*args, **keras.tree.map_structure(tensor, kwargs))
    except (ValueError, TypeError) as error:
        kind = type(layer).__name__
        raise GraphError(
            f"{kind} {layer.name!r} cannot be called in the place of {node.path!r}: {error}"
        ) from error
    return copied, [spec_of(output) for output in keras.tree.flatten(outputs)]


def _graph_of(node: Node, graph: ModelGraph) -> ModelGraph:
    """Return the graph, nested or not, that a node is part of."""
    if any(other is node for other in graph):
        return graph
    inner = [each.inner for each in graph if each.inner is not None]
    return next(
        found for found in (_graph_of(node, nested) for nested in inner if _holds(node, nested)) if found
    )


def _holds(node: Node, graph: ModelGraph) -> bool:
    return any(other is node or (other.inner is not None and _holds(node, other.inner)) for other in graph)
