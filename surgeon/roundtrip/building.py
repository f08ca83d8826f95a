"""Graph to Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    for layer, old_name in builder.renamed:
        if isinstance(layer, keras.layers.Layer):
            _keras.rename_variables(layer, old_name)
    return model


class _Builder:
    def __init__(self, shared: Callable[[Node], bool]) -> None:
        self.shared = shared
        self.renamed: list[tuple[Op, str]] = []
        self.copier = Copier(lambda model: self.build(to_graph(model)))

    def build(self, graph: ModelGraph) -> Any:
        tensors: Tensors = {}
        edited = is_edited(graph)
        calls = _Calls(derives_masks=edited and any(node.implicit_masks for node in graph))
        for node in graph:
            if node.op is None:
                raise GraphError(f"{graph.name!r} was read from JSON: it has no layers to build a model from")
            self._call(node, self._op(node), tensors, calls)
        inputs, outputs = _fill(graph.inputs, tensors), _fill(graph.outputs, tensors)
        return assemble_model(graph, self.copier, inputs, outputs, edited=edited)

    def _op(self, node: Node) -> Op:
        copies = self.copier.copies
        if id(node.op) not in copies:
            copies[id(node.op)] = self._make(node)
        return copies[id(node.op)]

    def _make(self, node: Node) -> Op:
        renamed = node.op.name != node.name
        if node.is_new or (self.shared(node) and not _holds_edits(node) and not renamed):
            return node.op
        if node.inner is not None:
            return self.build(node.inner)
        copied = self.copier.operation(node.op)
        if renamed:
            copied.name = node.name
            self.renamed.append((copied, node.op.name))
        return copied

    def _call(self, node: Node, op: Op, tensors: Tensors, calls: _Calls) -> None:
        if node.is_input:
            outputs = _keras.inbound_nodes(op)[0].outputs
            calls.note(node, outputs, fresh=node.is_new)
        else:
            fresh = calls.is_fresh(node)
            unbuilt = isinstance(op, keras.layers.Layer) and not op.built
            outputs = _call_anew(node, op, tensors) if fresh or unbuilt else _write_down(node, op, tensors)
            if calls.derives_masks and not (fresh or unbuilt):
                _keras.derive_masks(op, _fill(node.args, tensors), outputs)
            calls.note(node, outputs, fresh=fresh)
            if fresh and len(outputs) != len(node.outputs):
                raise GraphError(
                    f"{node.path!r} had {len(node.outputs)} outputs, its replacement has {len(outputs)}"
                )
        tensors.update((Ref(node.key, index), tensor) for index, tensor in enumerate(outputs))


@dataclass
class _Calls:
    """Which calls must be made anew: because of an edit, or because what they read was made anew.

    Attributes:
        derives_masks: Whether calls that are written down get the masks that calling would give them.
        stale: Calls whose outputs have another shape or dtype than before.
        remade: Calls that were made anew, and all that follow: Keras may derive other masks there.
    """

    derives_masks: bool
    stale: set[str] = field(default_factory=set)
    remade: set[str] = field(default_factory=set)

    def is_fresh(self, node: Node) -> bool:
        edited = node.is_new or node.is_rewired or _holds_edits(node)
        masked = bool(node.implicit_masks) and any(ref.node in self.remade for ref in node.inputs)
        return edited or masked or any(ref.node in self.stale for ref in node.inputs)

    def note(self, node: Node, outputs: list[Any], *, fresh: bool) -> None:
        now = [(tuple(tensor.shape), tensor.dtype) for tensor in outputs]
        if fresh and now != [(spec.shape, spec.dtype) for spec in node.outputs]:
            self.stale.add(node.key)
        if fresh or any(ref.node in self.remade for ref in node.inputs):
            self.remade.add(node.key)


def is_edited(graph: ModelGraph) -> bool:
    """Whether an edit changed which layers a graph calls, or how they are joined."""
    old = graph.model
    if any(node.is_new or node.is_rewired or _holds_edits(node) for node in graph):
        return True
    functional = None if old is None else _keras.functional_of(old)
    return functional is not None and len(_keras.nodes_in_order(functional)) != len(graph)


def _holds_edits(node: Node) -> bool:
    return node.inner is not None and is_edited(node.inner)


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
    args, kwargs = _fill(node.args, tensors), _fill(call_kwargs(node, op), tensors)
    if kwargs and len(args) == 1 and "mask" not in kwargs and _keras.accepts(op, "mask"):
        # Keras derives the mask, but with other keyword arguments given it does not write it down.
        masks = keras.tree.map_structure(_keras.get_keras_mask, args[0])
        if any(mask is not None for mask in keras.tree.flatten(masks)):
            kwargs["mask"] = masks
    try:
        return list(keras.tree.flatten(op(*args, **kwargs)))
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
