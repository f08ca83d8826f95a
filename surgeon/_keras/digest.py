"""Numbers that tell whether the values of a large tensor are others: it is read once, and no copy is kept."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

STEP, MIX = np.uint32(0x9E3779B9), np.uint32(0xC2B2AE35)
"""Odd numbers without a pattern in their bits: the fraction of the golden ratio, and one of MurmurHash3's
(Appleby 2011, public domain)."""

UNKNOWN = np.zeros(3, "int32")
"""What is no tensor's mark."""


def mark(tensor: Any) -> Any:
    """Return a mark of a tensor's bits: 1 and 64 bits of a digest, an int32 tensor of shape `(3,)`.

    Tensors that differ in 32 bits of one element have different marks, and others that differ the same one by
    an accident of the order of 2^-64. It guards against no intent.

    Args:
        tensor: Of a dtype of 8, 16, 32 or 64 bits.
    """
    is_jax = keras.backend.backend() == "jax"
    return _mark_on_jax(tensor) if is_jax else _mark_on_tensorflow(tensor)


def _lanes(bits: Any, places: Any, shift: Any) -> tuple[Any, Any]:
    """Return what is added up, of unsigned numbers and their positions; all arithmetic is modulo 2^32.

    Every factor is odd, and no two positions have the same one. A shift carries what differs in the upper
    bits alone, as a sign does, to the lower ones: in a sum the highest bit of two such would vanish.
    """
    factors = (places + places + np.uint32(1)) * STEP
    one = (bits ^ shift(bits, 24)) * factors
    one = one ^ shift(one, 15)
    other = one * MIX
    return one, other ^ shift(other, 16)


def _mark_on_jax(tensor: Any) -> Any:
    from jax import lax

    size = tensor.dtype.itemsize
    bits = lax.bitcast_convert_type(tensor, np.dtype(f"uint{8 * min(size, 4)}")).ravel().astype("uint32")
    places = lax.iota("uint32", bits.size)
    lanes = _lanes(bits, places, lambda numbers, by: lax.shift_right_logical(numbers, np.uint32(by)))
    # Both in one pass: XLA makes room for what is added up where there is only one sum.
    nothing = np.uint32(0)
    sums = lax.reduce(lanes, (nothing, nothing), lambda one, two: (one[0] + two[0], one[1] + two[1]), (0,))
    return keras.ops.stack([np.int32(1), *(lax.bitcast_convert_type(each, np.int32) for each in sums)])


def _mark_on_tensorflow(tensor: Any) -> Any:
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.python import xla

    size = tensor.dtype.size
    bits = tf.bitcast(tensor, {1: tf.uint8, 2: tf.uint16}.get(size, tf.uint32))
    bits = tf.cast(tf.reshape(bits, (-1,)), tf.uint32)
    places = tf.cast(tf.range(bits.shape[0], dtype=tf.int32), tf.uint32)
    lanes = _lanes(
        bits, places, lambda numbers, by: tf.bitwise.right_shift(numbers, tf.constant(by, tf.uint32))
    )
    lanes = tuple(tf.bitcast(each, tf.int32) for each in lanes)
    both = [tf.TensorSpec((), tf.int32)] * 4
    add = tf.function(lambda *each: (each[0] + each[2], each[1] + each[3])).get_concrete_function(*both)
    sums = xla.variadic_reduce(lanes, (tf.constant(0), tf.constant(0)), [0], add)
    return tf.stack([tf.constant(1), *sums])
