"""Weights of new layers, computed from those of old ones: arithmetic on arrays, by name in a plan."""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon.planning.carrying import Values, computation


@computation
def fold_batch_norm(layer: Values, norm: Values, *, kernel: str, layout: str, epsilon: float) -> Values:
    """Return kernel and bias of a layer that does what a layer and the BatchNormalization after it did.

    With `s = gamma / sqrt(variance + epsilon)` a BatchNormalization at inference is
    `s * y + (beta - s * mean)` for each output channel, which a linear layer takes in
    (Jacob et al. 2018, arXiv:1712.05877, section 3.2). Computed in float64.

    Args:
        layer: Weights of the layer.
        norm: Weights of the BatchNormalization.
        kernel: Which weight of the layer has the output channels.
        layout: Where: `"last"`, `"transposed"` (last but one), or `"depthwise"` (the last two).
        epsilon: Of the BatchNormalization.
    """
    mean, variance = (norm[name].astype("float64") for name in ("moving_mean", "moving_variance"))
    scale = 1.0 / np.sqrt(variance + epsilon)
    if "gamma" in norm:
        scale = scale * norm["gamma"].astype("float64")
    old = layer[kernel].astype("float64")
    shaped = {"last": scale, "transposed": scale[:, None], "depthwise": None}[layout]
    if shaped is None:
        shaped = scale.reshape(old.shape[-2:])
    bias = layer["bias"].astype("float64") if "bias" in layer else 0.0
    shift = norm["beta"].astype("float64") if "beta" in norm else 0.0
    folded = {kernel: old * shaped, "bias": (bias - mean) * scale + shift}
    others = {name: value for name, value in layer.items() if name not in folded}
    return others | {name: value.astype(layer[kernel].dtype) for name, value in folded.items()}


@computation
def adapt_inputs(layer: Values, *, shapes: dict[str, Any], how: str, summed: list[str]) -> Values:
    """Return the weights of a layer that reads another number of channels.

    Args:
        layer: Weights of the layer.
        shapes: New shape of each weight.
        how: `"mean"`: each new channel gets the mean of the old ones; `"repeat"`: the old channels
            over and over. `"zero"`: the old channels as they are, further ones zero.
        summed: Weights whose products with the channels are added up: by `"mean"` and `"repeat"` they
            are scaled by old / new count, so that the sum keeps its size.
    """
    adapted = {}
    for name, value in layer.items():
        shape = tuple(shapes.get(name, value.shape))
        differing = [
            axis for axis, sizes in enumerate(zip(shape, value.shape, strict=False)) if sizes[0] != sizes[1]
        ]
        if len(shape) != value.ndim or len(differing) > 1:
            continue  # this weight gets new values
        adapted[name] = value
        if differing:
            old, new = value.shape[differing[0]], shape[differing[0]]
            resized = _resized(value, differing[0], new, how)
            scale = old / new if name in summed and how != "zero" else 1.0
            adapted[name] = (resized * scale).astype(value.dtype)
    return adapted


def _resized(value: Any, axis: int, size: int, how: str) -> Any:
    old = value.shape[axis]
    positions = np.arange(size) % old
    if how == "zero":
        kept = np.take(value, positions, axis)
        mask = (np.arange(size) < old).reshape([-1 if a == axis else 1 for a in range(value.ndim)])
        return np.where(mask, kept, np.zeros((), value.dtype))
    if how == "mean":
        value = np.repeat(value.mean(axis, keepdims=True), old, axis)
    return np.take(value, positions, axis)


@computation
def take(layer: Values, *, takes: dict[str, Any]) -> Values:
    """Return the weights of a layer at some positions only.

    Args:
        layer: Weights of the layer.
        takes: For each weight, pairs of an axis and the positions that stay along it.
    """
    taken = dict(layer)
    for name, axes in takes.items():
        for axis, positions in axes if name in taken else ():
            taken[name] = np.take(taken[name], positions, axis)
    return taken
