"""Carrying how a model was compiled, and how far its optimizer has come."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from surgeon import _keras, paths
from surgeon.errors import CopyError
from surgeon.partial import Part, PartialVariable


def carry_compilation(old: Any, new: Any) -> None:
    """Compile a model as another one was, and let its optimizer go on from where that one was.

    What the optimizer remembers of an element (its momentum) follows the element: a weight of
    which less trains than before keeps the slots of what goes on training.

    Args:
        old: The model that the new one was made from; nothing happens if it is not compiled.
        new: The model to compile, its weights partial already.
    """
    arguments = _keras.compile_arguments(old)
    if arguments is None:
        return
    fresh = keras.tree.map_structure(_without_history, arguments)
    optimizer = old.optimizer
    if optimizer is not None:
        fresh["optimizer"] = _from_own_config(optimizer)
        # An optimizer that needs loss scaling is wrapped already.
        fresh["auto_scale_loss"] = False
    new.compile(**fresh)
    if optimizer is not None and optimizer.built:
        new.optimizer.build(new.trainable_variables)
        _carry_slots(old, new)


def _without_history(leaf: Any) -> Any:
    """Return a copy without values of a metric; losses have none and are used as they are."""
    if isinstance(leaf, keras.metrics.Metric):
        return _from_own_config(leaf)
    return leaf


def _from_own_config(of: Any) -> Any:
    try:
        return type(of).from_config(of.get_config())
    except (TypeError, ValueError, NotImplementedError) as error:
        kind = f"{type(of).__name__} {getattr(of, 'name', '')!r}"
        raise CopyError(
            f"the model is compiled with {kind}, which cannot be made from its own config: {error}. "
            "Give it a get_config, or rewrite the model before it is compiled"
        ) from error


def _carry_slots(old: Any, new: Any) -> None:
    wholes = _stored(old)
    for path, (variable, part) in _stored(new).items():
        if path not in wholes:
            continue
        before, before_part = wholes[path]
        sources = _keras.slots_of(old.optimizer, before)
        for name, slot in _keras.slots_of(new.optimizer, variable).items():
            source = sources.get(name)
            if source is None:
                continue
            if before_part == part:
                # Also slots of another shape, such as the row and column sums of Adafactor.
                slot.assign(np.array(keras.ops.convert_to_numpy(source)))
            elif tuple(source.shape) == tuple(before.shape):
                value = np.asarray(keras.ops.convert_to_numpy(source))
                slot.assign(_moved(value, before_part, part))
    for before, after in zip(*(_keras.shared_slots(m.optimizer) for m in (old, new)), strict=True):
        after.assign(np.array(keras.ops.convert_to_numpy(before)))


def _stored(model: Any) -> dict[str, tuple[Any, Part]]:
    """Map each weight's path to the variable that the optimizer sees for it, and its part."""
    found = {}
    for layer, name, _, variable in paths.weights(model):
        path = paths.join(layer, name)
        if not isinstance(variable, PartialVariable):
            found[path] = (variable, Part.all(tuple(variable.shape)))
        elif variable.compact is not None:
            found[path] = (variable.compact, variable.part)
    return found


def _moved(slot: np.ndarray, before: Part, after: Part) -> np.ndarray:
    """Bring what is remembered of one part of a weight to another part; unknown is zero."""
    whole = slot
    if not before.is_all:
        whole = np.zeros(before.shape, slot.dtype)
        before.put(whole, slot)
    return after.take(whole)
