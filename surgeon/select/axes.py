"""Which axis of a weight holds the output channels, and which the input rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Axes:
    """Two axes of one weight.

    Attributes:
        channel: The axis of the layer's outputs. Of no use for a scalar, which has no axis.
        row: The axis of the layer's inputs, or `None` where the weight has none (a bias).
    """

    channel: int
    row: int | None


# In these kernels the last two axes are (out, in), not (in, out).
_TRANSPOSED = {"BaseConvTranspose", *(f"Conv{n}DTranspose" for n in (1, 2, 3))}
# In these kernels the last two axes are (in, outputs for each input).
_DEPTHWISE = {
    "kernel": {"BaseDepthwiseConv", "DepthwiseConv1D", "DepthwiseConv2D"},
    "depthwise_kernel": {"BaseSeparableConv", "SeparableConv1D", "SeparableConv2D"},
}


def axes_of(class_names: Sequence[str], weight: str, shape: Sequence[int], config: Mapping[str, Any]) -> Axes:
    """Return the channel and row axes of a weight, as its layer defines them.

    Most layers end a kernel with `(…, in, out)`, so the last axis holds the channels and the one
    before it the rows. A vector, and whatever is called `bias`, has channels only. The exceptions:

    - `Conv1D/2D/3DTranspose`: kernels are `(…, out, in)`.
    - `DepthwiseConv1D/2D`, and the `depthwise_kernel` of `SeparableConv1D/2D`: kernels are
      `(…, in, multiplier)`. Channels and rows are both the `in` axis. With a multiplier above 1
      the outputs lie in two axes, and one channel here is one input with all of its outputs.
    - `EinsumDense`: by its equation. Channels are the last letter of the kernel that the input
      does not have; rows are the last letter that is summed over.

    An `Embedding` `(vocabulary, width)` and recurrent kernels `(in, gates * units)` follow the
    general rule: rows of an embedding are words, channels its features.

    Args:
        class_names: Names of the layer's class and its base classes, of the layer that owns the weight.
        weight: Name of the weight, or its path.
        shape: Shape of the weight.
        config: The layer's configuration; only `equation` is looked at.

    Example:
        >>> axes_of(["Conv2D", "Layer"], "kernel", (3, 3, 8, 16), {})
        Axes(channel=3, row=2)
    """
    rank, name, classes = len(shape), weight.rsplit("/", 1)[-1], set(class_names)
    if rank < 2:
        return Axes(rank - 1, None)
    if name == "bias":
        return Axes(rank - 1, None)
    if name == "kernel" and classes & _TRANSPOSED:
        return Axes(rank - 2, rank - 1)
    if classes & _DEPTHWISE.get(name, set()):
        return Axes(rank - 2, rank - 2)
    if name == "kernel" and "EinsumDense" in classes:
        return _einsum_axes(str(config.get("equation", "")), rank)
    return Axes(rank - 1, rank - 2)


def _einsum_axes(equation: str, rank: int) -> Axes:
    """Read the axes of a kernel from an equation such as `abc,cde->abde`."""
    terms, _, output = equation.replace(" ", "").partition("->")
    inputs, _, kernel = terms.partition(",")
    if len(kernel) != rank:
        return Axes(rank - 1, rank - 2)
    made = [axis for axis, letter in enumerate(kernel) if letter in output and letter not in inputs]
    summed = [axis for axis, letter in enumerate(kernel) if letter in inputs and letter not in output]
    return Axes(made[-1] if made else rank - 1, summed[-1] if summed else None)
