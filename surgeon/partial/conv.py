"""Convolutions of which any part trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from surgeon.partial import fast, grouped, narrow
from surgeon.partial.attaching import promise
from surgeon.partial.fast import fast_weight
from surgeon.partial.layer import FAST_PATHS, PartialHost, named_partial
from surgeon.partial.part import Part
from surgeon.partial.spec import Spec
from surgeon.partial.variable import PartialVariable


class FastConv:
    """Mixin: the gradient of a convolution's kernel for its trainable channels or rows alone."""

    fast_slices = ("kernel",)

    def convolution_op(self: Any, inputs: Any, kernel: Any) -> Any:
        """Return what the stock layer's `convolution_op` returns, bit for bit."""
        variable = fast_weight(self, "kernel")
        stock = super().convolution_op  # type: ignore[misc]
        sides: dict[int | None, fast.Side] = {self.rank: "in", self.rank + 1: "out"}
        if variable is None or kernel is not variable or variable.axis not in sides:
            return stock(inputs, kernel)
        side, channel_axis = sides[variable.axis], -1 if self.data_format == "channels_last" else 1
        if self.groups > 1 and not grouped.pays(variable, self.groups, channel_axis):
            return stock(inputs, kernel)
        if self.groups == 1 and fast.are_most(variable):
            return stock(inputs, kernel)
        turned = narrow.of_convolution(stock) if side == "out" and self._is_turned(variable) else None
        return fast.apply(stock, inputs, variable, side, channel_axis, self.groups, kernel_gradient=turned)

    def _is_turned(self: Any, variable: PartialVariable) -> bool:
        is_plain = {*self.strides, *self.dilation_rate, self.groups} == {1}
        is_even = not all(size % 2 for size in self.kernel_size)
        if not is_plain or is_even:
            return False
        if (self.padding, self.data_format) != ("same", "channels_last"):
            return False
        return narrow.pays_in_convolution(*variable.compact.shape[-2:])


class FastConv1D(FastConv):
    """Mixin: as `FastConv`, for the one convolution that pads for causality in a `call` of its own."""

    def call(self: Any, inputs: Any) -> Any:
        """Return what `keras.layers.Conv1D.call` returns, bit for bit."""
        if self.padding != "causal":
            return super(keras.layers.Conv1D, self).call(inputs)  # type: ignore[misc]
        return keras.layers.Conv1D.call(self, inputs)


FAST_PATHS.append((keras.layers.Conv1D, FastConv1D))
FAST_PATHS.extend((conv, FastConv) for conv in (keras.layers.Conv2D, keras.layers.Conv3D))


@named_partial(keras.layers.Conv2D)
class PartialConv2D(PartialHost, FastConv, keras.layers.Conv2D):
    """`keras.layers.Conv2D` of which any part trains and the rest cannot change.

    `surgeon.rewrite` makes these from trained layers; they can also be written by hand.

    Args:
        filters: As in `keras.layers.Conv2D`, like every other argument.
        kernel_size: As in `keras.layers.Conv2D`.
        partial: What trains, by weight. `"none"` freezes a weight, `"all"` leaves it as it is,
            and a `Part` says which channels (axis 3 of the kernel `(h, w, in, out)`), rows
            (axis 2) or elements train.

    Input and output shapes are those of Conv2D: `(batch, height, width, channels)`.

    Raises:
        WeightNameError: On build, if there is no such weight.
        SelectionError: On build, if a part does not have the weight's shape.

    Example:
        >>> import numpy as np
        >>> layer = PartialConv2D(8, 3, partial={"kernel": "none"})
        >>> layer(np.ones((1, 5, 5, 1))).shape[-1]
        8
        >>> [v.name for v in layer.trainable_variables]
        ['bias']
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *args: Any,
        partial: Mapping[str, Part | str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, *args, **kwargs)
        promise(self, Spec(partial or {}))
