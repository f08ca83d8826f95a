"""Graph to Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras

from surgeon import _keras
from surgeon.errors import GraphError
from surgeon.graph import ModelGraph, Node, Ref, map_leaves
from surgeon.roundtrip.collection import without_collection
from surgeon.roundtrip.copying import Copier
from surgeon.roundtrip.models import assemble_model
from surgeon.roundtrip.reading import live_tensors, to_graph
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


@without_collection()
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
        edited = is_edited(graph)
        if edited:
            _number_on(node.name for node in graph if not isinstance(node.op, keras.layers.Layer))
        for node in graph:
            if self._is_kept(node):
                self.copier.keep(node.op)
        made = _Made(live_tensors(graph.model) if graph.model is not None else {}, edited)
        for node in graph:
            if node.op is None:
                raise GraphError(f"{graph.name!r} was read from JSON: it has no layers to build a model from")
            self._call(node, graph, made)
        if not edited:
            for node in graph:
                self._mask(node, made)
        inputs, outputs = (_fill(structure, made.tensors) for structure in (graph.inputs, graph.outputs))
        return assemble_model(graph, self.copier, inputs, outputs, edited=edited)

    def _op(self, node: Node) -> Op:
        copies = self.copier.copies
        if id(node.op) not in copies:
            copies[id(node.op)] = self._make(node)
        return copies[id(node.op)]

    def _is_kept(self, node: Node) -> bool:
        """Whether the new model has the source's own layer."""
        return node.op is not None and not (
            node.is_new or node.op.name != node.name or not self.shared(node) or _holds_edits(node)
        )

    def _make(self, node: Node) -> Op:
        renamed = node.op.name != node.name
        if node.is_new and renamed:
            self.renamed.append((node.op, node.op.name))
            node.op.name = node.name
        if node.is_new or self._is_kept(node):
            return node.op
        if node.inner is not None:
            return self.build(node.inner)
        copied = self.copier.operation(node.op)
        if renamed:
            copied.name = node.name
            self.renamed.append((copied, node.op.name))
        return copied

    def _call(self, node: Node, graph: ModelGraph, made: _Made) -> None:
        if node.key in made.called:
            return
        made.called.add(node.key)
        outputs = self._outputs(node, self._op(node), made)
        for index, tensor in enumerate(outputs):
            ref = Ref(node.key, index)
            made.tensors[ref] = tensor
            if ref in made.live:
                self.copier.copies[id(made.live[ref])] = tensor
        if made.edited:
            # At once, for whatever is called anew next; what the masks are made of comes before.
            for key in made.mask_makers(node):
                if key in graph.nodes:
                    self._call_first(graph[key], graph, made)
            self._mask(node, made)

    def _outputs(self, node: Node, op: Op, made: _Made) -> list[Any]:
        """Make a call, or write it down where its result is known."""
        if node.is_input:
            if not _keras.inbound_nodes(op):
                _keras.start_graph(op, _write_down(node, op, ((), {}))[0])
            outputs: list[Any] = _keras.inbound_nodes(op)[0].outputs
            made.note(node, outputs, fresh=node.is_new)
        elif op is node.op and (kept := made.kept(node)) is not None:
            outputs = kept
        else:
            fresh = made.is_fresh(node)
            unbuilt = isinstance(op, keras.layers.Layer) and not op.built
            known = None if fresh else self._known(node, made)
            if known is not None:
                outputs = known
            elif fresh or unbuilt:
                outputs = _call_anew(node, op, self._arguments(node, call_kwargs(node, op), made))
            else:
                outputs = _write_down(node, op, self._arguments(node, dict(node.kwargs), made))
            made.note(node, outputs, fresh=fresh or unbuilt)
        return outputs

    def _call_first(self, node: Node, graph: ModelGraph, made: _Made) -> None:
        """Make a call before its turn, and all that it reads."""
        waiting = [node]
        while waiting:
            missing = [graph[ref.node] for ref in waiting[-1].inputs if ref not in made.tensors]
            if missing:
                waiting += missing
            else:
                self._call(waiting.pop(), graph, made)

    def _known(self, node: Node, made: _Made) -> list[Any] | None:
        """Return the outputs of a call that is part of a second model, too, and was made there already.

        A model that an attribute of another holds often has its calls in common with it.
        """
        refs = [Ref(node.key, index) for index in range(len(node.outputs))]
        tensors = [self.copier.copies.get(id(made.live[ref])) if ref in made.live else None for ref in refs]
        return None if any(tensor is None for tensor in tensors) else tensors

    def _arguments(self, node: Node, kwargs: dict[str, Any], made: _Made) -> tuple[Any, Any]:
        def argument(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return made.tensors[leaf]
            return self.copier.value(leaf) if isinstance(leaf, keras.Variable) else leaf

        return keras.tree.map_structure(argument, node.args), keras.tree.map_structure(argument, kwargs)

    def _mask(self, node: Node, made: _Made) -> None:
        """Give the outputs of a call that was written down the implicit masks that go with them."""
        if node.key in made.fresh or node.key in made.as_it_was:
            return  # Keras has done it
        outputs = [made.tensors[Ref(node.key, index)] for index in range(len(node.outputs))]
        masks = [made.mask(Ref(node.key, index)) for index in range(len(node.outputs))]
        op = self.copier.copies[id(node.op)]
        if node.key in made.remade:
            _keras.derive_masks(op, *self._arguments(node, call_kwargs(node, op), made), outputs)
        elif any(mask is not None and id(mask) not in self.copier.copies for mask in masks):
            _keras.derive_masks(op, *self._arguments(node, dict(node.kwargs), made), outputs)
        else:
            for tensor, mask in zip(outputs, masks, strict=True):
                if mask is not None:
                    _keras.set_keras_mask(tensor, self.copier.copies[id(mask)])


@dataclass
class _Made:
    """What is known of a model while it is built.

    Attributes:
        live: The tensors of the model that the graph was read from.
        edited: Whether the graph is another one than that model's.
        tensors: Those of the new model.
        fresh: Calls that were made anew.
        stale: Calls whose outputs have another shape than before.
        remade: Calls that were made anew, and all that depend on them: implicit masks may differ.
        as_it_was: Calls of the source that are part of the new model, too.
        called: Calls that were made.
    """

    live: Mapping[Ref, Any]
    edited: bool
    tensors: Tensors = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    remade: set[str] = field(default_factory=set)
    as_it_was: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)

    @cached_property
    def _makers(self) -> dict[int, str]:
        return {id(tensor): ref.node for ref, tensor in self.live.items()}

    def mask_makers(self, node: Node) -> list[str]:
        """Return the calls, not made yet, that the masks of a node's outputs come from."""
        if node.key in self.remade or node.key in self.as_it_was:
            return []
        masks = [self.mask(Ref(node.key, index)) for index in range(len(node.outputs))]
        keys = [self._makers.get(id(mask)) for mask in masks if mask is not None]
        return [key for key in keys if key is not None and key not in self.called]

    def kept(self, node: Node) -> list[Any] | None:
        """Return the outputs of the call in the source, if the call itself can be part of the new model.

        That is so for a layer that both have, as long as all before it is shared, too.
        """
        if self.is_fresh(node) or any(self.tensors[ref] is not self.live.get(ref) for ref in node.inputs):
            return None
        tensors = [self.live.get(Ref(node.key, index)) for index in range(len(node.outputs))]
        if any(tensor is None or _keras.operation_of(tensor) is not node.op for tensor in tensors):
            return None
        given = keras.tree.flatten((node.args, node.kwargs))
        if any(isinstance(leaf, keras.Variable) for leaf in given):
            return None
        self.as_it_was.add(node.key)
        return tensors

    def mask(self, ref: Ref) -> Any:
        """Return the implicit mask that a tensor had in the source."""
        return _keras.get_keras_mask(self.live[ref]) if ref in self.live else None

    def is_fresh(self, node: Node) -> bool:
        """Whether a call must be made anew, because its result, or what it is masked by, may be another."""
        return (
            node.is_new
            or node.is_rewired
            or _holds_edits(node)
            or any(ref.node in self.stale for ref in node.inputs)
            or any(ref.node in self.remade and self._is_masked(ref) for ref in node.inputs)
        )

    def _is_masked(self, ref: Ref) -> bool:
        return self.mask(ref) is not None or _keras.get_keras_mask(self.tensors[ref]) is not None

    def note(self, node: Node, outputs: list[Any], *, fresh: bool) -> None:
        """Note the outcome of a call.

        Raises:
            GraphError: If it has another number of outputs than before.
        """
        if len(outputs) != len(node.outputs):
            raise GraphError(
                f"{node.path!r} had {len(node.outputs)} outputs, its replacement has {len(outputs)}"
            )
        now = [(tuple(tensor.shape), tensor.dtype) for tensor in outputs]
        if now != [(spec.shape, spec.dtype) for spec in node.outputs]:
            self.stale.add(node.key)
        if fresh:
            self.fresh.add(node.key)
        if fresh or any(ref.node in self.remade for ref in node.inputs):
            self.remade.add(node.key)


def _number_on(names: Iterable[str]) -> None:
    """Let Keras give other names than these to the operations that it makes for masks.

    It counts the names that it made up. A model that was loaded, or made before a session was cleared,
    has names that were not counted.
    """
    for name in names:
        prefix, _, number = name.rpartition("_")
        prefix, last = (prefix, int(number)) if prefix and number.isdecimal() else (name, 0)
        while keras.backend.get_uid(prefix) <= last:
            pass


def is_edited(graph: ModelGraph) -> bool:
    """Whether an edit changed which layers a graph calls, or how they are joined."""
    old = graph.model
    if any(node.is_new or node.is_rewired or _holds_edits(node) for node in graph):
        return True
    functional = None if old is None else _keras.functional_of(old)
    return functional is not None and len(_keras.nodes_in_order(functional)) != len(graph)


def _holds_edits(node: Node) -> bool:
    return node.inner is not None and is_edited(node.inner)


def _write_down(node: Node, op: Op, arguments: tuple[Any, Any]) -> list[Any]:
    """Record a call whose result is known, without asking the layer to infer anything."""
    outputs = [
        keras.KerasTensor(spec.shape, spec.dtype, sparse=spec.sparse, ragged=spec.ragged, name=spec.name)
        for spec in node.outputs
    ]
    args, kwargs = arguments
    _keras.KerasNode(op, call_args=args, call_kwargs=kwargs, outputs=outputs)
    return outputs


def _call_anew(node: Node, op: Op, arguments: tuple[Any, Any]) -> list[Any]:
    args, kwargs = arguments
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
