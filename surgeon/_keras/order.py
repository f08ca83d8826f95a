"""The order in which a backend computes what does not depend on each other.

TensorFlow computes side by side what it can, and XLA goes about it as it likes: what each operation needs for
itself is then needed at the same time. That takes memory alone, and changes no value.
"""

from __future__ import annotations

import contextlib
from typing import Any

import keras
from keras import ops

from surgeon._keras.compiling import is_in_xla_for_cpu, static_size


def after(first: Any) -> contextlib.AbstractContextManager[Any]:
    """Let what is computed within wait for a tensor of TensorFlow's; elsewhere nothing waits."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.control_dependencies([first])  # type: ignore[no-any-return]


def held_back(tensor: Any, first: Any) -> Any:
    """Return a tensor for what XLA is to compute once another one is computed; elsewhere nothing waits.

    It costs nothing where what uses the tensor lays it out anew, as a convolution does, and a copy elsewhere.
    """
    if not is_in_xla_for_cpu() or not static_size(first.shape):
        return tensor
    # XLA removes barriers before it decides on an order. What it does not see is that this is always true.
    is_known = (_bits(ops.reshape(first, (-1,))[0]) | 1) != 0
    return ops.where(ops.broadcast_to(is_known, ops.shape(tensor)), tensor, ops.zeros_like(tensor))


def _bits(number: Any) -> Any:
    if keras.backend.backend() == "jax":
        from jax import lax

        return lax.bitcast_convert_type(number, f"int{8 * number.dtype.itemsize}")
    import tensorflow as tf

    return tf.bitcast(number, f"int{8 * number.dtype.size}")
