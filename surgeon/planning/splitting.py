"""Telling layers to compute with their frozen and their trainable part one by one."""

from __future__ import annotations

from typing import Any

from surgeon import paths
from surgeon.errors import NoMatchError
from surgeon.partial.dense import FastDense
from surgeon.partial.fast import fast_weight
from surgeon.partial.layer import SPLIT
from surgeon.planning.adjusting import trace_anew
from surgeon.planning.finding import find
from surgeon.select import Selector


def split_compute(model: Any, selector: Selector | str = "**", *, split: bool = True) -> tuple[str, ...]:
    """Let Dense layers multiply by their frozen and their trainable part one by one, in place.

    Else the kernel is put together for each step and each prediction, which for a large kernel and a
    small batch costs as much as the product. Two products have other last bits than one, so a layer
    computes what the stock one does up to rounding only, where it is bit for bit without this.

    Args:
        model: A rewritten functional or Sequential model. It is as well trained as it was, and saving
            keeps the setting.
        selector: Which layers; of these, all Dense layers are meant whose kernel trains in some channels or
            rows.
        split: False puts them back.

    Returns:
        The paths of the layers.

    Raises:
        NoMatchError: If there is no such layer among them.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="d")])
        >>> tuned = surgeon.rewrite(model, surgeon.train("d", kernel=surgeon.channels([0, 3])))
        >>> split_compute(tuned)
        ('d',)
    """
    found, layers = find(model, selector), dict(paths.walk(model))
    if not found.paths:
        raise NoMatchError(f"split_compute: {found}")
    chosen = [path for path in found.paths if path in layers]
    able = tuple(path for path in chosen if _can(layers[path]))
    if not able:
        chosen = [path for path in chosen if paths.own_weights(layers[path])]
        seen = f" {', '.join(map(repr, chosen[:3]))}, but" if chosen else ""
        raise NoMatchError(
            f"split_compute: {str(selector)!r} means{seen} no Dense layer whose kernel trains in some "
            "channels or rows: write train(..., kernel=channels(...)) first"
        )
    for path in able:
        vars(layers[path]).pop(SPLIT, None)
        if split:
            vars(layers[path])[SPLIT] = True
            # Where it trains, the base counts as zeros. It may hold values that trained, and were not finite.
            kernel = paths.own_weights(layers[path])["kernel"]
            kernel.base.assign(kernel.started())
    trace_anew(model)
    return able


def _can(layer: Any) -> bool:
    kernel = fast_weight(layer, "kernel") if isinstance(layer, FastDense) else None
    return kernel is not None and kernel.axis is not None
