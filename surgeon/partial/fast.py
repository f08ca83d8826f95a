"""Computing the weight gradient for the trainable slices alone.

A compiler does not shrink `slice(gradient of the whole kernel)`, so the saving is written out
as a gradient of its own: forward with the whole kernel, bit-equal to the stock layer; backward
the gradient of the inputs as always, and that of the kernel from just the slices of the
upstream gradient (output channels) or of the inputs (input rows) that it needs.
"""

from __future__ import annotations

from typing import Any, Literal

from keras import ops

from surgeon import _keras, paths
from surgeon.partial import assemble, grouped
from surgeon.partial.gradients import Tensors, vjp, with_gradient
from surgeon.partial.variable import PartialVariable

Operation = grouped.Operation
Side = Literal["in", "out"]


def fast_weight(layer: Any, name: str) -> PartialVariable | None:
    """Return a layer's own weight of this name if it trains along an axis."""
    state = getattr(layer, paths.STATE, None)
    variable = None if state is None else state.held.get(name)
    return variable if variable is not None and variable.axis is not None else None


def apply(
    operation: Operation,
    inputs: Any,
    variable: PartialVariable,
    side: Side,
    channel_axis: int,
    groups: int = 1,
) -> Any:
    """Return `operation(inputs, whole weight)` with a gradient for the trainable slices alone.

    Args:
        operation: Linear in both arguments, for any number of slices of the weight.
        inputs: The layer's inputs.
        variable: A weight that trains along an axis.
        side: Whether that axis counts the weight's inputs or its outputs.
        channel_axis: The axis of the inputs, or of the result, that it corresponds to.
        groups: How many groups the operation, a convolution, computes one by one.
    """
    stored = _keras.stored_dtype(variable)
    compute = _keras.autocast_dtype() or stored

    def forward(inputs: Any, compact: Any, base: Any, index: Any) -> tuple[Any, Tensors]:
        whole = ops.cast(assemble.scatter(base, compact, index, variable.axis), compute)
        return operation(inputs, whole), (inputs, compact, whole, index)

    def backward(saved: Tensors, upstream: Any) -> Tensors:
        inputs, compact, whole, index = saved
        if groups == 1:
            to_inputs = vjp(lambda x: operation(x, whole), inputs, upstream)
        else:
            to_inputs = grouped.input_gradient(operation, inputs, whole, upstream)
        slices = ops.cast(compact, compute)
        if side == "out":
            upstream = ops.take(upstream, index, axis=channel_axis)
        else:
            count = inputs.shape[channel_axis]
            read = index if groups == 1 else grouped.inputs_of_rows(index, groups, count)
            inputs = ops.take(inputs, read, axis=channel_axis)
        if groups == 1:
            to_compact = vjp(lambda kernel: operation(inputs, kernel), slices, upstream)
        else:
            of = grouped.group_of(variable.shape[-1], groups)
            of = ops.take(of, index) if side == "out" else of
            to_compact = grouped.kernel_gradient(operation, inputs, slices, upstream, groups, of)
        return to_inputs, ops.cast(to_compact, stored)

    base, compact, index = map(_keras.read, (variable.base, variable.compact, variable.index))
    return with_gradient(forward, backward, (inputs, compact), (base, index))
