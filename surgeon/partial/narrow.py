"""The gradient of a kernel of few outputs, where a backend is slow with results that have few columns.

On a CPU a product of `(768, 4096)` and `(4096, 77)` takes XLA one and a half times as long as the transposed
one, and a convolution with 26 channels of output almost twice as long as one with 26 of input. So the
gradient is computed with the outputs in front, and turned around. A barrier keeps XLA from undoing that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from surgeon import _keras
from surgeon.partial.gradients import vjp

NARROW = 8
"""One of so many outputs: with more, turning the result around costs more than it saves."""

WIDEST = 128
"""Outputs of a matrix up to which it saves as much (XLA, 256 rows and more: 1024 inputs and 102 outputs take
0.7 to 0.9 of the time, 4096 and 410 take 1.1 to 1.3)."""

MANY = 256
"""Rows of a batch from which on turning the result around costs less than it saves: what reads it next, an
optimizer, reads it down its columns."""


def pays(rows: int, kernel: Any) -> bool:
    """Whether to compute the gradient of a matrix by `of_product`.

    Args:
        rows: How many rows the batch has.
        kernel: The matrix, of shape `(inputs, outputs)`.
    """
    inputs, outputs = map(int, kernel.shape)
    return rows >= MANY and outputs <= min(WIDEST, inputs // NARROW)


def of_product(rows: Any, results: Any) -> Any:
    """Return the gradient of the kernel of `rows @ kernel`.

    Args:
        rows: Of shape `(rows, inputs)`.
        results: The gradient of the product, of shape `(rows, outputs)`.
    """
    turned = _keras.barrier(ops.transpose(results))
    return ops.transpose(_keras.barrier(ops.matmul(turned, rows)))


def pays_in_convolution(inputs: int, outputs: int) -> bool:
    """Whether to compute the gradient of some outputs of a convolution's kernel by `of_convolution`.

    Args:
        inputs: How many inputs the kernel has.
        outputs: How many outputs are meant. TensorFlow's own operation gains with few of them, XLA's always.
    """
    if keras.backend.backend() == "torch" or not _keras.is_for_cpu():
        return False
    return _keras.is_in_xla_for_cpu() or NARROW * outputs <= inputs


def of_convolution(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Return the gradient of a convolution's kernel, as a function of inputs, kernel and upstream gradient.

    It is a correlation of the inputs with the gradient of the result. Here the latter is correlated with the
    former, as in the gradient of another kernel, which comes back to front.

    Args:
        operation: `(inputs, kernel)` to the result; channels last, padding `"same"`, strides and dilations of
            1, and windows of odd sizes: others are padded by more on one side.
    """

    def gradient(inputs: Any, kernel: Any, upstream: Any) -> Any:
        *window, depth, channels = kernel.shape
        start = ops.zeros((*window, channels, depth), kernel.dtype)
        turned = vjp(lambda other: operation(upstream, other), start, inputs)
        if _keras.is_in_xla_for_cpu():
            turned = _keras.barrier(turned)
        sides = tuple(range(len(window)))
        return ops.transpose(ops.flip(turned, axis=sides), (*sides, len(window) + 1, len(window)))

    return gradient
