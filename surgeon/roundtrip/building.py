"""Graph to Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from surgeon import _keras
from surgeon.errors import GraphError
from surgeon.graph import ModelGraph, Node, Ref, map_leaves
from surgeon.roundtrip.copying import Copier
from surgeon.roundtrip.models import assemble_model
from surgeon.roundtrip.reading import to_graph
from surgeon.roundtrip.state import carry_flags, carry_state, carry_tying, layer_pairs

Op = Any
Tensors = dict[Ref, Any]


def to_model(graph: ModelGraph, *, share: bool = False) -> Any:
    """Return a Keras model that computes what the graph says.

    Calls that were not touched are written down as they were; only calls whose operation or
    whose arguments changed are made anew. The model that the graph was read from stays as it is.

    Args:
        graph: A graph with live operations.
        share: Use the graph's own layers instead of copies.

    Raises:
        GraphError: If the graph was read from JSON and has no operations.
        CopyError: If a layer cannot be copied.

    Example:
        >>> import keras
        >>> from surgeon.roundtrip import to_graph
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> to_model(to_graph(model)).get_layer("d").units
        2
    """
    if not isinstance(graph, ModelGraph):
        raise GraphError(f"expected a ModelGraph, not {type(graph).__name__}: to_graph(model) makes one")
    return build(graph, shared=lambda node: share)


def build(graph: ModelGraph, shared: Callable[[Node], bool]) -> Any:
    """Build a model; `shared` says for which nodes the operation is used and not copied."""
    builder = _Builder(shared)
    model = builder.build(graph)
    remade = [pair for old, new in builder.copier.remade for pair in layer_pairs(old, new)]
    pairs = list({id(old): (old, new) for old, new in remade}.values())
    for old, new in pairs:
        carry_state(old, new)
    carry_tying(pairs, builder.copier.copies)
    for old, new in pairs:
        carry_flags(old, new)
    return model


class _Builder:
    def __init__(self, shared: Callable[[Node], bool]) -> None:
        self.shared = shared
        self.copier = Copier(lambda model: self.build(to_graph(model)))

    def build(self, graph: ModelGraph) -> Any:
        tensors: Tensors = {}
        stale: set[str] = set()
        for node in graph:
            if node.op is None:
                raise GraphError(f"{graph.name!r} was read from JSON: it has no layers to build a model from")
            self._call(node, self._op(node), tensors, stale)
        return assemble_model(graph, self.copier, _fill(graph.inputs, tensors), _fill(graph.outputs, tensors))

    def _op(self, node: Node) -> Op:
        copies = self.copier.copies
        if id(node.op) not in copies:
            copies[id(node.op)] = self._make(node)
        return copies[id(node.op)]

    def _make(self, node: Node) -> Op:
        if node.is_new or (self.shared(node) and not _is_edited(node)):
            return node.op
        if node.inner is not None:
            return self.build(node.inner)
        return self.copier.operation(node.op)

    def _call(self, node: Node, op: Op, tensors: Tensors, stale: set[str]) -> None:
        if node.is_input:
            outputs = _keras.inbound_nodes(op)[0].outputs
        else:
            fresh = node.is_new or any(ref.node in stale for ref in node.inputs)
            unbuilt = isinstance(op, keras.layers.Layer) and not op.built
            outputs = _call_anew(node, op, tensors) if fresh or unbuilt else _write_down(node, op, tensors)
            if fresh and [(tuple(t.shape), t.dtype) for t in outputs] != [
                (s.shape, s.dtype) for s in node.outputs
            ]:
                stale.add(node.key)
            if fresh and len(outputs) != len(node.outputs):
                raise GraphError(
                    f"{node.path!r} had {len(node.outputs)} outputs, its replacement has {len(outputs)}"
                )
        tensors.update((Ref(node.key, index), tensor) for index, tensor in enumerate(outputs))


def _is_edited(node: Node) -> bool:
    """Whether an edit changed something in the graph of a nested model."""
    return node.inner is not None and any(inner.is_new or _is_edited(inner) for inner in node.inner)


def _write_down(node: Node, op: Op, tensors: Tensors) -> list[Any]:
    """Record a call whose result is known, without asking the layer to infer anything."""
    outputs = [
        keras.KerasTensor(spec.shape, spec.dtype, sparse=spec.sparse, ragged=spec.ragged, name=spec.name)
        for spec in node.outputs
    ]
    args, kwargs = _fill(node.args, tensors), _fill(dict(node.kwargs), tensors)
    _keras.KerasNode(op, call_args=args, call_kwargs=kwargs, outputs=outputs)
    return outputs


def _call_anew(node: Node, op: Op, tensors: Tensors) -> list[Any]:
    kwargs = call_kwargs(node, op)
    try:
        return list(keras.tree.flatten(op(*_fill(node.args, tensors), **_fill(kwargs, tensors))))
    except (ValueError, TypeError) as error:
        raise GraphError(_why_not(node, op, error)) from error


def _why_not(node: Node, op: Op, error: Exception) -> str:
    if node.is_new:
        return f"{type(op).__name__} {op.name!r} cannot be called in the place of {node.path!r}: {error}"
    before = ", ".join(sorted({ref.node for ref in node.inputs}))
    return f"{node.path!r} no longer fits what comes before it ({before}), which a rule changed: {error}"


def call_kwargs(node: Node, op: Op) -> dict[str, Any]:
    """Return the keyword arguments for making a call anew, perhaps of another operation.

    Masks that Keras filled in are left out, it derives them again; and so is `None` for what the
    new operation does not take (the `mask=None` of a BatchNormalization).
    """
    return {
        name: value
        for name, value in node.kwargs.items()
        if name not in node.implicit_masks and not (value is None and not _keras.accepts(op, name))
    }


def _fill(structure: Any, tensors: Mapping[Ref, Any]) -> Any:
    return map_leaves(structure, lambda leaf: tensors[leaf] if type(leaf) is Ref else leaf)
