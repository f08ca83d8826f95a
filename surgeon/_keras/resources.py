"""Variables of TensorFlow, made and read without what its constructors work out anew each time."""

from __future__ import annotations

import functools
import itertools
import weakref
from typing import Any

FIELDS = frozenset(
    {
        "_aggregation",
        "_cached_shape_as_list",
        "_cached_value",
        "_caching_device",
        "_constraint",
        "_distribute_strategy",
        "_dtype",
        "_graph_element",
        "_graph_key",
        "_handle",
        "_handle_name",
        "_in_graph_mode",
        "_initial_value",
        "_initializer_op",
        "_is_initialized_op",
        "_save_slice_info",
        "_shape",
        "_synchronization",
        "_trainable",
        "_unique_id",
        "_validate_shape",
        "_variable_read",
        "_xla_sharding",
    }
)
"""What a variable is known to hold. One that holds more is left to its own constructor."""


UNUSUAL = ("_in_graph_mode", "_distribute_strategy", "_caching_device", "_constraint", "_xla_sharding")
"""What a variable has only if a graph, a strategy or somebody's own code made it."""

_numbers = itertools.count(1)


def duplicate_resource(variable: Any) -> Any | None:
    """Return a TensorFlow variable like another one, which shares its memory until one of them is assigned.

    In a fraction of the time of `tf.Variable(other)`, into which most of the time of a copied model went.

    Returns:
        `None` if the variable is not of the plain kind that this is known to hold for.
    """
    import tensorflow as tf

    fields = vars(variable)
    if not _is_plain(variable) or not fields.keys() <= FIELDS:
        return None
    if any(fields.get(name) for name in UNUSUAL):
        return None
    old, dtype = variable._handle, variable._dtype
    handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=variable._shape, shared_name=_anonymous())
    if handle.device != old.device:
        with tf.device(old.device):
            handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=variable._shape, shared_name=_anonymous())
    value = tf.raw_ops.ReadVariableOp(resource=old, dtype=dtype)
    tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    new = object.__new__(type(variable))
    unique = f"{variable._unique_id}_{next(_numbers)}"
    vars(new).update(fields, _handle=handle, _unique_id=unique, _initial_value=None, _cached_value=None)
    handle._handle_data = old._handle_data
    handle._parent_trackable = weakref.ref(new)
    handle._name, handle._unique_id = old._name, unique
    return new


def read_resource(variable: Any) -> Any:
    """Return the tensor that a TensorFlow variable holds; the two share their memory."""
    import tensorflow as tf

    if _is_plain(variable):
        return tf.raw_ops.ReadVariableOp(resource=variable._handle, dtype=variable._dtype)
    return variable.value()


def _is_plain(variable: Any) -> bool:
    """Whether a variable is of the kind that TensorFlow makes, here and now, where no strategy has a say."""
    import tensorflow as tf

    return (
        tf.executing_eagerly()
        and not tf.distribute.has_strategy()  # or the kind that is kept below would be a strategy's
        and type(variable) is _plain_kind()
    )


@functools.cache
def _plain_kind() -> Any:
    import tensorflow as tf

    return type(tf.Variable(0))


@functools.cache
def _anonymous() -> str:
    """Return the name by which the runtime knows a resource that only one variable has."""
    from tensorflow.python.eager import context

    return str(context.anonymous_name())
