"""Which block a layer belongs to, read from its name."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = "block|stage|layer|cell|unit|group|encoder|decoder|stack|stem|module"
# Tried in turn; the first one that matches wins. The comments name the models they come from.
_BLOCKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(conv\d+_block\d+)_",  # ResNet, DenseNet
        r"^(block\d+[a-z]?)_",  # EfficientNet, Xception, VGG
        r"^(block_\d+)_",  # MobileNetV2
        r"^(expanded_conv(?:_\d+)?)[_/]",  # MobileNetV2, MobileNetV3
        rf"^((?:[a-z]+\d*_)*?(?:{_WORD})_?\d+(?:_(?:{_WORD})_?\d+)*)[_/.-]",  # ConvNeXt, transformers
    )
)
_SHORT = {
    "BatchNormalization": "BN",
    "LayerNormalization": "LN",
    "GlobalAveragePooling2D": "GAP",
    "GlobalMaxPooling2D": "GMP",
    "ZeroPadding2D": "Pad",
    "DepthwiseConv2D": "DWConv",
    "SeparableConv2D": "SepConv",
    "MaxPooling2D": "MaxPool",
    "AveragePooling2D": "AvgPool",
    "Activation": "Act",
}
_SUFFIX = re.compile(r"_((?:stem_|reduce_|reduction_|normal_)?\d+)$")
_NUMBER = re.compile(r"\d+(?:[a-z](?![a-z]))?")


def block_of(name: str) -> str:
    """Return the prefix that a layer shares with the rest of its block, or `""`.

    Example:
        >>> block_of("conv2_block1_1_conv"), block_of("block_3_expand"), block_of("predictions")
        ('conv2_block1', 'block_3', '')
    """
    for pattern in _BLOCKS:
        if match := pattern.match(name):
            return match.group(1)
    return ""


def cell_of(name: str, class_name: str) -> str:
    """Return the cell that the *end* of a name tells (NASNet: `separable_conv_1_normal_left1_3`).

    A layer that Keras named by itself (`conv2d_3`) belongs to no cell.
    """
    match = _SUFFIX.search(name)
    return f"cell_{match.group(1)}" if match and not is_automatic(name, class_name) else ""


def is_automatic(name: str, class_name: str) -> bool:
    """Whether Keras made the name up from the class: `conv2d_3`, `re_lu`.

    Example:
        >>> is_automatic("max_pooling2d_1", "MaxPooling2D"), is_automatic("pool", "MaxPooling2D")
        (True, False)
    """
    stem = re.sub(r"_\d+$", "", name)
    return stem.replace("_", "") == class_name.lower()


@lru_cache(maxsize=4096)
def pattern_of(name: str) -> str:
    """Return the name with numbers left open; names of repeats have the same pattern.

    Example:
        >>> pattern_of("block_12") == pattern_of("block_3"), pattern_of("dense") == pattern_of("dense_1")
        (True, True)
    """
    return re.sub(r"_?#", "#", _NUMBER.sub("#", name)).rstrip("#")


def short(class_name: str) -> str:
    """Return a class name as a card with many of them calls it.

    Example:
        >>> short("BatchNormalization"), short("Dense")
        ('BN', 'Dense')
    """
    return _SHORT.get(class_name, class_name)
