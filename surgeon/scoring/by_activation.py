"""The criterion that looks at what comes out of the layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon import _keras, paths
from surgeon.errors import SelectionError
from surgeon.scoring.batches import Batch
from surgeon.select import Axes


class _Listener:
    """Adds up the mean absolute value of each output channel of a layer."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.call = layer, layer.call
        self.total: Any = 0.0
        self.count = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self.call(*args, **kwargs)
        first = keras.tree.flatten(outputs)[0]
        if _keras.is_concrete(first):
            values = np.abs(np.asarray(keras.ops.convert_to_numpy(first), "float64"))
            channels_first = getattr(self.layer, "data_format", None) == "channels_first"
            axis = 1 if channels_first else values.ndim - 1
            self.total += values.mean(axis=tuple(other for other in range(values.ndim) if other != axis))
            self.count += 1
        return outputs


def score_by_activation(
    model: Any, weights: Mapping[str, Any], axes: Mapping[str, Axes], found: Iterator[Batch]
) -> dict[str, NDArray[Any]]:
    """Return for each element of some weights the score of its channel, spread over the channel.

    Args:
        model: A copy of the model.
        weights: The copy's variables by path.
        axes: The channel axis of each.
        found: The data.

    Raises:
        SelectionError: If the channels of a weight are not those of what comes out of its layer.
    """
    layers = {"": model, **dict(paths.walk(model))}
    heard = {path.rpartition("/")[0]: _Listener(layers[path.rpartition("/")[0]]) for path in weights}
    for listener in heard.values():
        vars(listener.layer)["call"] = listener
    try:
        for x, _, _ in found:
            model(x, training=False)
    finally:
        for listener in heard.values():
            vars(listener.layer).pop("call")
    return {path: _spread(path, heard, axes[path], tuple(weights[path].shape)) for path in weights}


def _spread(path: str, heard: Mapping[str, _Listener], axes: Axes, shape: tuple[int, ...]) -> NDArray[Any]:
    listener = heard[path.rpartition("/")[0]]
    channels = shape[axes.channel]
    if not listener.count:
        raise SelectionError(f"{path!r}: nothing that comes out of its layer can be seen: choose by='fisher'")
    means = np.asarray(listener.total / listener.count).reshape(-1)
    if len(means) != channels and "Depthwise" in type(listener.layer).__name__ and not len(means) % channels:
        means = means.reshape(channels, -1).mean(axis=1)  # the outputs of one input lie side by side
    if len(means) != channels:
        raise SelectionError(
            f"{path!r} has {channels} channels, and {len(means)} come out of its layer, so its activations "
            "say nothing of its channels: choose by='fisher', for one"
        )
    along = [1] * len(shape)
    along[axes.channel] = channels
    # Summing over a channel gives its mean back.
    return np.broadcast_to(means.reshape(along) / (math.prod(shape) // channels), shape)
