"""The order in which a backend computes what does not depend on each other.

TensorFlow computes side by side what it can, and XLA goes about it as it likes: what each operation needs for
itself is then needed at the same time. That takes memory alone, and changes no value.
"""

from __future__ import annotations

import contextlib
from typing import Any

import keras


def after(first: Any) -> contextlib.AbstractContextManager[Any]:
    """Let what is computed within wait for a tensor of TensorFlow's; elsewhere nothing waits."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.control_dependencies([first])  # type: ignore[no-any-return]


def held_back(tensor: Any, first: Any) -> Any:
    """Return a tensor of JAX's for what has to wait until another one is computed; elsewhere nothing waits.

    It costs nothing where what uses the tensor lays it out anew, as a convolution does, and a copy elsewhere.
    """
    if keras.backend.backend() != "jax" or not first.size:
        return tensor
    from jax import lax, numpy

    # XLA removes barriers before it decides on an order. What it does not see is that this is always true.
    bits = f"int{8 * first.dtype.itemsize}"
    is_known = (lax.bitcast_convert_type(numpy.ravel(first)[0], bits) | 1) != 0
    return lax.select(numpy.broadcast_to(is_known, tensor.shape), tensor, numpy.zeros_like(tensor))
