"""Heads and channels of attention layers: along which axes of which weights they lie."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from surgeon.graph import ModelGraph, Node, Ref, refs_in
from surgeon.planning.channel_uses import Along, Count, Ids, Uses

HEADS = {
    "MultiHeadAttention": ("num_heads", "num_heads"),
    "GroupQueryAttention": ("num_query_heads", "num_key_value_heads"),
    "GroupedQueryAttention": ("num_query_heads", "num_key_value_heads"),
}
"""By class of a layer that has heads: the settings that count those of query, and of key and value."""

OUTPUT = "_output_dense/kernel"
VALUE = "_value_dense/kernel"


def call_arguments(node: Node) -> dict[str, Any]:
    """Return what an attention layer was given, by name; its key is its value unless given."""
    given = inspect.signature(node.op.call).bind(*node.args, **node.kwargs).arguments
    found = {name: value for name, value in given.items() if value is not None}
    return {**found, "key": found.get("key", found["value"])}


def attention_uses(node: Node, reads: Mapping[str, Ids], makes: Ids, queries: Ids, keys: Ids) -> Uses:
    """Return the heads and channels of an attention layer.

    Args:
        node: A call of the layer.
        reads: Channels of its query, value and key.
        makes: Its output channels; none if its output has several axes of them.
        queries: Identity of each head of the query.
        keys: Identity of each head of key and value.
    """
    along = []
    for part, heads in (("query", queries), ("key", keys), ("value", keys), ("gate", queries)):
        source = "query" if part == "gate" else part
        along += [Along(f"_{part}_dense/kernel", 0, reads[source]), Along(f"_{part}_dense/kernel", 1, heads)]
        along += [Along(f"_{part}_dense/bias", 0, heads)]
    along += [Along(OUTPUT, 0, queries)]
    if len(makes):
        along += [Along(OUTPUT, -1, makes), Along("_output_dense/bias", 0, makes)]
    of_query, of_key = HEADS[node.class_name]

    def settings(count: Count) -> dict[str, Any]:
        numbers: dict[str, Any] = {of_key: count(keys), of_query: count(queries)}
        fixed = node.config.get("output_shape")
        if len(makes) and "output_shape" in node.config and (fixed or count(makes) != count(reads["query"])):
            numbers["output_shape"] = [count(makes)]
        return numbers

    return Uses(node, makes, tuple(along), settings, queries)


def why_fixed(node: Node, graph: ModelGraph) -> str:
    """Return why no head of a layer can go, by one of its calls; empty if they can.

    Args:
        node: A call of the layer.
        graph: The graph that it is in.
    """
    given = call_arguments(node)
    mask, query = given.get("attention_mask"), given["query"]
    if mask is not None:
        shape, rank = _shape(mask, graph), len(_shape(query, graph))
        axes = len(node.config.get("attention_axes") or range(1, rank - 1))
        # The scores are (..., heads, targets, sources), as many axes of the two as are attended over.
        if len(shape) == rank + axes and shape[-2 * axes - 1] != 1:
            return f"{node.path!r} is given an attention mask that differs from head to head"
    if len(node.outputs) == 1:
        return ""
    scores = Ref(node.key, 1)
    readers = [other.path for other in graph if scores in other.inputs]
    if readers:
        return f"{readers[0]!r} reads the attention scores of {node.path!r}, one for each head"
    if any(ref == scores for _, ref in refs_in(graph.outputs)):
        return f"the attention scores of {node.path!r}, one for each head, are an output of the model"
    return ""


def _shape(tensor: Any, graph: ModelGraph) -> tuple[Any, ...]:
    return graph.spec(tensor).shape if isinstance(tensor, Ref) else np.shape(tensor)
