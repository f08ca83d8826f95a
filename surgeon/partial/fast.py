"""Computing the weight gradient for the trainable slices alone.

A compiler does not shrink `slice(gradient of the whole kernel)`, so the saving is written out
as a gradient of its own: forward with the whole kernel, bit-equal to the stock layer; backward
the gradient of the inputs as always, and that of the kernel from just the slices of the
upstream gradient (output channels) or of the inputs (input rows) that it needs.
"""

from __future__ import annotations

import math
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
    groups: int | None = None,
) -> Any:
    """Return `operation(inputs, whole weight)` with a gradient for the trainable slices alone.

    Args:
        operation: Linear in both arguments, for any number of slices of the weight.
        inputs: The layer's inputs.
        variable: A weight that trains along an axis.
        side: Whether that axis counts the weight's inputs or its outputs.
        channel_axis: The axis of the inputs, or of the result, that it corresponds to.
        groups: How many groups a convolution computes one by one; `None` for other operations.
    """
    stored = _keras.stored_dtype(variable)
    compute = _keras.autocast_dtype() or stored
    count = groups or 1
    # TensorFlow's own gradient of a convolution takes as long for a few channels as for a third of them.
    is_slow = groups is not None and side == "out" and math.prod(variable.shape) >= _keras.LARGE

    def forward(inputs: Any, compact: Any, base: Any, index: Any) -> tuple[Any, Tensors]:
        whole = ops.cast(assemble.scatter(base, compact, index, variable.axis), compute)
        return operation(inputs, whole), (inputs, compact, whole, index)

    def of_slices(inputs: Any, slices: Any, upstream: Any) -> Any:
        return vjp(lambda kernel: operation(inputs, kernel), slices, upstream)

    def backward(saved: Tensors, upstream: Any) -> Tensors:
        inputs, compact, whole, index = saved
        if count > 1:
            to_inputs = grouped.input_gradient(operation, inputs, whole, upstream)
        else:
            to_inputs = vjp(lambda x: operation(x, whole), inputs, upstream)
        slices = ops.cast(compact, compute)
        if side == "out":
            upstream = ops.take(upstream, index, axis=channel_axis)
        else:
            read = grouped.inputs_of_rows(index, count, inputs.shape[channel_axis]) if count > 1 else index
            inputs = ops.take(inputs, read, axis=channel_axis)
        if count > 1:
            of = grouped.group_of(variable.shape[-1], count)
            of = ops.take(of, index) if side == "out" else of
            to_compact = grouped.kernel_gradient(operation, inputs, slices, upstream, count, of)
        elif is_slow:
            to_compact = _keras.compiled_in_graph(of_slices, inputs, slices, upstream)
        else:
            to_compact = of_slices(inputs, slices, upstream)
        return to_inputs, ops.cast(to_compact, stored)

    base, compact, index = map(_keras.read, (variable.base, variable.compact, variable.index))
    return with_gradient(forward, backward, (inputs, compact), (base, index))
