"""The gradients of a product with a matrix, where a backend has a slow way of its own.

On a CPU, XLA and TensorFlow are slow with a matrix that they read down its columns. So what is small is
laid out anew before, or turned around behind; a barrier keeps XLA from making one operation of both again.
Measured there: the gradient of a kernel takes JAX 0.5 to 1.0 of the time, that of the inputs 0.05 to 1.0; the
latter takes TensorFlow 0.3 to 0.7 with 1024 units and more, and 0.15 to 0.55 of what its `einsum` takes. Of
many rows neither of large matrices gains, so there both are as the stock layer's.
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

FEW = 128
"""Rows of a batch up to which it is better to lay them out anew, and to turn the gradient of them around."""

WIDE = 256
"""Outputs of a kernel up to which it is better to lay out anew any number of rows for its gradient."""

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
    if _rows(inputs) > FEW:
        return False
    if _keras.is_in_xla_for_cpu():
        return True
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
    if _rows(inputs) > FEW and kernel.shape[1] > WIDE:
        return vjp(lambda each: ops.matmul(rows, each), kernel, results)
    return ops.matmul(_keras.barrier(ops.transpose(rows)), results)


def _are_one_kind(*tensors: Any) -> bool:
    return len({each.dtype for each in tensors}) == 1


def _as_matrix(tensor: Any, columns: int) -> Any:
    # A step can be traced for tensors of which nothing is known.
    return ops.reshape(tensor, (-1, columns))


def _rows(inputs: Any) -> int:
    sizes: Sequence[int | None] = inputs.shape[:-1]
    return _keras.static_size(BATCH if size is None else size for size in sizes) or 0
