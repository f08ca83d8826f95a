"""Swap the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from surgeon.errors import RuleError
from surgeon.graph import Node
from surgeon.library.making import from_config, named
from surgeon.library.old_head import OldHead
from surgeon.rules import StructureRule, replace
from surgeon.rules.replacement import is_layer
from surgeon.select import Match, chain, isa, optional, where


def flattens(node: Node) -> bool:
    """Whether a layer makes one vector of all that it reads."""
    return node.class_name in ("Flatten", "Reshape") and len(node.outputs[0].shape) == 2


def new_head(make: Any) -> StructureRule:
    """Return the rule that replaces the last layer with weights, and the activation after it.

    Where the old head is a convolution over one position whose output is then flattened (as in
    MobileNet), what it read is flattened first, so that the new head can be a Dense. A model without a
    head (the backbones that `include_top=False` gives) is refused when the plan is made, and so is one
    with several.

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
    old = chain(
        head=OldHead(tuple(layers) if all(map(is_layer, layers)) else ()),
        flat=optional(where(flattens)),
        activation=optional(isa("Activation") | isa("Softmax")),
    )
    return named(replace(old, _Head(make)), "new_head", make)


@dataclass(frozen=True)
class _Head:
    """Makes the new head in the place of what was matched."""

    make: Any

    def __call__(self, match: Match) -> Any:
        made = self.make(match) if callable(self.make) and not is_layer(self.make) else self.make
        layers = list(made) if isinstance(made, list | tuple) else [made]
        if match.flat is None or not all(map(is_layer, layers)):
            return made
        if sum(size != 1 for size in match.head.outputs[0].shape[1:]) > 1:
            return [*layers, from_config(match.flat)]
        import keras

        flat = keras.layers.Flatten(name=f"{match.head.name}_flat")
        return layers if any(map(_looks_at_places, layers)) else [flat, *layers]


def _looks_at_places(layer: Any) -> bool:
    """Whether a layer wants its input as it was, or flattens it itself."""
    kind = type(layer).__name__
    return "Conv" in kind or "Pooling" in kind or kind in ("Flatten", "Reshape")
