"""Compilation: the arguments of `compile`, and what an optimizer remembers."""

from __future__ import annotations

from typing import Any

import keras

from surgeon._keras.names import (
    KerasVariable,
)


def compile_arguments(model: Any) -> dict[str, Any] | None:
    """Return the arguments that a model was compiled with, or `None` if it was not."""
    config = getattr(model, "_compile_config", None)
    return dict(config.config) if getattr(model, "compiled", False) and config is not None else None


AVERAGE = "_model_variables_moving_average"
"""Name of the slot that holds an average of a variable; it starts as the variable, in the very first step."""


def slots_of(optimizer: Any, variable: Any) -> dict[str, Any]:
    """Return what an optimizer remembers of one variable, by the name that it has for it."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    index = optimizer._trainable_variables_indices.get(optimizer._var_key(variable))
    if index is None:
        return {}
    count = len(optimizer._trainable_variables)
    return {
        name: values[index]
        for name, values in vars(optimizer).items()
        if name not in ("_trainable_variables", "_variables")
        and isinstance(values, list)
        and len(values) == count
        and isinstance(values[index], KerasVariable)
        and values[index] is not variable
    }


def shared_slots(optimizer: Any) -> list[Any]:
    """Return what an optimizer remembers of no variable in particular: its iteration, its scale."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    own = {id(slot) for v in inner._trainable_variables for slot in slots_of(inner, v).values()}
    return [variable for variable in optimizer.variables if id(variable) not in own]


def resume_fit_at(model: Any, epoch: int | None) -> None:
    """Let the running `fit` begin with an epoch, whatever it was told; `None` takes that back."""
    model._initial_epoch = epoch


def forget_traces() -> None:
    """Let JAX forget what it has traced: it takes a method of a model for the same function as before.

    The method reads the model's variables by position, and others may be there now, of the same shapes.
    """
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()  # type: ignore[no-untyped-call]
