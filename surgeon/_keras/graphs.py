"""Graphs: the calls of a functional model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from surgeon._keras.names import (
    Functional,
    KerasNode,
    functional_like_constructor,
    get_keras_mask,
)


def functional_of(model: Any) -> Functional | None:
    """Return the object that holds a model's graph, or `None` for a model without one."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if isinstance(model, Functional) else None


def nodes_in_order(functional: Functional) -> list[KerasNode]:
    """Return the calls of a functional model, producers first, in Keras's own order."""
    by_depth = functional._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def input_structure(functional: Functional) -> Any:
    """Return the nested structure of the symbolic inputs."""
    return functional._inputs_struct


def output_structure(functional: Functional) -> Any:
    """Return the nested structure of the symbolic outputs."""
    return functional._outputs_struct


def idle_inputs(inputs: Any) -> list[str]:
    """Return the names of the input layers that no call reads; Keras before 3.14 builds no such model."""
    operations = [operation_of(tensor) for tensor in keras.tree.flatten(inputs)]
    return [operation.name for operation in operations if operation and not operation._outbound_nodes]


def inbound_nodes(operation: Any) -> list[KerasNode]:
    """Return the recorded calls of an operation, in every model that it is part of."""
    return operation._inbound_nodes  # type: ignore[no-any-return]


def operation_of(tensor: Any) -> Any:
    """Return the operation whose call a symbolic tensor is an output of."""
    return tensor._keras_history.operation


def output_tensors(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the symbolic outputs of a call, without recording it.

    Raises:
        ValueError: If the operation cannot be called on these tensors.
    """
    if isinstance(operation, keras.layers.Layer) and args:
        operation._assert_input_compatibility(args[0])
    return list(keras.tree.flatten(operation.compute_output_spec(*args, **kwargs)))


def start_graph(layer: Any, tensor: Any) -> None:
    """Let an input layer that was copied be where `tensor` comes from."""
    layer._input_tensor = tensor


def is_plain_graph(model: Any) -> bool:
    """Whether Keras itself saves this model as a list of layers, each with its own config.

    False for a Functional subclass with its own `get_config` (every keras_hub backbone): it
    rebuilds its layers from a few numbers, and what is said in a layer's config is lost.
    """
    config = type(model).get_config
    if isinstance(model, keras.Sequential):
        return config is keras.Sequential.get_config
    return (
        isinstance(model, Functional) and config is Functional.get_config and is_functional_like(type(model))
    )


def is_functional_like(cls: type) -> bool:
    """Whether a class can be made from `(inputs, outputs, name=…)`."""
    return bool(functional_like_constructor(cls))


def derive_masks(layer: Any, args: Any, kwargs: Any, outputs: list[Any]) -> None:
    """Attach to the outputs of a recorded call the implicit masks that Keras would have attached."""
    if not getattr(layer, "supports_masking", False):
        return
    first = args[0] if args else next(iter(kwargs.values()), None)
    previous = kwargs.get("mask")
    if previous is None:
        previous = keras.tree.map_structure(get_keras_mask, first)
    layer._set_mask_metadata(first, outputs, previous)


@contextmanager
def deep_graphs(calls: int) -> Iterator[None]:
    """Let Keras join that many calls one after the other: it walks a graph by recursion.

    Only Python's own frames pile up on the way, which take memory but none of the C stack.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, before + 2 * calls))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
