"""What a graph computes, worked out call by call: a second opinion on what surgery made of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from surgeon.graph import ModelGraph, Node, Ref, refs_in

Values = dict[Ref, Any]
Around = Callable[[Node, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Is called in the place of each call of the outermost model: with its node, operation and arguments."""


def evaluate(
    graph: ModelGraph,
    inputs: Any,
    reading: Mapping[tuple[str, Ref], Ref] | None = None,
    around: Around | None = None,
) -> Values:
    """Call every operation of a graph on real tensors, in order, and return all tensors.

    Nothing of the model that the graph was read from is used but its layers.

    Args:
        graph: A graph that was read from a live model.
        inputs: In the structure of the model's inputs.
        reading: Which tensor a node reads instead of another, as `(key of the node, old): new`.
        around: Is called in the place of each call.
    """
    swaps = dict(reading or {})
    values: Values = {
        ref: keras.ops.convert_to_tensor(value)
        for (_, ref), value in zip(refs_in(graph.inputs), keras.tree.flatten(inputs), strict=True)
    }
    for node in _order(graph, swaps):
        if node.is_input:
            continue

        def value(leaf: Any, key: str = node.key) -> Any:
            return values[swaps.get((key, leaf), leaf)] if isinstance(leaf, Ref) else leaf

        kwargs = {name: arg for name, arg in node.kwargs.items() if name not in node.implicit_masks}
        args, kwargs = keras.tree.map_structure(value, (tuple(node.args), dict(kwargs)))
        result = node.op(*args, **kwargs) if around is None else around(node, node.op, args, kwargs)
        for index, tensor in enumerate(keras.tree.flatten(result)):
            values[Ref(node.key, index)] = tensor
    return values


def outputs_of(graph: ModelGraph, values: Values) -> Any:
    """Return what the model returns, in its structure."""
    return keras.tree.map_structure(lambda ref: values[ref], graph.outputs)


def _order(graph: ModelGraph, swaps: Mapping[tuple[str, Ref], Ref]) -> list[Node]:
    """Return the nodes so that each comes after all that it reads, swapped tensors included."""
    done: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key not in done:
            for ref in node.inputs:
                visit(graph[swaps.get((node.key, ref), ref).node])
            done[node.key] = node

    for node in graph:
        visit(node)
    return list(done.values())
