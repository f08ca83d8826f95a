"""Computing the weight gradient for the trainable slices alone.

A compiler does not shrink `slice(gradient of the whole kernel)`, so the saving is written out
as a gradient of its own: forward with the whole kernel, bit-equal to the stock layer; backward
the gradient of the inputs as always, and that of the kernel from just the slices of the
upstream gradient (output channels) or of the inputs (input rows) that it needs. Where taking
these costs more than it saves, that of the whole kernel is computed (see `MOST`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import ops

from surgeon import _keras, paths
from surgeon.partial import assemble, blocks, grouped, products
from surgeon.partial.gradients import Tensors, vjp, with_gradient
from surgeon.partial.variable import PartialVariable

Operation = grouped.Operation
Side = Literal["in", "out"]
Gradient = Callable[[Any, Any, Any], Any]

MOST = 4 / 3
"""One of so many slices: where more train, TensorFlow can take longer for their gradient than for that of
all. So it does in a convolution (64 channels on 28 × 28 places: 7.2 ms for 58, and 4.7), and in a product
with a matrix that is no larger than what the slices are taken out of otherwise: where 0.9 of it train, a step
of a small transformer (1024 rows) takes 0.97 of the time for channels and 0.94 for rows, while one of a Dense
of 1024 inputs and outputs with 256 rows would take 1.14 for channels."""


def fast_weight(layer: Any, name: str) -> PartialVariable | None:
    """Return a layer's own weight of this name if the layer's class takes it apart by itself."""
    state = getattr(layer, paths.STATE, None)
    variable = None if state is None else state.held.get(name)
    return variable if variable is not None and takes_apart(layer, name, variable) else None


def takes_apart(layer: Any, name: str, variable: PartialVariable) -> bool:
    """Whether a layer computes with the parts of one of its weights, and never asks for the whole one."""
    if variable.axis is not None:
        return name in getattr(layer, "fast_slices", ())
    return variable.compact is not None and name in getattr(layer, "fast_elements", ())


def are_most(variable: PartialVariable) -> bool:
    """Whether so many slices of a weight train that the gradient of all may take less time, see `MOST`."""
    if variable.axis is None or keras.backend.backend() != "tensorflow" or _keras.is_in_xla_for_cpu():
        return False
    trains, count = (int(each.shape[variable.axis]) for each in (variable.compact, variable))
    return MOST * trains > count


def apply(
    operation: Operation,
    inputs: Any,
    variable: PartialVariable,
    side: Side | None,
    channel_axis: int,
    groups: int | None = None,
    input_gradient: Gradient | None = None,
    kernel_gradient: Gradient | None = None,
) -> Any:
    """Return `operation(inputs, whole weight)` with a gradient for the trainable part alone.

    Args:
        operation: Linear in both arguments, for any number of slices of the weight.
        inputs: The layer's inputs.
        variable: A weight that trains in part.
        side: Whether the axis along which it trains counts the weight's inputs or its outputs; `None` for
            a weight of which single elements train.
        channel_axis: The axis of the inputs, or of the result, that it corresponds to.
        groups: How many groups a convolution computes one by one; `None` for other operations.
        input_gradient: Of the inputs, the whole weight and the upstream gradient, where there is a faster way
            than the operation's own.
        kernel_gradient: Likewise of the inputs, a kernel or slices of it, and the upstream gradient, each cut
            to what belongs to these.
    """
    stored = _keras.stored_dtype(variable)
    compute = _keras.autocast_dtype() or stored
    is_large = variable.start is not None
    is_laid_out_anew = is_large and groups is not None
    ways = input_gradient, kernel_gradient
    gradients = _Gradients(operation, variable, side, channel_axis, groups or 1, *ways)

    def forward(inputs: Any, compact: Any, base: Any, index: Any) -> tuple[Any, Tensors]:
        # Not `scatter`: a gradient of the gradient goes through the kernel that is kept for it, too (not on
        # PyTorch, where `vjp` refuses it).
        whole = ops.cast(assemble.assemble(base, compact, index, variable.axis), compute)
        return operation(inputs, whole), (inputs, compact, whole, index)

    def backward(saved: Tensors, upstream: Any) -> Tensors:
        inputs, compact, whole, index = saved
        if is_laid_out_anew:
            inputs = _keras.held_back(inputs, upstream)
        if side is None:
            to_compact = gradients.of_elements(inputs, whole, index, upstream)
        else:
            to_compact = gradients.of_slices(inputs, whole, ops.cast(compact, compute), index, upstream)
        if is_laid_out_anew:
            whole = _keras.held_back(whole, to_compact)
        with _keras.after(to_compact) if is_large else nullcontext():
            return gradients.of_inputs(inputs, whole, upstream), ops.cast(to_compact, stored)

    compact, index = _keras.read(variable.compact), _keras.read(variable.index)
    return with_gradient(forward, backward, (inputs, compact), (variable.source(), index))


@dataclass(frozen=True)
class _Gradients:
    """The gradients of `operation(inputs, whole weight)`; the attributes are the arguments of `apply`."""

    operation: Operation
    variable: PartialVariable
    side: Side | None
    channel_axis: int
    groups: int
    input_gradient: Gradient | None
    kernel_gradient: Gradient | None

    def of_inputs(self, inputs: Any, whole: Any, upstream: Any) -> Any:
        if self.groups > 1:
            return grouped.input_gradient(self.operation, inputs, whole, upstream)
        if self.input_gradient is not None:
            return self.input_gradient(inputs, whole, upstream)
        return vjp(lambda x: self.operation(x, whole), inputs, upstream)

    def of_elements(self, inputs: Any, whole: Any, index: Any, upstream: Any) -> Any:
        if self.operation is ops.matmul and blocks.pays(inputs, whole, index, upstream):
            return blocks.gradient_of_elements(inputs, whole, index, upstream, self.variable.workspace)
        return assemble.gather(self._of_kernel(inputs, whole, upstream), index, None)

    def of_slices(self, inputs: Any, whole: Any, slices: Any, index: Any, upstream: Any) -> Any:
        if self._is_better_whole(upstream if self.side == "out" else inputs):
            return assemble.gather(self._of_kernel(inputs, whole, upstream), index, self.variable.axis)
        if self.side == "out":
            upstream = self._take(upstream, index)
        else:
            inputs = self._take(inputs, self._reads(inputs, index))
        if self.groups == 1:
            return self._of_kernel(inputs, slices, upstream)
        of = grouped.group_of(self.variable.shape[-1], self.groups)
        of = ops.take(of, index) if self.side == "out" else of
        return grouped.kernel_gradient(self.operation, inputs, slices, upstream, self.groups, of)

    def _is_better_whole(self, taken: Any) -> bool:
        """Whether to take slices out of the gradient of all of the weight, and not out of this tensor."""
        if not (self.operation is ops.matmul and are_most(self.variable) and _keras.is_for_cpu()):
            return False
        return math.prod(self.variable.shape) <= products.size(taken.shape)

    def _take(self, tensor: Any, index: Any) -> Any:
        if self.operation is ops.matmul:
            return products.take(tensor, index)
        return ops.take(tensor, index, axis=self.channel_axis)

    def _of_kernel(self, inputs: Any, kernel: Any, upstream: Any) -> Any:
        if self.kernel_gradient is not None:
            return self.kernel_gradient(inputs, kernel, upstream)
        return vjp(lambda each: self.operation(inputs, each), kernel, upstream)

    def _reads(self, inputs: Any, index: Any) -> Any:
        """Return which channels of the inputs the rows at `index` read."""
        if self.groups == 1:
            return index
        return grouped.inputs_of_rows(index, self.groups, inputs.shape[self.channel_axis])
