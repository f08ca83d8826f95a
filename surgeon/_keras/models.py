"""Models: what the object around the layers knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from surgeon._keras.layers import BOOKKEEPING, TENSORFLOW_TABLES, set_trainable_flag, trainable_flag
from surgeon._keras.names import (
    Functional,
)

COMPILE_STATE = frozenset(
    {
        "_compile_config",
        "_compile_loss",
        "_compile_metrics",
        "_compiled_trainable_state",
        "_jit_compile",
        "_loss_tracker",
        "_optimizer",
        "_run_eagerly",
        "_steps_per_execution",
        "compiled",
        "history",
        "loss",
        "optimizer",
        "predict_function",
        "stop_training",
        "test_function",
        "train_function",
        "train_on_batch_function",
    }
)

_SETTINGS = (
    "_dtype_policy",
    "autocast",
    "supports_jit",
    "_build_shapes_dict",
    "_manual_input_spec",
    "_auto_config",
)


def own_attributes(old: Any, than: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that a model has and a fresh one of its kind has not."""
    known = _held_by(than).keys() | TENSORFLOW_TABLES | BOOKKEEPING | COMPILE_STATE | set(_SETTINGS)
    for name, value in _held_by(old).items():
        if name not in known and not name.startswith(("_surgeon_", "surgeon_")):
            yield name, value


def _held_by(model: Any) -> dict[str, Any]:
    # PyTorch keeps modules apart from other attributes.
    return {**vars(model), **(vars(model).get("_modules") or {})}


def copy_settings(old: Any, new: Any) -> None:
    """Copy what a model was told when it was made, and what it says when it is saved."""
    for name in _SETTINGS:
        if name in vars(old):
            vars(new)[name] = _without_tracker(vars(old)[name])
    set_trainable_flag(new, trainable_flag(old))


def _without_tracker(value: Any) -> Any:
    """Return a plain container in the place of one that would keep its model, layers and all, in memory."""
    if not hasattr(value, "tracker"):
        return value
    return next(kind(value) for kind in (dict, list, set) if isinstance(value, kind))


def reorder_child_layers(model: Any, order: list[Any]) -> None:
    """Bring the tracked layers of a model into an order, which is that of its weights."""
    position = {id(layer): index for index, layer in enumerate(order)}
    ordered = sorted(model._layers, key=lambda layer: position.get(id(layer), len(position)))
    model._layers[:] = ordered  # not `sort`: in Keras 3.12 it is a list of TensorFlow's, without `key`


def fill_sequential(model: Any, layers: list[Any], functional: Functional) -> None:
    """Give a Sequential its layers, the input layer included, and the graph that they form."""
    for layer in layers:
        model.add(layer, rebuild=False)
    model._functional = functional
    model.built = True
