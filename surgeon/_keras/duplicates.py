"""Duplicates: a layer object made again without its `__init__`, `build` and initializers.

Where the time of a copy goes: Keras checks and tracks each attribute as it is set, and draws values
that are overwritten at once.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from surgeon._keras.layers import TENSORFLOW_TABLES
from surgeon._keras.names import (
    KerasVariable,
    TrackedDict,
    TrackedList,
    TrackedOrderedDict,
    TrackedSet,
    backend,
    is_nnx_enabled,
    serialization,
)

TRACKED = (TrackedList, TrackedDict, TrackedOrderedDict, TrackedSet)

MADE_ANEW = TENSORFLOW_TABLES | frozenset(
    {
        "_inbound_nodes",
        "_layers",
        "_loss_ids",
        "_losses",
        "_losses_override",
        "_metrics",
        "_non_trainable_variables",
        "_outbound_nodes",
        "_saved_model_arg_spec",
        "_saved_model_inputs_spec",
        "_seed_generators",
        "_tracker",
        "_trainable_variables",
        "build",
        "quantize",
    }
)
"""Attributes of a layer that belong to the object itself and that a duplicate gets of its own."""


def can_duplicate() -> bool:
    """Whether layers are plain objects; those of PyTorch and of Flax keep tables of their own."""
    return bool(keras.backend.backend() in ("tensorflow", "jax") and not is_nnx_enabled())


def is_own_build(layer: Any) -> bool:
    """Whether `build` and `quantize` are what Keras makes of the methods of the layer's class."""
    own = vars(layer)
    return all(
        getattr(getattr(own.get(name), "__code__", None), "co_name", "") == f"{name}_wrapper"
        for name in ("build", "quantize")
    )


def bare_layer(old: Any) -> Any:
    """Return an object of the class of a layer with nothing but what Keras puts into every object."""
    new: Any = object.__new__(type(old))
    tracker: Any = object.__new__(type(old._tracker))
    vars(tracker).update(
        vars(old._tracker),
        config={name: (test, []) for name, (test, _) in old._tracker.config.items()},
        stored_ids={name: set() for name in old._tracker.config},
    )
    own = vars(new)
    own.update({f"_{name}": store for name, (_, store) in tracker.config.items()}, _tracker=tracker)
    own.update(_inbound_nodes=[], _outbound_nodes=[], _losses=[], _losses_override=[], _loss_ids=set())
    own.update({name: _rebound(vars(old)[name], old, new) for name in ("build", "quantize")})
    if keras.backend.backend() == "tensorflow":
        own.update(_saved_model_inputs_spec=None, _saved_model_arg_spec=None)
    return new


def _rebound(function: Any, old: Any, new: Any) -> Any:
    """Return a function that does to one object what `function` does to another."""

    def of_new(value: Any) -> Any:
        if isinstance(value, types.MethodType) and value.__self__ is old:
            return types.MethodType(value.__func__, new)
        return new if value is old else value

    cells = tuple(types.CellType(of_new(cell.cell_contents)) for cell in function.__closure__)
    made = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, cells
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(made, of_new(function.__wrapped__))


def tracked_objects(layer: Any) -> dict[str, list[Any]]:
    """Return what a layer tracks, in order, by the name of Keras's table."""
    return {name: list(store) for name, (_, store) in layer._tracker.config.items()}


def track_all(layer: Any, objects: Mapping[str, Iterable[Any]]) -> None:
    """Let a bare layer track objects in the given order."""
    tracker = layer._tracker
    for name, (_, store) in tracker.config.items():
        store.extend(objects[name])
        tracker.stored_ids[name].update(map(id, store))


def tracked_container(value: Any, items: Any, layer: Any) -> Any:
    """Return a container of the kind of `value` that goes on telling `layer` what is put into it."""
    cls: Any = type(value)
    made = cls.__new__(cls)
    # Past the methods that track: what is in there is tracked already.
    if isinstance(value, dict):
        dict.update(made, items)
    elif isinstance(value, set):
        set.update(made, items)
    else:
        list.extend(made, items)
    made.tracker = layer._tracker
    return made


def track_for_saved_model(old: Any, new: Any, copied: Callable[[Any], Any | None]) -> None:
    """Let TensorFlow find what is in a duplicate, under the names that it has in the original."""
    if "_self_unconditional_dependency_names" not in vars(old):
        return
    references = [
        type(reference)(reference.name, copy)
        for reference in old._self_unconditional_checkpoint_dependencies
        if (copy := copied(reference.ref)) is not None
    ]
    vars(new).update(
        _self_setattr_tracking=True,
        _self_unconditional_checkpoint_dependencies=references,
        _self_unconditional_dependency_names={reference.name: reference.ref for reference in references},
        _self_unconditional_deferred_dependencies={},
        _self_update_uid=-1,
        _self_name_based_restores=set(),
        _self_saveable_object_factories={},
    )


def is_plain_variable(variable: Any) -> bool:
    """Whether an object is a variable of the backend that holds a value, and of no class of somebody else."""
    return type(variable) is backend.Variable and variable._value is not None


def duplicate_variable(variable: Any, helper: Callable[[Any], Any]) -> Any:
    """Return an independent variable with the same value, name, path and flags.

    On TensorFlow the two share their memory until one of them is assigned. Under JAX a shared
    buffer would be given away by the next `fit`, so it is copied.

    Args:
        variable: A variable of which `is_plain_variable` holds.
        helper: Copies a regularizer or constraint.
    """
    copy = object.__new__(type(variable))
    fields = {name: value for name, value in vars(variable).items() if name not in TENSORFLOW_TABLES}
    for name in ("_regularizer", "_constraint"):
        fields[name] = helper(fields[name])
    vars(copy).update(fields, _value=None)
    value = variable._value
    copy._initialize(value.value() if hasattr(value, "read_value") else keras.ops.copy(value))
    return copy


def is_immutable(value: Any) -> bool:
    """Whether an object is a tensor, or describes one or how a layer was made, and cannot change."""
    if isinstance(value, KerasVariable | keras.KerasTensor):
        return False
    if keras.ops.is_tensor(value) or isinstance(value, serialization.SerializableDict):
        return True
    return type(value).__module__.startswith("tensorflow.python.framework.")
