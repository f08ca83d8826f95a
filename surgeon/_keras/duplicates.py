"""Duplicates: a layer object made again without its `__init__`, `build` and initializers.

Where the time of a copy goes: Keras checks and tracks each attribute as it is set, and draws values
that are overwritten at once.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

import keras

from surgeon._keras.layers import TENSORFLOW_TABLES
from surgeon._keras.models import COMPILE_STATE
from surgeon._keras.names import (
    KerasVariable,
    TrackedDict,
    TrackedList,
    TrackedOrderedDict,
    TrackedSet,
    Tracker,
    serialization,
)
from surgeon._keras.resources import duplicate_resource
from surgeon._keras.variables import watched

TRACKED = (TrackedList, TrackedDict, TrackedOrderedDict, TrackedSet)

TORCH_PARAMETERS = "_torch_params"
"""Under this name PyTorch finds the values of a layer's variables; made again from them."""

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


def bare_layer(old: Any, cls: type) -> Any:
    """Return an object for the copy of a layer, with nothing but what Keras puts into every object.

    Args:
        old: The layer.
        cls: The class that the copy is of; a partly trainable layer's copy is of the stock class.
    """
    is_stock = cls is type(old)
    # Keras wraps `build` and `quantize` in functions that close over their layer.
    new: Any = object.__new__(cls) if is_stock else keras.layers.Layer.__new__(cls)
    tracker: Any = object.__new__(type(old._tracker))
    vars(tracker).update(
        vars(old._tracker),
        config={name: (test, []) for name, (test, _) in old._tracker.config.items()},
        stored_ids={name: set() for name in old._tracker.config},
    )
    own = vars(new)
    own.update({f"_{name}": store for name, (_, store) in tracker.config.items()}, _tracker=tracker)
    own.update(_inbound_nodes=[], _outbound_nodes=[], _losses=[], _losses_override=[], _loss_ids=set())
    if keras.backend.backend() == "tensorflow":
        own.update(_saved_model_inputs_spec=None, _saved_model_arg_spec=None)
    return new


def rewrapped(function: Any, old: Any, new: Any) -> Any | None:
    """Return the function that Keras puts around a method of every layer, for the copy of a layer.

    Args:
        function: That function, of the layer.
        old: The layer.
        new: Its copy.

    Returns:
        `None` if it is not made as Keras makes it: somebody put another one in its place.
    """
    method: Any = getattr(function, "__wrapped__", None)
    if getattr(method, "__self__", None) is not old or not isinstance(function, types.FunctionType):
        return None
    moved = types.MethodType(method.__func__, new)
    replacements = {id(old): new, id(method): moved}
    contents = [cell.cell_contents for cell in function.__closure__ or ()]
    if any(id(content) not in replacements for content in contents) or vars(function).keys() != {
        "__wrapped__"
    }:
        return None
    cells = tuple(types.CellType(replacements[id(content)]) for content in contents)
    wrapper = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, cells
    )
    wrapper.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(wrapper, moved)


def tracker_of(layer: Any) -> Any:
    """Return what notes the variables and layers that are set as attributes of a layer."""
    return layer._tracker


def tracked_objects(layer: Any) -> dict[str, list[Any]]:
    """Return what a layer tracks, in order, by the name of Keras's table."""
    return {name: list(store) for name, (_, store) in layer._tracker.config.items()}


def track_all(layer: Any, store: str, objects: Iterable[Any]) -> None:
    """Let a bare layer track objects in the given order."""
    tracker = layer._tracker
    tracker.config[store][1].extend(objects)
    tracker.stored_ids[store].update(map(id, tracker.config[store][1]))


def refresh_tracker(tracker: Any) -> None:
    """Let the copy of a tracker (of a metric, say) know the objects that it tracks."""
    if isinstance(tracker, Tracker):
        tracker.stored_ids = {name: set(map(id, store)) for name, (_, store) in tracker.config.items()}


def without_compilation(layer: Any) -> dict[str, Any]:
    """Return what a model inside of a layer says of its compilation if it is not compiled."""
    if not isinstance(layer, keras.Model):
        return {}
    known = {name: value for name, value in vars(layer).items() if name in COMPILE_STATE}
    return {name: False if isinstance(value, bool) else None for name, value in known.items()}


def finish_layer(old: Any, new: Any, copied: Callable[[Any], Any | None]) -> None:
    """Let the backend find what is in the copy of a layer."""
    if TORCH_PARAMETERS in (vars(old).get("_modules") or {}):
        new._track_variables()
    _track_for_saved_model(old, new, copied)


def _track_for_saved_model(old: Any, new: Any, copied: Callable[[Any], Any | None]) -> None:
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


def duplicate_variable(variable: Any, helper: Callable[[Any], Any]) -> Any:
    """Return an independent variable with the same value, name, path and flags.

    On TensorFlow the two share their memory until one of them is assigned. Under JAX a shared
    buffer would be given away by the next `fit`, so it is copied.

    Args:
        variable: A variable of the backend.
        helper: Copies a regularizer or constraint.
    """
    copy = object.__new__(type(variable))
    fields = {name: value for name, value in vars(variable).items() if name not in TENSORFLOW_TABLES}
    for name in ("_regularizer", "_constraint"):
        fields[name] = helper(fields[name])
    vars(copy).update(fields, _value=None)
    value = variable._value
    if value is not None:
        fast = duplicate_resource(value) if keras.backend.backend() == "tensorflow" else None
        with watched(copy, watch=getattr(value, "trainable", copy._trainable)):
            if fast is not None:
                copy._initialize(fast)
            else:
                copy._initialize(value.value() if hasattr(value, "read_value") else keras.ops.copy(value))
    return copy


def is_immutable(value: Any) -> bool:
    """Whether an object is a tensor, or describes one or how a layer was made, and cannot change."""
    if isinstance(value, serialization.SerializableDict):
        return True
    if isinstance(value, KerasVariable | keras.KerasTensor):
        return False
    if keras.ops.is_tensor(value):
        return True
    return type(value).__module__.startswith("tensorflow.python.framework.")
