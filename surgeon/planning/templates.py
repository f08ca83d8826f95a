"""New layers of a plan, as templates of which every model gets copies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from surgeon.roundtrip.copying import copy_op, stock_class


@dataclass(frozen=True)
class Template:
    """A new layer, and how it gets its weights.

    Attributes:
        layer: The layer; only ever copied.
        how: `"same"`: every weight of the same path and shape is carried; `"inner"`: likewise, into
            the layer at the path `details["at"]` inside of it; `"own"`: it has its own; else the
            name of a computation (see `surgeon.planning.carrying`), or a function.
        details: Arguments of the computation. Of a layer that was made anew, `"new"` names the weights
            that have new values.
    """

    layer: Any
    how: Any = "same"
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def make(self) -> Any:
        """Return a copy of the layer, with its weights if it has its own."""
        copied = copy_op(self.layer)
        if self.how == "own":
            copied.set_weights(self.layer.get_weights())
        return copied


def template(layer: Any, name: str, how: Any = "same", details: Mapping[str, Any] | None = None) -> Template:
    """Return a template of a layer under another name."""
    own = bool(getattr(layer, "built", False) and layer.weights)
    copied = copy_op(layer)
    if own:
        copied.set_weights(layer.get_weights())
    copied.name = name
    return Template(copied, "own" if own and how == "same" else how, details or {})


def has_automatic_name(layer: Any) -> bool:
    """Whether Keras made up the name of a layer. That is no name: the layer may get a better one."""
    return re.fullmatch(rf"{snake(stock_class(layer).__name__)}(_\d+)?", layer.name) is not None


def snake(name: str) -> str:
    """Return a class name in the form of Keras's automatic names.

    Example:
        >>> snake("BatchNormalization"), snake("Conv2D")
        ('batch_normalization', 'conv2d')
    """
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
