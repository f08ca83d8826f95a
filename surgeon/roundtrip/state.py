"""Carrying what a layer has learned, and how its flags were set, into its copy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from surgeon import _keras, paths
from surgeon.errors import CopyError
from surgeon.partial import PartialVariable

Layer = Any


def layer_pairs(old: Layer, new: Layer) -> list[tuple[Layer, Layer]]:
    """Return `(old, new)` for two layers of one structure and all that is inside of them.

    Raises:
        CopyError: If a layer inside of the old one has no counterpart; names it.
    """
    news = dict(paths.walk(new))
    pairs = [(old, new)]
    for path, inner in paths.walk(old):
        if path not in news:
            raise CopyError(
                f"the copy of {old.name!r} has no layer {path!r}: its from_config does not rebuild it"
            )
        pairs.append((inner, news[path]))
    return pairs


def carry_state(old: Layer, new: Layer) -> None:
    """Copy values, assets and seeds of one layer; not of layers inside of it.

    The layer's own way of saving itself is used, so that whatever it derives from its values
    (a vocabulary's table, the mean of a Normalization) is there, too.
    """
    store: dict[str, Any] = {}
    if getattr(old, "lora_enabled", False):
        # Saving merges the adapter into the kernel; a copy keeps them apart.
        for before, after in zip(_own(old), _own(new), strict=True):
            after.assign(_array(before))
    else:
        old.save_own_variables(store)
    values = {key: _array(value) for key, value in store.items()}
    if values:
        new.load_own_variables(values)
    loose = _keras.loose_variables(old), _keras.loose_variables(new)
    if [v.shape for v in loose[0]] == [v.shape for v in loose[1]]:
        for before, after in zip(*loose, strict=True):
            after.assign(_array(before))
    for before, after in zip(_keras.seed_states(old), _keras.seed_states(new), strict=True):
        after.assign(_array(before))
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _array(value: Any) -> Any:
    """Return a copy: under JAX a shared buffer would be given away by the next `fit`."""
    return np.array(keras.ops.convert_to_numpy(value))


def carry_flags(old: Layer, new: Layer) -> None:
    """Copy the paths and the trainable flags of a layer and of its own variables, one by one."""
    _keras.copy_paths(old, new)
    _keras.set_trainable_flag(new, _keras.trainable_flag(old))
    (olds, old_state), (news, new_state) = _keras.own_variables(old), _keras.own_variables(new)
    for before, after in zip(olds, news, strict=True):
        if isinstance(before, PartialVariable):
            # A weight that is frozen as a whole says so by what it is, and not by a flag; but for one that
            # has adapters, which `enable_lora` freezes by its flag in a stock layer, too.
            frozen = before is _keras.adapted_weight(old)
            after.trainable = not frozen if before.compact is None else before.compact.trainable
        else:
            after.trainable = before.trainable
    for before, after in zip(old_state, new_state, strict=True):
        after.trainable = before.trainable


def _own(layer: Layer) -> list[Any]:
    parameters, state = _keras.own_variables(layer)
    return [*parameters, *state]


def carry_tying(pairs: Iterable[tuple[Layer, Layer]], copies: Mapping[int, Any]) -> None:
    """Let copies share a variable where the originals do.

    Args:
        pairs: Layers that were made from their config, with their copies.
        copies: Copies of variables of other layers, by identity of the original.
    """
    new_of: dict[int, Any] = {}
    for old, new in pairs:
        for before, after in zip(_own(old), _own(new), strict=True):
            # Not `or`: a variable is no truth value.
            owner = copies.get(id(before), new_of.setdefault(id(before), after))
            if owner is not after:
                _keras.replace_variable(new, after, owner)
