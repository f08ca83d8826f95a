"""What a person knows a model by: its name, its class, how many layers and weights it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from surgeon.checkpoint.hdf5 import Layout

_LONGEST = 60


def described(config: Mapping[str, Any], layout: Layout) -> str:
    """Return a line about the model that a checkpoint holds.

    Args:
        config: What the file says of its model, as the front door has parsed it; empty for bare weights.
        layout: Its arrays. Those of an optimizer do not count.
    """
    arrays = [a for path, a in layout.datasets.items() if not path.startswith("optimizer")]
    numbers = f"{sum(math.prod(array.shape) for array in arrays):,} weights"
    model = config.get("model_config", config)
    if not isinstance(model, Mapping) or not isinstance(model.get("class_name"), str):
        return f"{len(arrays):,} arrays, {numbers}"
    inner = model.get("config")
    name = inner.get("name") if isinstance(inner, Mapping) else None
    title = f"{_short(name)} ({_short(model['class_name'])})" if name else _short(model["class_name"])
    layers = _layers(model)
    return (
        f"{title}, {layers:,} {'layer' if layers == 1 else 'layers'}, {numbers}"
        if layers
        else f"{title}, {numbers}"
    )


def _layers(model: Any) -> int:
    """Return how many layers a config has, those of nested models in their place, inputs not."""
    inner = model.get("config") if isinstance(model, Mapping) else None
    layers = inner.get("layers") if isinstance(inner, Mapping) else None
    if not isinstance(layers, list):
        return 0
    real = [one for one in layers if not (isinstance(one, Mapping) and one.get("class_name") == "InputLayer")]
    return sum(_layers(one) or 1 for one in real)


def _short(text: Any) -> str:
    """Return a name from a file so that it does no harm in a terminal."""
    begin = str(text)[: _LONGEST + 1]
    shown = "".join(sign if sign.isprintable() else "?" for sign in begin)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
