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
        fresh["optimizer"] = fresh_optimizer(optimizer)
        # An optimizer that needs loss scaling is wrapped already.
        fresh["auto_scale_loss"] = False
    new.compile(**fresh)
    if optimizer is not None and optimizer.built:
        new.optimizer.build(new.trainable_variables)
        carry_slots(optimizer, stored(old), new.optimizer, stored(new))


def _without_history(leaf: Any) -> Any:
    """Return a copy without values of a metric; losses have none and are used as they are."""
    if isinstance(leaf, keras.metrics.Metric):
        return _from_own_config(leaf)
    return leaf


def fresh_optimizer(optimizer: Any) -> Any:
    """Return an optimizer of the same kind and settings that remembers nothing.

    Raises:
        CopyError: If it cannot be made from its own config.
    """
    return _from_own_config(optimizer)


def _from_own_config(of: Any) -> Any:
    try:
        return type(of).from_config(of.get_config())
    except (TypeError, ValueError, NotImplementedError) as error:
        kind = f"{type(of).__name__} {getattr(of, 'name', '')!r}"
        raise CopyError(
            f"the model is compiled with {kind}, which cannot be made from its own config: {error}. "
            "Give it a get_config, or rewrite the model before it is compiled"
        ) from error


Stored = dict[str, tuple[Any, Part]]
"""For each weight's path: the variable that an optimizer sees for it, and which part of the weight it is."""


def carry_slots(old: Any, wholes: Stored, new: Any, weights: Stored) -> None:
    """Let a built optimizer remember what another one did, element by element.

    What it does not know of (an element that did not train, a weight that now has another shape) stays as the
    new optimizer set it.

    Args:
        old: The optimizer to read.
        wholes: What `stored` said of the model when that one was in use.
        new: The optimizer to set.
        weights: What `stored` says of the model that it is built for.
    """
    for path, (variable, part) in weights.items():
        slots = _keras.slots_of(new, variable)
        average = slots.get(_keras.AVERAGE)
        if average is not None and int(old.iterations):
            # An average that starts later than the optimizer would start at zero, and be put into the weight.
            average.assign(_array(variable))
        if path not in wholes:
            continue
        before, before_part = wholes[path]
        sources = _keras.slots_of(old, before)
        for name, slot in slots.items():
            source = sources.get(name)
            if source is None:
                continue
            if before_part == part:
                # Also slots of another shape, such as the row and column sums of Adafactor.
                slot.assign(_array(source))
            elif tuple(source.shape) == tuple(before.shape) and before_part.shape == part.shape:
                slot.assign(_moved(_array(source), before_part, part, _array(slot)))
    for shared, after in zip(*(_keras.shared_slots(optimizer) for optimizer in (old, new)), strict=True):
        after.assign(_array(shared))


def _array(variable: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))


def stored(model: Any) -> Stored:
    """Map each weight's path to the variable that the optimizer sees for it, and its part."""
    found = {}
    for layer, name, _, variable in paths.weights(model):
        path = paths.join(layer, name)
        if not isinstance(variable, PartialVariable):
            found[path] = (variable, Part.all(tuple(variable.shape)))
        elif variable.compact is not None:
            found[path] = (variable.compact, variable.part)
    return found


def _moved(slot: np.ndarray, before: Part, after: Part, initial: np.ndarray) -> np.ndarray:
    """Bring what is remembered of one part of a weight to another part.

    Args:
        slot: What is remembered.
        before: Of which part.
        after: The other part.
        initial: What an optimizer starts with there: not always zero (an average of the weights).
    """
    whole = np.zeros(before.shape, slot.dtype)
    after.put(whole, initial)
    before.put(whole, slot)
    return after.take(whole)
