"""Fold BatchNormalization into the layer before it, for inference."""

from __future__ import annotations

from typing import Any

from surgeon.graph import Node
from surgeon.library.making import from_config, named
from surgeon.rules import StructureRule, filled, remove, replace, rule
from surgeon.select import Match, called, chain, isa, where

_KERNELS = {
    "Dense": ("kernel", "last"),
    "Conv1D": ("kernel", "last"),
    "Conv2D": ("kernel", "last"),
    "Conv3D": ("kernel", "last"),
    "Conv1DTranspose": ("kernel", "transposed"),
    "Conv2DTranspose": ("kernel", "transposed"),
    "Conv3DTranspose": ("kernel", "transposed"),
    "DepthwiseConv1D": ("kernel", "depthwise"),
    "DepthwiseConv2D": ("kernel", "depthwise"),
    "SeparableConv1D": ("pointwise_kernel", "last"),
    "SeparableConv2D": ("pointwise_kernel", "last"),
}


def is_linear(node: Node) -> bool:
    """Whether a layer is one whose kernel can take in a scale for each output channel."""
    return node.class_name in _KERNELS and node.config.get("activation") in (None, "linear")


def is_along_channels(match: Match) -> bool:
    """Whether the BatchNormalization normalizes the channels that the layer puts out."""
    rank = len(match.conv.outputs[0].shape)
    channels = 1 if match.conv.config.get("data_format") == "channels_first" else rank - 1
    return bool(match.bn.config["axis"] % rank == channels)


def fold_batch_norm() -> StructureRule:
    """Return the rule that folds every BatchNormalization into the linear layer before it.

    Foldable is one that alone reads the output of a Dense or convolution without an activation,
    both called once. The plan lists the others with the reason. What the model computes at
    inference stays the same up to rounding; in training it is another model.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((8, 8, 3)),
        ...     keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="bn")])
        >>> [layer.name for layer in surgeon.rewrite(model, fold_batch_norm()).layers]
        ['conv']
    """
    block = chain(conv=where(is_linear) & called(1), bn=isa("BatchNormalization") & called(1))

    @rule(block.where(is_along_channels))
    def fold(match: Match) -> Any:
        kernel, layout = _KERNELS[match.conv.class_name]
        layer = from_config(match.conv, use_bias=True)
        details = {"kernel": kernel, "layout": layout, "epsilon": match.bn.config["epsilon"]}
        folded = filled(layer, "fold_batch_norm", [match.conv, match.bn], **details)
        return [replace(match.conv, lambda node: folded), remove(match.bn)]

    return named(fold, "fold_batch_norm")
