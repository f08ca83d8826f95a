"""Variables of JAX that a step gives away: what is put into them needs no memory of its own.

A step that Keras compiles for `fit`, `evaluate` or `predict` donates the state that it is handed, and XLA
writes into the buffer of a donated argument if what replaces it is one of the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras

from surgeon._keras.digest import mark
from surgeon._keras.in_place import Seen
from surgeon._keras.names import backend

STEPS = ("train_step", "test_step", "predict_step")
"""The names of the functions that Keras compiles as steps."""


@dataclass(frozen=True)
class Assembled:
    """A whole weight as a tensor, with the values of what trains in it."""

    tensor: Any


def put_into_state(
    put: Callable[..., Any], variable: Any, seen: Seen | None, values: Any, places: Any, **options: Any
) -> Assembled | None:
    """Let `put(value of the variable, values, places, **options)` be its value from here on.

    Only in a step, and in no loop or branch within: what is computed there must not leave it but through what
    it returns.

    Args:
        put: A function of tensors that moves values about.
        variable: What takes the result.
        seen: What tells whether it has these values already; `None` to put them there each time. Only a step
            of Keras's own is handed the variable as it was left, and can rely on that.
        values: What goes in; no gradient flows through them.
        places: A tensor that says where they go.
        **options: More arguments.

    Returns:
        The whole, or `None` if nothing was set.
    """
    if keras.backend.backend() != "jax" or not backend.in_stateless_scope():
        return None
    from jax import lax

    value, given = variable.value, lax.stop_gradient(values)
    trace = _step_of(value)
    if trace is None:
        return None
    write = partial(put, **options)
    # Values of which gradients are asked are others each time.
    relies = seen is not None and _trace_of(values) is trace and _is_of_keras(trace)
    if seen is None or not relies:
        whole = write(value, given, places)
    else:
        now = mark(given)
        is_new = keras.ops.any(seen.mark.value != now)
        whole = lax.cond(
            is_new, lambda whole, values: write(whole, values, places), lambda whole, _: whole, value, given
        )
    if _trace_of(whole) is not trace:
        return None
    variable.assign(whole)
    if seen is not None and relies:
        seen.mark.assign(now)
    return _registered()(whole)


def _trace_of(tensor: Any) -> Any:
    """Return the function, or the body of a loop, that is being traced and that a tensor belongs to."""
    return getattr(tensor, "_trace", None)


def _step_of(tensor: Any) -> Any:
    """Return the step that is being traced and that a tensor belongs to, if it is one."""
    trace = _trace_of(tensor)
    return trace if _described(trace).partition(" ")[0] in STEPS else None


def are_of_a_step_of_keras(*tensors: Any) -> bool:
    """Whether a step of Keras's own is being traced, and all tensors belong to it."""
    step = _step_of(tensors[0])
    return step is not None and _is_of_keras(step) and all(_trace_of(tensor) is step for tensor in tensors)


def _is_of_keras(step: Any) -> bool:
    """Whether a step is a function of Keras's own, and not one by such a name."""
    return str(Path(keras.__file__).parent) in _described(step)


def _described(trace: Any) -> str:
    """Return what JAX says of a function that is being traced: its name, and where it is written."""
    about = getattr(getattr(trace, "frame", None), "debug_info", None)
    return str(getattr(about, "func_src_info", ""))


@cache
def _registered() -> type[Assembled]:
    """Return the class, once JAX knows how to take it apart."""
    from jax import tree_util

    tree_util.register_dataclass(Assembled, data_fields=["tensor"], meta_fields=[])
    return Assembled
