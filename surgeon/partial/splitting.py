"""A product with a partly trainable matrix, computed in two parts: nothing is put together.

The product with the frozen matrix and the one with the trainable slices are computed side by
side. For a large matrix and a small batch, where copying the matrix costs as much as multiplying
by it, this is faster than `fast.apply`. Another product adds up in another order, so the result
is that of the stock layer up to rounding, not bit for bit: layers do this when they are told to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from surgeon import _keras
from surgeon.partial import assemble
from surgeon.partial.gradients import Tensors, with_gradient
from surgeon.partial.products import input_gradient, kernel_gradient, take
from surgeon.partial.variable import PartialVariable


def multiply(inputs: Any, variable: PartialVariable) -> Any:
    """Return `inputs @ whole matrix`, of shape `(..., outputs)`.

    Args:
        inputs: Of shape `(..., inputs)`.
        variable: A matrix `(inputs, outputs)` of which rows or columns train.
    """
    stored = _keras.stored_dtype(variable)
    compute = _keras.autocast_dtype() or stored
    forward: Callable[..., Any] = _by_rows if variable.axis == 0 else _by_columns
    backward: Callable[..., Tensors] = _back_by_rows if variable.axis == 0 else _back_by_columns

    def start(inputs: Any, compact: Any, base: Any, index: Any) -> tuple[Any, Tensors]:
        given = (inputs, ops.cast(compact, compute), ops.cast(base, compute), index)
        return forward(*given), given

    def back(saved: Tensors, upstream: Any) -> Tensors:
        to_inputs, to_compact = backward(*saved, upstream)
        return to_inputs, ops.cast(to_compact, stored)

    base, compact, index = map(_keras.read, (variable.base, variable.compact, variable.index))
    return with_gradient(start, back, (inputs, compact), (base, index))


def _by_columns(inputs: Any, compact: Any, base: Any, index: Any) -> Any:
    return assemble.scatter(
        ops.matmul(inputs, base), ops.matmul(inputs, compact), index, len(inputs.shape) - 1
    )


def _back_by_columns(inputs: Any, compact: Any, base: Any, index: Any, upstream: Any) -> Tensors:
    some = take(upstream, index)
    to_inputs = ops.add(
        input_gradient(inputs, base, _without(upstream, index)), input_gradient(inputs, compact, some)
    )
    return to_inputs, kernel_gradient(inputs, compact, some)


def _by_rows(inputs: Any, compact: Any, base: Any, index: Any) -> Any:
    frozen = ops.matmul(_without(inputs, index), base)
    return ops.add(frozen, ops.matmul(ops.take(inputs, index, axis=-1), compact))


def _back_by_rows(inputs: Any, compact: Any, base: Any, index: Any, upstream: Any) -> Tensors:
    some = take(inputs, index)
    frozen, trained = input_gradient(inputs, base, upstream), input_gradient(some, compact, upstream)
    to_inputs = assemble.scatter(frozen, trained, index, len(inputs.shape) - 1)
    return to_inputs, kernel_gradient(some, compact, upstream)


def _without(tensor: Any, index: Any) -> Any:
    """Return a tensor with zeros at the positions that train along its last axis."""
    trains, _ = assemble.positions(index, tensor.shape[-1])
    return ops.where(trains, ops.zeros((), tensor.dtype), tensor)
