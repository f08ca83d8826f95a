"""What an edited graph computes: shapes anew, and which layers no longer fit what they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from surgeon import _keras
from surgeon.errors import CopyError, GraphError
from surgeon.graph import ModelGraph, Node, Ref, TensorSpec
from surgeon.roundtrip.building import call_kwargs
from surgeon.roundtrip.copying import same_weights, stock_class
from surgeon.roundtrip.reading import Config, layer_weights, spec_of, stock_config

Specs = dict[Ref, TensorSpec]


@dataclass
class Settled:
    """An edited graph with the shapes that it really has.

    Attributes:
        graph: The graph.
        misfits: Path of each layer that cannot read what it is given now, with a fresh layer of the
            same configuration that can. The graph says what there will be once they are replaced.
    """

    graph: ModelGraph
    misfits: dict[str, Any] = field(default_factory=dict)


def settle(graph: ModelGraph) -> Settled:
    """Find the shapes of an edited graph; live layers of the patient are asked, never called.

    Args:
        graph: A graph that an editor finished. The operations that are new are called, and so built.

    Raises:
        GraphError: If a new operation cannot be called where it was put, or a layer fits in no
            configuration.
    """
    settler = _Settler()
    return Settled(settler.graph(graph, {}), settler.misfits)


class _Settler:
    def __init__(self) -> None:
        self.misfits: dict[str, Any] = {}
        self.fresh: dict[int, Any] = {}
        self.fits: dict[int, tuple[TensorSpec, ...]] = {}

    def graph(self, graph: ModelGraph, given: Mapping[Ref, TensorSpec]) -> ModelGraph:
        """Return a graph with its shapes; `given` says what its inputs are if they are other ones."""
        moved: set[Ref] = set()
        specs: Specs = {}
        nodes: dict[str, Node] = {}
        for node in graph:
            settled = self.node(node, given, specs, moved)
            nodes[node.key] = settled
            pairs = zip(settled.outputs, node.outputs, strict=False)
            moved.update(Ref(node.key, i) for i, (new, old) in enumerate(pairs) if _differ(new, old))
            specs.update((Ref(node.key, i), spec) for i, spec in enumerate(settled.outputs))
        if all(nodes[node.key] is node for node in graph):
            return graph
        return replace(graph, nodes=nodes)

    def node(self, node: Node, given: Mapping[Ref, TensorSpec], specs: Specs, moved: set[Ref]) -> Node:
        if node.is_input:
            spec = given.get(Ref(node.key))
            return node if spec is None or not _differ(spec, node.outputs[0]) else self._input(node, spec)
        inner = self.graph(node.inner, {}) if node.inner is not None and not node.is_new else node.inner
        changed = any(ref in moved for ref in node.inputs)
        if inner is not None and (inner is not node.inner or changed or node.is_rewired):
            # Never made anew to see whether it fits: what its layers share would come apart.
            return self._model(node, inner, specs)
        if node.is_new or node.is_rewired or changed:
            return self._call(node, *_filled(node, specs), changed=changed)
        return node

    def _call(self, node: Node, args: Any, kwargs: Any, *, changed: bool) -> Node:
        if node.is_new and not (changed and _is_built(node.op)):
            return self._new(node, node.op, args, kwargs)
        if id(node.op) in self.fresh:
            return self._new(node, self.fresh[id(node.op)], args, kwargs)
        outputs = self._outputs(node, args, kwargs)
        if outputs is None:
            return self._refitted(node, args, kwargs)
        return _described(node, node.op, outputs) if node.is_new else replace(node, outputs=outputs)

    def _outputs(self, node: Node, args: Any, kwargs: Any) -> tuple[TensorSpec, ...] | None:
        """Return what a layer makes of other tensors, or `None` if it was built for those it had."""
        try:
            outputs = tuple(spec_of(t) for t in _keras.output_tensors(node.op, args, kwargs))
        except (ValueError, TypeError) as error:
            if not isinstance(node.op, keras.layers.Layer) or not node.op.variables:
                raise _no_call(node, node.op, error) from error
            return None
        if isinstance(node.op, keras.layers.Normalization) and not _numbers_fit(node, args[0]):
            return None
        if isinstance(node.op, keras.layers.Layer) and node.op.variables:
            trial = _built_for(node, args, kwargs)
            if not same_weights(trial, node.op):
                return None
        return outputs

    def _new(self, node: Node, op: Any, args: Any, kwargs: Any) -> Node:
        try:
            call = _keras.output_tensors if _is_built(op) else _called
            outputs = call(op, args, kwargs)
        except (ValueError, TypeError) as error:
            again = node.call_index > 0 and _is_built(op)
            raise (_several_shapes(node) if again else _no_call(node, op, error)) from error
        return _described(node, op, tuple(spec_of(tensor) for tensor in outputs))

    def _refitted(self, node: Node, args: Any, kwargs: Any) -> Node:
        if node.call_index > 0:
            raise _several_shapes(node)
        trial = _built_for(node, args, kwargs)
        self.fresh[id(node.op)] = trial
        self.misfits[node.path] = trial
        return self._new(replace(node, op=trial, is_new=True), trial, args, kwargs)

    def _input(self, node: Node, spec: TensorSpec) -> Node:
        config = {**stock_config(node.op), "batch_shape": spec.shape}
        config.pop("shape", None)
        op = keras.layers.InputLayer.from_config(config)
        self.misfits[node.path] = op
        return replace(node, op=op, is_new=True, outputs=(spec,), config=Config(op))

    def _model(self, node: Node, inner: ModelGraph, specs: Specs) -> Node:
        """Settle a nested model: its own shapes, and those of this call of it."""
        args, kwargs = _filled(node, specs)
        entries = [ref for ref in keras.tree.flatten(inner.inputs) if isinstance(ref, Ref)]
        tensors = [t for t in keras.tree.flatten((args, kwargs)) if isinstance(t, keras.KerasTensor)]
        if len(entries) != len(tensors):
            raise GraphError(f"{node.path!r} takes {len(entries)} tensors, and is given {len(tensors)}")
        given = {ref: spec_of(tensor) for ref, tensor in zip(entries, tensors, strict=True)}
        unfit = {
            ref: replace(spec, dtype=inner.spec(ref).dtype)
            for ref, spec in given.items()
            if not _accepts(inner.spec(ref), spec)
        }
        if unfit:
            inner = self.graph(inner, unfit)
        seen = _Settler().graph(inner, given) if given else inner
        outputs = tuple(seen.spec(ref) for ref in keras.tree.flatten(seen.outputs))
        return replace(node, inner=inner, outputs=outputs)


def _described(node: Node, op: Any, outputs: tuple[TensorSpec, ...]) -> Node:
    """Return a node of a new operation with all that is known of it once it was called."""
    weights = layer_weights(op) if isinstance(op, keras.layers.Layer) else ()
    return replace(node, outputs=outputs, weights=weights, config=Config(op))


def _filled(node: Node, specs: Specs) -> tuple[Any, Any]:
    def tensor(leaf: Any) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        spec = specs[leaf]
        return keras.KerasTensor(spec.shape, spec.dtype, sparse=spec.sparse, ragged=spec.ragged)

    kwargs = call_kwargs(node, node.op)
    return keras.tree.map_structure(tensor, node.args), keras.tree.map_structure(tensor, kwargs)


def _is_built(op: Any) -> bool:
    return isinstance(op, keras.layers.Layer) and bool(op.built)


def _called(op: Any, args: Any, kwargs: Any) -> list[Any]:
    return list(keras.tree.flatten(op(*args, **kwargs)))


def _built_for(node: Node, args: Any, kwargs: Any) -> Any:
    try:
        trial = stock_class(node.op).from_config(stock_config(node.op))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise CopyError(
            f"{node.class_name} {node.path!r} must be made anew for what it reads now, and its "
            f"from_config failed: {error}"
        ) from error
    trial.name = node.name
    try:
        _called(trial, args, kwargs)
    except (ValueError, TypeError) as error:
        raise _no_call(node, node.op, error) from error
    return trial


def _several_shapes(node: Node) -> GraphError:
    return GraphError(
        f"{node.path!r} is called on tensors of several shapes, and its weights fit only one of them"
    )


def _no_call(node: Node, op: Any, error: Exception) -> GraphError:
    reason = str(error).strip().split("\n")[0]
    return GraphError(
        f"{type(op).__name__} {op.name!r} cannot be called in the place of {node.path!r}: {reason}"
    )


def _numbers_fit(node: Node, given: Any) -> bool:
    """Whether a Normalization that was given its mean as numbers spread it over the axes that it reads now.

    Raises:
        GraphError: If it could not even be made anew for them.
    """
    op = node.op
    if op.input_mean is None:
        return True
    rank = len(given.shape)
    axes = sorted(axis % rank for axis in op.axis)
    kept = tuple(given.shape[axis] for axis in axes)
    try:
        np.broadcast_to(np.asarray(op.input_mean), kept)
    except ValueError as error:
        raise GraphError(
            f"{node.path!r} was given a mean of shape {np.shape(op.input_mean)}, which does not fit the "
            f"{kept} that it would read: replace it by a Normalization that does, or remove it"
        ) from error
    return tuple(op.mean.shape[axis] for axis in axes) == kept


def _differ(new: TensorSpec, old: TensorSpec) -> bool:
    return (new.shape, new.dtype, new.sparse) != (old.shape, old.dtype, old.sparse)


def _accepts(entry: TensorSpec, given: TensorSpec) -> bool:
    return len(entry.shape) == len(given.shape) and all(
        want is None or want == have for want, have in zip(entry.shape[1:], given.shape[1:], strict=True)
    )
