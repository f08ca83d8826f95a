"""One activation to another, wherever it hides."""

from __future__ import annotations

from typing import Any

from surgeon.graph import Node
from surgeon.library.making import given_where, named
from surgeon.rules import StructureRule, configure, rule
from surgeon.select import Selector, as_selector, where


def change_activation(old: str, new: Any, selector: Selector | str = "**") -> StructureRule:
    """Return the rule that puts one activation in the place of another.

    It finds `Conv2D(activation=…)` and every other layer with that setting, `Activation` layers,
    layers that are an activation (`ReLU` without a limit or slope), and operations such as
    `keras.ops.relu`. Weights are carried.

    Args:
        old: Name of the activation; other names of the same function count (`swish`, `silu`).
        new: The activation that takes its place, as Keras takes it.
        selector: Where.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="swish", name="d"),
        ...     keras.layers.Activation("silu", name="a")])
        >>> tuned = surgeon.rewrite(model, change_activation("swish", "relu"))
        >>> [layer.activation.__name__ for layer in tuned.layers]
        ['relu', 'relu']
    """

    def has_it(node: Node) -> bool:
        return not node.is_input and node.inner is None and _found(node, old) is not None

    @rule(as_selector(selector) & where(has_it))
    def change(node: Node) -> Any:
        import keras

        keys = _found(node, old)
        return configure(node, **dict.fromkeys(keys, new)) if keys else keras.layers.Activation(new)

    return named(change, "change_activation", old, new, *given_where(selector))


def _found(node: Node, old: str) -> list[str] | None:
    """Return the settings that hold the activation; none if the node is the activation; else `None`."""
    import keras

    wanted = keras.activations.get(old)
    if not isinstance(node.op, keras.layers.Layer):
        return [] if node.class_name.lower() == wanted.__name__.replace("_", "") else None
    if type(node.op) is keras.layers.ReLU:
        config = node.config
        plain = config["max_value"] is None and not config["negative_slope"] and not config["threshold"]
        return [] if wanted is keras.activations.relu and plain else None
    keys = [key for key in ("activation", "recurrent_activation") if getattr(node.op, key, None) is wanted]
    return keys or None
