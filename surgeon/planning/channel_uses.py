"""Which channels each weight of a layer has along which of its axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.graph import Node

Ids = np.ndarray
Count = Callable[[Ids], int]

KERNELS = {
    "Dense": ("units", -1, -2),
    "Conv1D": ("filters", -1, -2),
    "Conv2D": ("filters", -1, -2),
    "Conv3D": ("filters", -1, -2),
    "Conv1DTranspose": ("filters", -2, -1),
    "Conv2DTranspose": ("filters", -2, -1),
    "Conv3DTranspose": ("filters", -2, -1),
    "SeparableConv1D": ("filters", -1, -2),
    "SeparableConv2D": ("filters", -1, -2),
}
"""By class of a layer that makes channels: their setting; axis of output and of input in its kernel."""

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class Along:
    """The channels, or heads, along one axis of one weight."""

    weight: str
    axis: int
    ids: Ids


@dataclass(frozen=True)
class Uses:
    """The channels that a layer reads and makes, in all of its calls.

    Attributes:
        node: One call of the layer.
        makes: Identity of each output channel.
        along: The axes of its weights that have channels.
        settings: Returns what its config says of their numbers, given a function that counts those
            that there are.
        heads: Identity of each attention head; empty for a layer that has none.
        fixed: Why heads must stay; empty if they need not.
    """

    node: Node
    makes: Ids
    along: tuple[Along, ...]
    settings: Callable[[Count], dict[str, Any]] = lambda count: {}
    heads: Ids | tuple[()] = ()
    fixed: str = ""

    def axis(self, weight: str) -> int:
        """Return the axis along which a weight has the output channels."""
        return next(one.axis for one in reversed(self.along) if one.weight == weight)


def kernel_uses(node: Node, reads: Ids, makes: Ids) -> Uses:
    """Return the channels of a layer with a kernel."""
    kind = node.class_name
    setting, out, into = KERNELS[kind]
    bias = Along("bias", 0, makes)
    along: tuple[Along, ...]
    if "Separable" in kind:
        middle = np.repeat(reads, node.config["depth_multiplier"])
        kernels = (Along("depthwise_kernel", -2, reads), Along("pointwise_kernel", -2, middle))
        along = (*kernels, Along("pointwise_kernel", -1, makes), bias)
        return Uses(node, makes, along, lambda count: {setting: count(makes)})
    groups = node.config.get("groups", 1)
    if groups == 1:
        along = (Along("kernel", into, reads), Along("kernel", out, makes), bias)
        # Keras's adapters are of the shape (..., in, rank) and (rank, out).
        along = (Along("lora_kernel_a", -2, reads), Along("lora_kernel_b", -1, makes), *along)
        return Uses(node, makes, along, lambda count: {setting: count(makes)})
    # A group goes as a whole: its kernel is as deep as those of the groups that stay.
    one_each = makes[:: len(makes) // groups]
    return Uses(
        node,
        makes,
        (Along("kernel", out, makes), bias),
        lambda count: {setting: count(makes), "groups": count(one_each)},
    )


def depthwise_uses(node: Node, reads: Ids, makes: Ids) -> Uses:
    """Return the channels of a depthwise convolution."""
    return Uses(node, makes, (Along("kernel", -2, reads), Along("bias", 0, makes)))


def norm_uses(node: Node, ids: Ids) -> Uses:
    """Return the channels of a BatchNormalization."""
    return Uses(node, ids, tuple(Along(name, 0, ids) for name in _NORM))


def reshape_uses(node: Node, makes: Ids) -> Uses:
    """Return the channels of a Reshape whose setting says how many they are."""
    shape = list(node.config["target_shape"][:-1])
    # It has no weight: the name stands for the setting alone.
    return Uses(node, makes, (Along("", 0, makes),), lambda count: {"target_shape": (*shape, count(makes))})


def makes_channels(uses: Uses) -> bool:
    """Whether a layer computes its channels anew, by a kernel, and does not hand on those that it reads."""
    return uses.node.class_name in KERNELS or (len(uses.heads) > 0 and len(uses.makes) > 0)


def scored_kernel(uses: Uses) -> str:
    """Return the weight whose size says how much each output channel of a layer matters."""
    names = [one.weight for one in uses.along if one.weight.endswith("kernel")]
    return names[-1]
