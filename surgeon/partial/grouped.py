"""The gradient of some slices of the kernel of a convolution in groups.

How many trainable channels lie in which group is known to the index alone, and shapes must be known before
it. So the gradient is computed as if each channel read the inputs of all groups, which is no convolution in
groups, and what belongs to the other groups is left out.

On a CPU that is much less work than it looks: XLA, by which TensorFlow and JAX compute convolutions in groups
there, takes 5 to 100 times longer for the gradient of a whole kernel. With PyTorch nothing is gained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from surgeon import _keras
from surgeon.partial.gradients import vjp
from surgeon.partial.variable import PartialVariable

Operation = Callable[[Any, Any], Any]


def pays(variable: PartialVariable, groups: int, channel_axis: int) -> bool:
    """Whether the gradient of the slices alone is less work than the slices of the gradient of all.

    Args:
        variable: The kernel, which trains along an axis.
        groups: How many groups there are.
        channel_axis: The axis of the inputs with the channels.
    """
    backend = keras.backend.backend()
    # TensorFlow has no convolution of channels first on a CPU, except by XLA and in groups.
    if backend == "torch" or (backend == "tensorflow" and channel_axis == 1):
        return False
    if _keras.is_for_cpu():
        return True
    trains, count = (int(v.shape[variable.axis]) for v in (variable.compact, variable))
    return groups * trains <= count


def input_gradient(operation: Operation, inputs: Any, kernel: Any, upstream: Any) -> Any:
    """Return the gradient of the inputs.

    Args:
        operation: As in `kernel_gradient`.
        inputs: What the layer was given.
        kernel: The whole kernel.
        upstream: The gradient of all outputs.
    """

    def compute(inputs: Any, kernel: Any, upstream: Any) -> Any:
        return vjp(lambda x: operation(x, kernel), inputs, upstream)

    # Keras compiles the convolution, and TensorFlow its gradient in one piece with that of the kernel, wanted
    # or not. Compiled from outside, it loses what nobody reads.
    return _keras.compiled_in_graph(compute, inputs, kernel, upstream)


def inputs_of_rows(index: Any, groups: int, inputs: int) -> Any:
    """Return which of all inputs the rows of a kernel read, group by group.

    Args:
        index: Positions of rows, an int32 tensor of shape `(k,)`.
        groups: How many groups there are.
        inputs: How many inputs the layer has.

    Returns:
        An int32 tensor of shape `(groups * k,)`.
    """
    starts = ops.convert_to_tensor(np.arange(0, inputs, inputs // groups, dtype="int32"))
    return ops.reshape(ops.add(ops.expand_dims(starts, 1), index), (-1,))


def group_of(filters: int, groups: int) -> Any:
    """Return the group of each channel of a kernel, an int32 tensor of shape `(filters,)`."""
    return ops.convert_to_tensor(np.repeat(np.arange(groups, dtype="int32"), filters // groups))


def kernel_gradient(
    operation: Operation, inputs: Any, slices: Any, upstream: Any, groups: int, of: Any
) -> Any:
    """Return the gradient of some slices of a kernel.

    Args:
        operation: `(inputs, kernel)` to outputs, in as many groups as make the kernel fit the inputs.
        inputs: What the slices read, group by group.
        slices: They, of shape `(..., inputs in a group, channels)`.
        upstream: The gradient of their channels of the outputs.
        groups: How many groups there are.
        of: The group of each channel, an int32 tensor.
    """
    *window, depth, channels = slices.shape
    start = ops.zeros((*window, groups * depth, channels), slices.dtype)
    every = vjp(lambda kernel: operation(inputs, kernel), start, upstream)
    every = ops.reshape(every, (*window, groups, depth, channels))
    numbers = ops.convert_to_tensor(np.arange(groups, dtype="int32").reshape(-1, 1, 1))
    return ops.sum(ops.where(ops.equal(numbers, of), every, ops.zeros((), every.dtype)), axis=-3)
