"""What a selector or pattern means in a model."""

from __future__ import annotations

from typing import Any, overload

from surgeon.graph import ModelGraph, Node
from surgeon.roundtrip import to_graph
from surgeon.select import Matches, Pattern, Selected, Selector, as_selector, select


@overload
def find(model: Any, what: Pattern) -> Matches: ...
@overload
def find(model: Any, what: Selector | Node | str) -> Selected: ...
def find(model: Any, what: Selector | Pattern | Node | str) -> Selected | Matches:
    """Return what a selector or pattern means in a model: look before you cut.

    Args:
        model: A built functional or Sequential model, or its graph.
        what: A glob, a selector, or a pattern.

    Returns:
        The layers, or matches, in order; printable, countable, with `expect(n)`. If there is none,
        the text says what is close; that is no error here.

    Raises:
        NoGraphError: If the model has no graph.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> print(find(model, "d").expect(1))
        'd': 1 layer
          d (Dense) (None, 2), 10 of 10 train
    """
    graph = model if isinstance(model, ModelGraph) else to_graph(model)
    return what.find(graph) if isinstance(what, Pattern) else select(as_selector(what), graph)
