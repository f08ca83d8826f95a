"""New layers whose weights are computed from those of layers that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from surgeon.errors import RuleError
from surgeon.graph import Node
from surgeon.rules.replacement import is_layer

Values = dict[str, Any]
"""Arrays by the path of the weight within its layer."""


@dataclass(frozen=True)
class Filled:
    """A layer, and how its weights follow from those of others; see `filled`."""

    layer: Any
    compute: str | Callable[..., Values]
    sources: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


def filled(
    layer: Any, compute: str | Callable[..., Values], sources: Sequence[Node], **details: Any
) -> Filled:
    """Return a new layer for a rule, with weights that are computed when the rule is carried out.

    A plan is made for an architecture and applied to many models, so what depends on the values of
    weights cannot be computed while it is made. Weights that `compute` leaves out keep their
    initial values.

    Args:
        layer: A layer that was not built yet.
        compute: A function of one dict of arrays for each source (weight path → array), and of
            `details`, that returns such a dict for the new layer.
        sources: The nodes whose weights are read.
        **details: Further keyword arguments of `compute`.

    Raises:
        RuleError: If the layer is no layer, or has weights of its own already.

    Example:
        >>> class Layer:
        ...     built = False
        ...     def call(self): ...
        ...     def build(self): ...
        ...     def get_config(self): ...
        >>> made = filled(Layer(), lambda old: {"kernel": 2 * old["kernel"]}, [Node("d", "d", "d", "Dense")])
        >>> made.sources
        ('d',)
    """
    if not is_layer(layer):
        raise RuleError(f"filled(...) takes a layer, not {layer!r}")
    if layer.built and getattr(layer, "weights", None):
        raise RuleError(
            f"filled(...): {layer.name!r} has weights already: pass a layer that was not built yet"
        )
    return Filled(layer, compute, tuple(node.path for node in sources), details)
