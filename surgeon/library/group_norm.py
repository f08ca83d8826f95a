"""BatchNormalization to GroupNormalization."""

from __future__ import annotations

import math
from typing import Any

from surgeon.graph import Node
from surgeon.library.making import given_where, named, shared_config
from surgeon.rules import StructureRule, replace
from surgeon.select import Selector, as_selector, isa


def to_group_norm(selector: Selector | str = "**", groups: int = 32) -> StructureRule:
    """Return the rule that replaces BatchNormalization by GroupNormalization; gamma and beta are carried.

    Args:
        selector: Which of them.
        groups: How many groups (Wu & He 2018 take 32); of a layer whose channels these do not
            divide, the greatest common divisor.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((8, 8, 12)), keras.layers.BatchNormalization(name="bn")])
        >>> surgeon.rewrite(model, to_group_norm()).layers[0].groups
        4
    """

    def make(node: Node) -> Any:
        import keras

        axis = node.config["axis"]
        channels = node.outputs[0].shape[axis]
        given = shared_config(node, "axis", "epsilon", "center", "scale", "dtype")
        return keras.layers.GroupNormalization(math.gcd(groups, channels or 1), **given)

    made = replace(isa("BatchNormalization") & as_selector(selector), make)
    return named(made, "to_group_norm", *given_where(selector), groups=groups)
