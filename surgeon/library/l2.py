"""An L2 penalty that counts in the loss."""

from __future__ import annotations

from typing import Any

from surgeon.graph import Node
from surgeon.library.making import given_where, named
from surgeon.rules import StructureRule, configure, rule
from surgeon.select import Selector, as_selector, where

_SETTINGS = ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer")


def has_kernel(node: Node) -> bool:
    """Whether a layer has a regularizer of a kernel among its settings."""
    return any(key in node.config for key in _SETTINGS)


def add_l2(amount: float, selector: Selector | str = "**") -> StructureRule:
    """Return the rule that gives kernels an L2 regularizer; weights are carried.

    Setting `layer.kernel_regularizer` on a built layer does nothing: the penalty is attached when
    the weight is made. Here the layer is made anew, so that it counts.

    Args:
        amount: Factor of the sum of squares.
        selector: Which layers.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> len(model.losses), len(surgeon.rewrite(model, add_l2(1e-4)).losses)
        (0, 1)
    """

    @rule(as_selector(selector) & where(has_kernel))
    def add(node: Node) -> Any:
        import keras

        penalty = keras.regularizers.L2(amount)
        return configure(node, **{key: penalty for key in _SETTINGS if key in node.config})

    return named(add, "add_l2", amount, *given_where(selector))
