"""The object around the layers: a model of the same class, with the same attributes."""

from __future__ import annotations

from typing import Any

import keras

from surgeon import _keras
from surgeon.graph import ModelGraph, Node, Ref
from surgeon.roundtrip.copying import Copier, stock_class


def assemble_model(graph: ModelGraph, copier: Copier, inputs: Any, outputs: Any) -> Any:
    """Return a model of the class that the graph was read from.

    Args:
        graph: The graph; `graph.model` gives class and attributes, if there is one.
        copier: Knows the new operation for each old one, and copies what else the model holds.
        inputs: Structure of symbolic input tensors.
        outputs: Structure of symbolic output tensors.
    """
    with _keras.deep_graphs(len(graph)):
        return _assemble(graph, copier, inputs, outputs)


def _assemble(graph: ModelGraph, copier: Copier, inputs: Any, outputs: Any) -> Any:
    old = graph.model
    if old is None:
        return keras.Model(inputs, outputs, name=graph.name)
    if isinstance(old, keras.Sequential) and (chain := _chain(graph)):
        return _sequential(old, chain, copier, inputs, outputs)
    cls = _keras.Functional if isinstance(old, keras.Sequential) else stock_class(old)
    model = cls.__new__(cls)
    # A subclass's own __init__ would build its layers again; the graph is all that is needed.
    _keras.Functional.__init__(model, inputs, outputs, name=old.name)
    for name, value in _keras.own_attributes(old, than=model):
        setattr(model, name, copier.value(value))
    _keras.copy_settings(old, model)
    order = [copier.copies.get(id(layer)) for layer in _keras.child_layers(old)]
    _keras.reorder_child_layers(model, [layer for layer in order if layer is not None])
    return model


def _sequential(old: Any, chain: list[Node], copier: Copier, inputs: Any, outputs: Any) -> Any:
    cls = stock_class(old)
    model = cls.__new__(cls)
    keras.Sequential.__init__(model, name=old.name)
    _keras.fill_sequential(
        model, [copier.copies[id(node.op)] for node in chain], _keras.Functional(inputs, outputs)
    )
    for name, value in _keras.own_attributes(old, than=model):
        setattr(model, name, copier.value(value))
    _keras.copy_settings(old, model)
    return model


def _chain(graph: ModelGraph) -> list[Node]:
    """Return the layers of a graph if each reads just the one before it, else nothing.

    The operations that make an implicit mask may lie between: a Sequential with a Masking has them.
    """
    found: list[Node] = []
    for node in (node for node in graph if isinstance(node.op, keras.layers.Layer)):
        reads = [ref for path, ref in node.reads if path[1] not in node.implicit_masks]
        if node.call_index or reads != [Ref(before.key) for before in found[-1:]]:
            return []
        found.append(node)
    ends = [ref for ref in keras.tree.flatten(graph.outputs) if isinstance(ref, Ref)]
    return found if ends == [Ref(last.key) for last in found[-1:]] else []
