"""The gradient of a kernel of few outputs, where XLA is slow with results that have few columns.

On a CPU a product of `(1024, 256)` and `(256, 102)` takes it more than twice as long as the transposed one,
and a convolution with 26 channels of output almost twice as long as one with 26 of input. So the gradient is
computed with the outputs in front, and turned around. A barrier keeps XLA from undoing that.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from surgeon import _keras
from surgeon.partial.gradients import vjp

NARROW = 8
"""One of so many outputs: with more, turning the result around costs more than it saves."""

MANY = 128
"""Rows of a batch from which on turning the result around costs less than it saves."""


def of_product(inputs: Any, kernel: Any, upstream: Any) -> Any:
    """Return the gradient of the kernel of `inputs @ kernel`.

    Args:
        inputs: Of shape `(..., inputs)`.
        kernel: A matrix `(inputs, outputs)`.
        upstream: The gradient of the product, of shape `(..., outputs)`.
    """
    count = _keras.static_size(inputs.shape[:-1])
    is_narrow = NARROW * kernel.shape[1] <= kernel.shape[0] and (count is None or count >= MANY)
    is_one_kind = len({each.dtype for each in (inputs, kernel, upstream)}) == 1
    if not (is_narrow and is_one_kind and _keras.is_in_xla()):
        return vjp(lambda each: ops.matmul(inputs, each), kernel, upstream)
    rows, results = (ops.reshape(each, (-1, each.shape[-1])) for each in (inputs, upstream))
    return ops.transpose(_keras.barrier(ops.matmul(ops.transpose(results), rows)))


def of_convolution(inputs: Any, kernel: Any, upstream: Any) -> Any:
    """Return the gradient of the kernel of a convolution: padding `"same"`, strides of 1, channels last.

    For JAX alone.

    The gradient is a correlation of the inputs with the gradient of the result: here it is one of the latter
    with the former, and so comes back to front.

    Args:
        inputs: Of shape `(batch, *sides, inputs)`.
        kernel: Of shape `(*window, inputs, outputs)`.
        upstream: The gradient of the result, of shape `(batch, *sides, outputs)`.
    """
    from jax import lax

    rank = len(kernel.shape) - 2
    pads = [(size // 2, (size - 1) // 2) for size in kernel.shape[:-2]]
    letters = "DHW"[-rank:]
    numbers = (f"C{letters}N", f"I{letters}O", f"N{letters}C")
    turned = lax.conv_general_dilated(upstream, inputs, (1,) * rank, pads, dimension_numbers=numbers)
    return ops.transpose(
        ops.flip(_keras.barrier(turned), axis=tuple(range(1, rank + 1))),
        (*range(1, rank + 2), 0),
    )
