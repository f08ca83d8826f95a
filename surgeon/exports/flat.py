"""A graph with nested models laid open: what viewers of flat graphs need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
from surgeon.graph.node import refs_in


@dataclass(frozen=True)
class FlatEdge:
    """One tensor from output `port` of a call to a call; keys are led by the nested models around."""

    source: str
    port: int
    target: str
    spec: TensorSpec


@dataclass(frozen=True)
class FlatGraph:
    """All calls at every depth, and the tensors between them.

    Attributes:
        nodes: Every call that is no nested model, by key led by the nested models around it.
        edges: The tensors, nested models' inputs and outputs passed through.
    """

    nodes: dict[str, Node]
    edges: tuple[FlatEdge, ...]


def flatten(graph: ModelGraph) -> FlatGraph:
    """Return the graph without nested models: their calls are joined to what is around them.

    A nested model that is called again is laid open again; its weights are the first call's.
    """
    nodes: dict[str, Node] = {}
    edges: list[FlatEdge] = []
    _add(graph, "", {}, nodes, edges)
    return FlatGraph(nodes, tuple(edges))


_Tensor = tuple[str, int]


def _add(
    graph: ModelGraph,
    prefix: str,
    fed: dict[str, tuple[_Tensor, TensorSpec]],
    nodes: dict[str, Node],
    edges: list[FlatEdge],
) -> list[_Tensor]:
    """Add one model; `fed` tells what each of its inputs is outside. Return its output tensors."""
    outputs: dict[str, list[_Tensor]] = {}

    def tensor(ref: Ref) -> _Tensor:
        found = outputs.get(ref.node)
        return found[min(ref.index, len(found) - 1)] if found else (prefix + ref.node, ref.index)

    for node in graph:
        key = prefix + node.key
        if node.inner is None:
            nodes[key] = node
            if node.key in fed:
                (source, port), spec = fed[node.key]
                edges.append(FlatEdge(source, port, key, spec))
            for ref in node.inputs:
                source, port = tensor(ref)
                edges.append(FlatEdge(source, port, key, graph.spec(ref)))
            continue
        entries = [ref.node for _, ref in refs_in(node.inner.inputs)]
        given = {
            entry: (tensor(ref), graph.spec(ref)) for entry, ref in zip(entries, node.inputs, strict=False)
        }
        outputs[node.key] = _add(node.inner, key + "/", given, nodes, edges)
    return [tensor(ref) for _, ref in refs_in(graph.outputs)]


def first_calls(flat: FlatGraph) -> Iterator[str]:
    """Yield the keys of the calls that a layer's weights are counted at: each path once."""
    seen: set[str] = set()
    for key, node in flat.nodes.items():
        path = node.path or node.name
        if node.call_index == 0 and path not in seen:
            seen.add(path)
            yield key
