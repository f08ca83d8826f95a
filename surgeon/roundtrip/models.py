"""The object around the layers: a model of the same class, with the same attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from surgeon import _keras
from surgeon.errors import GraphError
from surgeon.graph import ModelGraph, Node, Ref
from surgeon.roundtrip.copying import Copier, stock_class

Op = Any


def assemble_model(
    graph: ModelGraph, copier: Copier, inputs: Any, outputs: Any, *, edited: bool = False
) -> Any:
    """Return a model of the class that the graph was read from.

    Args:
        graph: The graph; `graph.model` gives class and attributes, if there is one.
        copier: Knows the new operation for each old one, and copies what else the model holds.
        inputs: Structure of symbolic input tensors.
        outputs: Structure of symbolic output tensors.
        edited: Whether the graph is another one than the model's. A class that would rebuild its
            layers from a few numbers (every keras_hub backbone) then becomes a plain `Functional`,
            or saving and loading would undo the edit.
    """
    with _keras.deep_graphs(len(graph)):
        return _assemble(graph, copier, inputs, outputs, edited=edited)


def _assemble(graph: ModelGraph, copier: Copier, inputs: Any, outputs: Any, *, edited: bool) -> Any:
    old = graph.model
    if old is None:
        return keras.Model(inputs, outputs, name=graph.name)
    if edited:
        copier.gone |= _layers_gone(old, copier.copies)
    if isinstance(old, keras.Sequential) and (chain := _chain(graph)):
        return _sequential(old, chain, graph.name, copier, inputs, outputs, edited=edited)
    cls = stock_class(old)
    if isinstance(old, keras.Sequential) or (edited and not _keras.is_plain_graph(old)):
        cls = _keras.Functional
    model = cls.__new__(cls)
    # A subclass's own __init__ would build its layers again; the graph is all that is needed.
    _start(model, old, graph.name, copier, inputs, outputs, edited=edited)
    copier.copies[id(old)] = model  # what an attribute holds may point back at the model
    for name, value in _keras.own_attributes(old, than=model):
        setattr(model, name, copier.value(value))
    _keras.copy_settings(old, model)
    olds = _in_old_order(old, graph) if edited else _keras.child_layers(old)
    order = [copier.copies.get(id(layer)) for layer in olds]
    _keras.reorder_child_layers(model, [layer for layer in order if layer is not None])
    return model


def _start(
    model: Any, old: Any, name: str | None, copier: Copier, inputs: Any, outputs: Any, *, edited: bool
) -> None:
    """Give an empty model its graph; that of `old` is known, if no edit changed it."""
    functional = _keras.functional_of(old)
    if edited or not _keras.start_functional_copy(model, functional, copier.copies, inputs, outputs, name):
        try:
            _keras.Functional.__init__(model, inputs, outputs, name=name)
        except ValueError as error:
            if not (idle := _keras.idle_inputs(inputs)):
                raise
            raise GraphError(
                f"nothing would read the input {idle[0]!r}: Keras {keras.__version__} builds no such model, "
                "Keras 3.14 and later do; leave one of its readers in place, or install a newer Keras"
            ) from error


def _sequential(
    old: Any, chain: list[Node], name: str, copier: Copier, inputs: Any, outputs: Any, *, edited: bool
) -> Any:
    cls = stock_class(old)
    model = cls.__new__(cls)
    keras.Sequential.__init__(model, name=name)
    functional = _keras.Functional.__new__(_keras.Functional)
    _start(functional, old, None, copier, inputs, outputs, edited=edited)
    _keras.fill_sequential(model, [copier.copies[id(node.op)] for node in chain], functional)
    copier.copies[id(old)] = model
    for attribute, value in _keras.own_attributes(old, than=model):
        setattr(model, attribute, copier.value(value))
    _keras.copy_settings(old, model)
    return model


def _in_old_order(old: Any, graph: ModelGraph) -> list[Op]:
    """Return the operations of an edited graph, as the model lists its layers: new ones at their place."""
    layers = _keras.child_layers(old)
    known = {id(layer): float(number) for number, layer in enumerate(layers)}
    named = {layer.name: float(number) for number, layer in enumerate(layers)}
    position: dict[int, float] = {}
    last = 0.0
    for number, node in enumerate(graph):
        last = known.get(id(node.op), named.get(node.name, last + 1 / (2 + number)))
        position.setdefault(id(node.op), last)
    ops = {id(node.op): node.op for node in graph}
    return [ops[identity] for identity in sorted(position, key=position.__getitem__)]


def _layers_gone(old: Any, copies: Mapping[int, Op]) -> dict[int, Any]:
    """Return the layers of a model's graph that no longer are in it, with themselves kept alive."""
    nodes = _keras.nodes_in_order(_keras.functional_of(old))
    ops = {id(node.operation): node.operation for node in nodes}
    return {identity: op for identity, op in ops.items() if identity not in copies}


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
