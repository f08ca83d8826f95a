"""The gradients of a product with a matrix, where a backend has a slow way of its own.

On a CPU, XLA and TensorFlow can be slow with a matrix that they read down its columns. So what is small is
laid out anew before, or turned around behind; a barrier keeps XLA from making one operation of both again.
How much that is worth differs among processors: on some, the gradient of a kernel then takes JAX 0.5 of the
time, that of the inputs 0.05, and the latter takes TensorFlow 0.3 to 0.7 with 1024 units and more; on others
only that of a kernel gains, and with few rows, inputs or outputs alone (0.4 to 0.98). There XLA loses with
many of all, up to 2.2 from 1024 rows and inputs on: then it is the stock layer's own way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from surgeon import _keras
from surgeon.partial import narrow
from surgeon.partial.gradients import vjp

FEW = 256
"""Rows of a batch up to which TensorFlow's own gradient of the inputs is better turned around: with more, its
size counts for as much as the kernel's."""

FEW_IN_XLA = 128
"""Rows up to which that is so in XLA; and rows, or else inputs, up to which the former are better laid out
anew for the gradient of a kernel."""

BATCH = 32
"""Rows of a batch whose size is not known: what Keras takes where nobody says."""


def input_gradient(inputs: Any, kernel: Any, upstream: Any) -> Any:
    """Return the gradient of the inputs of `inputs @ kernel`.

    Args:
        inputs: Of shape `(..., inputs)`.
        kernel: A matrix `(inputs, outputs)`.
        upstream: The gradient of the product, of shape `(..., outputs)`.
    """
    if not (_are_one_kind(inputs, kernel, upstream) and _turns(inputs, kernel)):
        return vjp(lambda x: ops.matmul(x, kernel), inputs, upstream)
    turned = ops.matmul(kernel, ops.transpose(_as_matrix(upstream, kernel.shape[1])))
    if _keras.is_in_xla_for_cpu():
        turned = _keras.barrier(turned)
    return ops.reshape(ops.transpose(turned), ops.shape(inputs))


def _turns(inputs: Any, kernel: Any) -> bool:
    if _keras.is_in_xla_for_cpu():
        return _rows(inputs) <= FEW_IN_XLA
    if _rows(inputs) > FEW:
        return False
    # By itself, each operation costs TensorFlow some time of its own.
    is_large = math.prod(kernel.shape) >= _keras.LARGE
    return is_large and keras.backend.backend() == "tensorflow" and _keras.is_for_cpu()


def kernel_gradient(inputs: Any, kernel: Any, upstream: Any) -> Any:
    """Return the gradient of the kernel of `inputs @ kernel`; the arguments are those of `input_gradient`."""
    if not (_are_one_kind(inputs, kernel, upstream) and _keras.is_in_xla_for_cpu()):
        return vjp(lambda each: ops.matmul(inputs, each), kernel, upstream)
    rows, results = _as_matrix(inputs, kernel.shape[0]), _as_matrix(upstream, kernel.shape[1])
    if narrow.pays(_rows(inputs), kernel):
        return narrow.of_product(rows, results)
    columns = ops.transpose(rows)
    if min(_rows(inputs), int(kernel.shape[0])) <= FEW_IN_XLA:
        columns = _keras.barrier(columns)
    return ops.matmul(columns, results)


def take(tensor: Any, index: Any) -> Any:
    """Return some of the channels of a tensor, its last axis, for one of these gradients to compute with."""
    taken = ops.take(tensor, index, axis=-1)
    # XLA would take them down the columns, straight out of what computes the tensor.
    return _keras.barrier(taken) if _keras.is_in_xla_for_cpu() else taken


def _are_one_kind(*tensors: Any) -> bool:
    return len({each.dtype for each in tensors}) == 1


def _as_matrix(tensor: Any, columns: int) -> Any:
    # A step can be traced for tensors of which nothing is known.
    return ops.reshape(tensor, (-1, columns))


def _rows(inputs: Any) -> int:
    return size(inputs.shape[:-1])


def size(shape: Sequence[int | None]) -> int:
    """Return how many elements a tensor of this shape has, or probably has; 0 if nothing is known of it."""
    return _keras.static_size(shape, BATCH) or 0
