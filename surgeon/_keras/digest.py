"""Numbers that tell whether the values of a large tensor are others: it is read once, and no copy is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from surgeon._keras.compiling import barrier

STEP, *FACTORS = map(np.uint32, (0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35))
"""Odd numbers without a pattern in their bits: the fraction of the golden ratio, and the two with which
MurmurHash3 finishes (Appleby 2011, public domain)."""

PIECES = 4
"""Numbers that are mixed into one: more of them take no less time, as then memory is what takes it, and two
take a quarter more."""

UNKNOWN = np.zeros(3, "int32")
"""What is no tensor's mark."""


def mark(tensor: Any) -> Any:
    """Return a mark of a tensor's bits: 1 and 64 bits of a digest, an int32 tensor of shape `(3,)`.

    Tensors that differ have the same mark by an accident of the order of 2^-60, and none if they differ in
    one element, of 32 bits at most, that lies in one piece alone (see `PIECES`). It guards against no intent.

    Args:
        tensor: Of a dtype of 16, 32 or 64 bits.
    """
    is_jax = keras.backend.backend() == "jax"
    return _mark_on_jax(tensor) if is_jax else _mark_on_tensorflow(tensor)


def _flat(tensor: Any) -> Any:
    """Return a tensor in one dimension, and let XLA keep to it: it takes twice the time to add up in two."""
    return barrier(keras.ops.reshape(tensor, (-1,)))


def _pieces(bits: Any) -> list[Any]:
    """Return the `PIECES` pieces of a flat tensor, all of one size: they overlap if that is no divisor."""
    count = bits.shape[0]
    size = -(-count // PIECES)
    starts = (min(piece * size, count - size) for piece in range(PIECES))
    return [bits[start : start + size] for start in starts]


def _lanes(pieces: Sequence[Any], places: Any, shift: Any) -> tuple[Any, Any]:
    """Return what is added up, of unsigned numbers, one of each piece, and their positions, modulo 2^32.

    A position must not be a factor: a round number, of which the lower bits are 0, would count the same at
    many. So it changes bits before they are mixed, and of the mixed ones each depends on all that went in. It
    does so twice: where the first bits changed at two positions as these do, both would come out exchanged.
    """
    first, *rest = pieces
    steps = (places + np.uint32(1)) * STEP
    one = first ^ steps
    seen = []
    for number, piece in enumerate(rest):
        seen.append(one)
        one = (one ^ shift(one, 16 - number % 2)) * FACTORS[number % 2] + piece
    one = one + steps
    one = (one ^ shift(one, 16)) * FACTORS[1]
    one = (one ^ shift(one, 13)) * FACTORS[0]
    one = one ^ shift(one, 16)
    # What went by, once more, and mixed before and after: where the first sum is the same, the second one,
    # which would nearly be a multiple of it otherwise, is not.
    other = sum(seen, one)
    other = (other ^ shift(other, 16)) * STEP
    return one, other ^ shift(other, 15)


def _mark_on_jax(tensor: Any) -> Any:
    from jax import lax

    flat = _flat(tensor)
    bits = lax.bitcast_convert_type(flat, np.dtype("uint16" if tensor.dtype.itemsize == 2 else "uint32"))
    bits = bits.ravel().astype("uint32")
    pieces = _pieces(bits)
    places = lax.iota("uint32", pieces[0].size)
    lanes = _lanes(pieces, places, lambda numbers, by: lax.shift_right_logical(numbers, np.uint32(by)))
    # Both in one pass: XLA makes room for what is added up where there is only one sum.
    nothing = np.uint32(0)
    sums = lax.reduce(lanes, (nothing, nothing), lambda one, two: (one[0] + two[0], one[1] + two[1]), (0,))
    return keras.ops.stack([np.int32(1), *(lax.bitcast_convert_type(each, np.int32) for each in sums)])


def _mark_on_tensorflow(tensor: Any) -> Any:
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.python import xla

    bits = tf.bitcast(_flat(tensor), tf.uint16 if tensor.dtype.size == 2 else tf.uint32)
    bits = tf.cast(tf.reshape(bits, (-1,)), tf.uint32)
    pieces = _pieces(bits)
    places = tf.cast(tf.range(pieces[0].shape[0], dtype=tf.int32), tf.uint32)
    lanes = _lanes(
        pieces, places, lambda numbers, by: tf.bitwise.right_shift(numbers, tf.constant(by, tf.uint32))
    )
    lanes = tuple(tf.bitcast(each, tf.int32) for each in lanes)
    both = [tf.TensorSpec((), tf.int32)] * 4
    add = tf.function(lambda *each: (each[0] + each[2], each[1] + each[3])).get_concrete_function(*both)
    sums = xla.variadic_reduce(lanes, (tf.constant(0), tf.constant(0)), [0], add)
    return tf.stack([tf.constant(1), *sums])
