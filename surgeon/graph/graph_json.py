"""Graphs as stable JSON: structure and shapes, no values of weights and no operations.

The same model gives the same text in every process: nothing in it depends on object identities
or on names that Keras makes up for tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surgeon.errors import GraphError
from surgeon.graph.model_graph import ModelGraph
from surgeon.graph.node import Node, Ref, TensorSpec, Weight

FORMAT = 1


@dataclass(frozen=True)
class Constant:
    """A constant of which only the kind is known."""

    kind: str


def graph_to_json(graph: ModelGraph, *, indent: int | None = 1) -> str:
    """Return a graph as JSON text.

    Constants in the arguments of a call that JSON does not know (arrays, variables) are written
    as a description of their kind.

    Example:
        >>> spec = TensorSpec((None, 2), "float32")
        >>> node = Node("x", "x", "x", "InputLayer", outputs=(spec,), is_input=True)
        >>> graph = ModelGraph("m", "Functional", {"x": node}, [Ref("x")], [Ref("x")])
        >>> graph_from_json(graph_to_json(graph)) == graph
        True
    """
    return json.dumps({"surgeon_graph": FORMAT, **_graph(graph)}, indent=indent, ensure_ascii=False)


def graph_from_json(text: str) -> ModelGraph:
    """Return the graph that `graph_to_json` described; its nodes have no operations.

    Raises:
        GraphError: If the text is not such a graph.
    """
    try:
        data = json.loads(text)
        if data.get("surgeon_graph") != FORMAT:
            raise GraphError(
                f"this is no graph of format {FORMAT}: surgeon_graph is {data.get('surgeon_graph')!r}"
            )
        return _read_graph(data)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise GraphError(f"damaged graph: {type(error).__name__}: {error}") from error


def _graph(graph: ModelGraph) -> dict[str, Any]:
    return {
        "name": graph.name,
        "class": graph.class_name,
        "inputs": _structure(graph.inputs),
        "outputs": _structure(graph.outputs),
        "nodes": [_node(node) for node in graph],
        "held": [_node(node) for node in graph.held],
    }


def _node(node: Node) -> dict[str, Any]:
    described: dict[str, Any] = {
        "key": node.key,
        "name": node.name,
        "path": node.path,
        "class": node.class_name,
    }
    optional = {
        "call": node.call_index,
        "args": [_structure(arg) for arg in node.args],
        "kwargs": {name: _structure(value) for name, value in node.kwargs.items()},
        "implicit_masks": list(node.implicit_masks),
        "outputs": [_spec(spec) for spec in node.outputs],
        "weights": [_weight(weight) for weight in node.weights],
        "is_input": node.is_input,
        "inner": _graph(node.inner) if node.inner is not None else None,
    }
    return described | {name: value for name, value in optional.items() if value}


def _weight(weight: Weight) -> list[Any]:
    described = [weight.path, list(weight.shape), weight.dtype, weight.role, weight.trainable]
    return [*described, True] if weight.still else described


def _spec(spec: TensorSpec) -> list[Any]:
    kinds = [kind for kind in ("sparse", "ragged") if getattr(spec, kind)]
    return [list(spec.shape), spec.dtype, *kinds]


def _structure(value: Any) -> Any:
    if isinstance(value, Ref):
        return {"ref": [value.node, value.index]}
    if isinstance(value, Mapping):
        return {"dict": {str(key): _structure(item) for key, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_structure(item) for item in value]}
    if isinstance(value, list):
        return [_structure(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return {"constant": value.kind if isinstance(value, Constant) else _kind(value)}


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else str(tuple(shape)))


def _read_graph(data: Mapping[str, Any]) -> ModelGraph:
    nodes = [_read_node(node) for node in data["nodes"]]
    return ModelGraph(
        name=data["name"],
        class_name=data["class"],
        nodes={node.key: node for node in nodes},
        inputs=_read_structure(data["inputs"]),
        outputs=_read_structure(data["outputs"]),
        held=tuple(_read_node(node) for node in data["held"]),
    )


def _read_node(data: Mapping[str, Any]) -> Node:
    return Node(
        key=data["key"],
        name=data["name"],
        path=data["path"],
        class_name=data["class"],
        call_index=data.get("call", 0),
        args=tuple(_read_structure(arg) for arg in data.get("args", ())),
        kwargs={name: _read_structure(value) for name, value in data.get("kwargs", {}).items()},
        outputs=tuple(_read_spec(spec) for spec in data.get("outputs", ())),
        weights=tuple(Weight(w[0], tuple(w[1]), *w[2:]) for w in data.get("weights", ())),
        is_input=data.get("is_input", False),
        inner=_read_graph(data["inner"]) if "inner" in data else None,
        implicit_masks=tuple(data.get("implicit_masks", ())),
    )


def _read_spec(data: list[Any]) -> TensorSpec:
    return TensorSpec(tuple(data[0]), data[1], sparse="sparse" in data[2:], ragged="ragged" in data[2:])


def _read_structure(data: Any) -> Any:
    if isinstance(data, list):
        return [_read_structure(item) for item in data]
    if not isinstance(data, Mapping):
        return data
    (kind, value), *_ = data.items()
    if kind == "ref":
        return Ref(*value)
    if kind == "dict":
        return {key: _read_structure(item) for key, item in value.items()}
    if kind == "tuple":
        return tuple(_read_structure(item) for item in value)
    return Constant(value)
