"""Max pooling to average pooling."""

from __future__ import annotations

from typing import Any

from surgeon.graph import Node
from surgeon.library.making import given_where, named, shared_config
from surgeon.rules import StructureRule, replace
from surgeon.select import Selector, as_selector, isa


def to_average_pooling(selector: Selector | str = "**") -> StructureRule:
    """Return the rule that replaces max pooling by average pooling, global or not.

    Args:
        selector: Which of them.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.MaxPooling2D(name="pool")])
        >>> type(surgeon.rewrite(model, to_average_pooling()).layers[0]).__name__
        'AveragePooling2D'
    """
    kinds = [f"{start}MaxPooling{rank}D" for start in ("", "Global") for rank in (1, 2, 3)]
    which = isa(kinds[0])
    for kind in kinds[1:]:
        which = which | isa(kind)

    def make(node: Node) -> Any:
        import keras

        cls = getattr(keras.layers, node.class_name.replace("Max", "Average"))
        keys = ("pool_size", "strides", "padding", "data_format", "keepdims", "dtype")
        return cls(**shared_config(node, *keys))

    return named(replace(which & as_selector(selector), make), "to_average_pooling", *given_where(selector))
