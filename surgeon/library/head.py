"""Swap the head."""

from __future__ import annotations

from typing import Any

from surgeon.errors import RuleError
from surgeon.rules import StructureRule, replace
from surgeon.rules.replacement import is_layer
from surgeon.select import chain, isa, last, optional, where


def new_head(make: Any) -> StructureRule:
    """Return the rule that replaces the last layer with weights, and the activation after it.

    Args:
        make: The new head: a layer, a list of layers, or a function of the match (`match.head` is the
            old one) that returns one of these.

    Raises:
        RuleError: If it is none of these; says what to write instead.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="d"),
        ...     keras.layers.Dense(3, name="logits"), keras.layers.Softmax(name="probabilities")])
        >>> tuned = surgeon.rewrite(model, new_head(keras.layers.Dense(5, name="classes")))
        >>> [layer.name for layer in tuned.layers]
        ['d', 'classes']
    """
    layers = make if isinstance(make, list | tuple) else [make]
    if isinstance(make, type) or not (callable(make) or (layers and all(map(is_layer, layers)))):
        what = f"the class {make.__name__}" if isinstance(make, type) else repr(make)
        units = make if isinstance(make, int) and make > 0 else 10
        raise RuleError(
            "new_head(make): make is the new head, a layer (or layers, or a function that returns one), "
            f"not {what}: write new_head(keras.layers.Dense({units}, name='head'))"
        )
    weighted = last(where(lambda node: bool(node.weights) and node.inner is None))
    return replace(chain(head=weighted, activation=optional(isa("Activation") | isa("Softmax"))), make)
