"""The gradient of an EinsumDense kernel for its trainable channels or rows alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from surgeon import _keras
from surgeon.partial import fast
from surgeon.partial.fast import fast_weight
from surgeon.partial.layer import FAST_PATHS


class FastEinsumDense:
    """Mixin: as `FastDense`, with the axes that the equation gives."""

    fast_slices = ("kernel",)

    def call(self: Any, inputs: Any, training: bool | None = None) -> Any:
        """Return what `keras.layers.EinsumDense.call` returns, bit for bit."""
        kernel = fast_weight(self, "kernel")
        place = None if kernel is None else side_of(self.equation, kernel.axis)
        if kernel is None or place is None or self.lora_enabled or _keras.is_sparse(inputs):
            return keras.layers.EinsumDense.call(self, inputs, training=training)

        def multiply(x: Any, weights: Any) -> Any:
            return ops.einsum(self.equation, x, weights)

        x = fast.apply(multiply, inputs, kernel, *place)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)


FAST_PATHS.append((keras.layers.EinsumDense, FastEinsumDense))


def side_of(equation: str, axis: int | None) -> tuple[fast.Side, int] | None:
    """Return what an axis of the kernel counts, and the axis of the inputs or outputs that is the same.

    Args:
        equation: Such as `abc,cde->abde`; the kernel is the second term.
        axis: An axis of the kernel.

    Returns:
        `None` where a slice of the kernel is not an equation of its own, as of a letter that all
        three terms have.

    Example:
        >>> side_of("abc,cde->abde", 0), side_of("...c,cd->...d", 1), side_of("abc,abd->abcd", 0)
        (('in', 2), ('out', -1), None)
    """
    terms, _, output = equation.replace(" ", "").partition("->")
    inputs, _, kernel = terms.partition(",")
    if axis is None or axis >= len(kernel) or "." in kernel:
        return None
    letter = kernel[axis]
    if (letter in inputs) == (letter in output):
        return None
    return ("in", _axis(inputs, letter)) if letter in inputs else ("out", _axis(output, letter))


def _axis(term: str, letter: str) -> int:
    """Return a letter's axis, from the end where an ellipsis stands before it."""
    position = term.index(letter)
    return position - len(term) if "." in term[:position] else position
