"""Computing the weight gradient for the trainable slices alone.

A compiler does not shrink `slice(gradient of the whole kernel)`, so the saving is written out
as a gradient of its own: forward with the whole kernel, bit-equal to the stock layer; backward
the gradient of the inputs as always, and that of the kernel from just the slices of the
upstream gradient (output channels) or of the inputs (input rows) that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import ops

from surgeon import _keras, paths
from surgeon.partial import assemble
from surgeon.partial.variable import PartialVariable

Operation = Callable[[Any, Any], Any]
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
) -> Any:
    """Return `operation(inputs, whole weight)` with a gradient for the trainable slices alone.

    Args:
        operation: Linear in both arguments, for any number of slices of the weight.
        inputs: The layer's inputs.
        variable: A weight that trains along an axis.
        side: Whether that axis counts the weight's inputs or its outputs.
        channel_axis: The axis of the inputs, or of the result, that it corresponds to.
    """
    base, index, dtype = (
        _keras.read(variable.base),
        _keras.read(variable.index),
        _keras.stored_dtype(variable),
    )
    compute = _keras.autocast_dtype() or dtype
    base = ops.stop_gradient(base)

    @ops.custom_gradient
    def partly(inputs: Any, compact: Any) -> Any:
        whole = ops.cast(assemble.scatter(base, compact, index, variable.axis), compute)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            to_inputs = vjp(lambda x: operation(x, whole), inputs, upstream)
            some_inputs, some_upstream = inputs, upstream
            if side == "out":
                some_upstream = ops.take(upstream, index, axis=channel_axis)
            else:
                some_inputs = ops.take(inputs, index, axis=channel_axis)
            slices = ops.cast(compact, compute)
            to_compact = vjp(lambda kernel: operation(some_inputs, kernel), slices, some_upstream)
            return to_inputs, ops.cast(to_compact, dtype)

        return operation(inputs, whole), gradient

    return partly(inputs, _keras.read(variable.compact))


def vjp(function: Callable[[Any], Any], at: Any, upstream: Any) -> Any:
    """Return the vector-Jacobian product of a function of one tensor."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(at)
            result = function(at)
        return tape.gradient(result, at, output_gradients=upstream)
    if backend == "jax":
        import jax

        return jax.vjp(function, at)[1](upstream)[0]
    import torch

    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf, upstream)[0]
