"""The object around the layers: a model of the same class, with the same attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from surgeon import _keras
from surgeon.graph import ModelGraph
from surgeon.roundtrip.copying import copy_op, copy_seed_generator, copy_variable, stock_class

Op = Any


@dataclass
class Assembled:
    """A model and the layers that were copied because an attribute of it, not its graph, holds them."""

    model: Any
    extra_pairs: list[tuple[Op, Op]] = field(default_factory=list)


def assemble_model(graph: ModelGraph, copies: Mapping[int, Op], inputs: Any, outputs: Any) -> Assembled:
    """Return a model of the class that the graph was read from.

    Args:
        graph: The graph; `graph.model` gives class and attributes, if there is one.
        copies: New operation by identity of the old one.
        inputs: Structure of symbolic input tensors.
        outputs: Structure of symbolic output tensors.
    """
    old = graph.model
    if old is None:
        return Assembled(keras.Model(inputs, outputs, name=graph.name))
    if isinstance(old, keras.Sequential) and _is_chain(graph):
        assembled = Assembled(None)
        remap = _Remapper(dict(copies), assembled.extra_pairs)
        assembled.model = _sequential(old, graph, remap, inputs, outputs)
        return assembled
    cls = _keras.Functional if isinstance(old, keras.Sequential) else stock_class(old)
    model = cls.__new__(cls)
    # A subclass's own __init__ would build its layers again; the graph is all that is needed.
    _keras.Functional.__init__(model, inputs, outputs, name=old.name)
    assembled = Assembled(model)
    remap = _Remapper(dict(copies), assembled.extra_pairs)
    for name, value in _keras.own_attributes(old, than=model):
        setattr(model, name, remap(value))
    _keras.copy_settings(old, model)
    order = [remap.copies.get(id(layer)) for layer in _keras.child_layers(old)]
    _keras.reorder_child_layers(model, [layer for layer in order if layer is not None])
    return assembled


def _sequential(old: Any, graph: ModelGraph, remap: _Remapper, inputs: Any, outputs: Any) -> Any:
    cls = stock_class(old)
    model = cls.__new__(cls)
    keras.Sequential.__init__(model, name=old.name)
    _keras.fill_sequential(
        model, [remap.copies[id(node.op)] for node in graph], _keras.Functional(inputs, outputs)
    )
    for name, value in _keras.own_attributes(old, than=model):
        setattr(model, name, remap(value))
    _keras.copy_settings(old, model)
    return model


def _is_chain(graph: ModelGraph) -> bool:
    return all(len(node.inputs) <= 1 and node.call_index == 0 for node in graph) and all(
        isinstance(node.op, keras.layers.Layer) for node in graph
    )


class _Remapper:
    """Finds the new object for whatever an attribute of the old model holds."""

    def __init__(self, copies: dict[int, Op], extra_pairs: list[tuple[Op, Op]]) -> None:
        self.copies = copies
        self.extra_pairs = extra_pairs

    def __call__(self, value: Any) -> Any:
        if id(value) in self.copies:
            return self.copies[id(value)]
        if isinstance(value, dict):
            return {key: self(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self(item) for item in value]
        if type(value) is tuple:
            return tuple(self(item) for item in value)
        for kind, copied in _COPIED.items():
            if isinstance(value, kind):
                return self._remember(value, copied(value))
        return value

    def _remember(self, old: Any, new: Any) -> Any:
        self.copies[id(old)] = new
        if isinstance(old, keras.layers.Layer):
            self.extra_pairs.append((old, new))
        return new


_COPIED: Mapping[type, Callable[[Any], Any]] = {
    keras.layers.Layer: copy_op,
    keras.Variable: copy_variable,
    keras.random.SeedGenerator: copy_seed_generator,
    keras.metrics.Metric: lambda metric: type(metric).from_config(metric.get_config()),
}
"""What belongs to one model alone, with how it is copied; anything else is used as it is."""
