"""The way back: plain stock layers with the trained values."""

from __future__ import annotations

from typing import Any

from surgeon import _keras
from surgeon.roundtrip.building import build
from surgeon.roundtrip.compiling import carry_compilation
from surgeon.roundtrip.reading import to_graph


def restore(model: Any) -> Any:
    """Return a stock copy of a rewritten model, with the trained values and no trace of Surgeon.

    What rules froze can train again, and it is compiled if the model was. The rewritten model stays as it is.

    Args:
        model: A model that `rewrite` returned, or that was loaded from a file of one.

    Raises:
        NoGraphError: If the model has no graph.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("d"))
        >>> type(restore(tuned).get_layer("d")) is keras.layers.Dense
        True
    """
    graph = to_graph(model)
    with _keras.strategy_scope(model.variables):
        restored = build(graph, shared=lambda node: False)
        carry_compilation(model, restored)
    return restored
