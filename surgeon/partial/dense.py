"""A Dense layer of which any part trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from surgeon import _keras
from surgeon.partial import calls, fast, splitting
from surgeon.partial.attaching import promise
from surgeon.partial.fast import fast_weight
from surgeon.partial.layer import FAST_PATHS, SPLIT, PartialHost, named_partial
from surgeon.partial.part import Part
from surgeon.partial.products import input_gradient, kernel_gradient
from surgeon.partial.spec import Spec

SIDES: dict[int | None, fast.Side | None] = {0: "in", 1: "out", None: None}
"""What the axes of a Dense kernel count."""


class FastDense:
    """Mixin: the gradient of a Dense kernel for what trains of it alone."""

    fast_slices = fast_elements = ("kernel",)

    def call(self: Any, inputs: Any, training: bool | None = None) -> Any:
        """Return what `keras.layers.Dense.call` returns: bit for bit, or up to rounding if told to split."""
        kernel = fast_weight(self, "kernel")
        if kernel is None or calls.is_assembled(kernel) or self.lora_enabled or _keras.is_sparse(inputs):
            return keras.layers.Dense.call(self, inputs, training=training)
        if vars(self).get(SPLIT) and kernel.axis is not None:
            x = splitting.multiply(inputs, kernel)
        else:
            side = SIDES[kernel.axis]
            ways = input_gradient, kernel_gradient
            x = fast.apply(ops.matmul, inputs, kernel, side, -1, None, *ways)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)


FAST_PATHS.append((keras.layers.Dense, FastDense))


@named_partial(keras.layers.Dense)
class PartialDense(PartialHost, FastDense, keras.layers.Dense):
    """`keras.layers.Dense` of which any part trains and the rest cannot change.

    `surgeon.rewrite` makes these from trained layers; they can also be written by hand.

    Args:
        units: As in `keras.layers.Dense`, like every other argument.
        partial: What trains, by weight. `"none"` freezes a weight, `"all"` leaves it as it is,
            and a `Part` says which channels, rows or elements train.

    Input and output shapes are those of Dense: `(..., inputs)` to `(..., units)`.

    Raises:
        WeightNameError: On build, if there is no such weight.
        SelectionError: On build, if a part does not have the weight's shape.

    Example:
        >>> import numpy as np
        >>> layer = PartialDense(3, partial={"kernel": Part.slices((2, 3), -1, [0])})
        >>> layer(np.ones((1, 2))).shape[-1]
        3
        >>> [tuple(v.shape) for v in layer.trainable_variables]
        [(3,), (2, 1)]
    """

    def __init__(
        self, units: int, *args: Any, partial: Mapping[str, Part | str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(units, *args, **kwargs)
        promise(self, Spec(partial or {}))
