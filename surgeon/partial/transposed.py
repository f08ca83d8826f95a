"""The gradient of a transposed convolution's kernel for its trainable channels or rows alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from surgeon.partial import fast
from surgeon.partial.fast import fast_weight
from surgeon.partial.layer import FAST_PATHS


class FastConvTranspose:
    """Mixin: as `FastConv`, for kernels `(..., out, in)`."""

    fast_slices = ("kernel",)

    def call(self: Any, inputs: Any) -> Any:
        """Return what the stock layer's `call` returns, bit for bit."""
        variable = fast_weight(self, "kernel")
        sides: dict[int | None, fast.Side] = {self.rank: "out", self.rank + 1: "in"}
        if variable is None or variable.axis not in sides:
            return super().call(inputs)  # type: ignore[misc]
        channel_axis = -1 if self.data_format == "channels_last" else 1

        def convolve(x: Any, kernel: Any) -> Any:
            return ops.conv_transpose(
                x, kernel, list(self.strides), self.padding, self.output_padding, self.data_format,
                self.dilation_rate,
            )  # fmt: skip

        x = fast.apply(convolve, inputs, variable, sides[variable.axis], channel_axis, groups=1)
        if self.use_bias:
            along = [1] * (self.rank + 2)
            along[channel_axis] = self.filters
            x = ops.add(x, ops.reshape(self.bias, along))
        return x if self.activation is None else self.activation(x)


FAST_PATHS.extend(
    (conv, FastConvTranspose)
    for conv in (
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose,
    )
)
