"""Changing which parts of a live model train: its own layers, in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from surgeon import _keras, paths
from surgeon.partial.attaching import attach
from surgeon.partial.layer import STILL, own_partial
from surgeon.partial.part import Part
from surgeon.partial.spec import Spec
from surgeon.partial.variable import PartialVariable


def repart(root: Any, parts: Mapping[str, Part], still: frozenset[str]) -> bool:
    """Let other parts of weights train, in place; no value changes.

    Where a selection only has other members than before, the variables stay and get other values, so nothing
    must be traced anew. Otherwise all partial weights of the layer are made anew, in the order in which the
    layer owns them: which order an optimizer sees does not depend on how the model came to be as it is.

    Args:
        root: A built layer or model.
        parts: What shall train of each weight, by path; other weights stay as they are.
        still: Paths of all layers whose state holds still.

    Returns:
        Whether variables were replaced: what was traced or built for the old ones is of no use then.

    Raises:
        WeightNameError: If there is no such layer or weight.
        SelectionError: If a part does not have the weight's shape.
    """
    layers = {"": root, **dict(paths.walk(root))}
    old = {path: part for path, part in _parts(layers).items() if path in parts}
    changed = [path for path, part in parts.items() if old.get(path, Part.all(part.shape)) != part]
    moved = [path for path in changed if path in old and _alike(old[path], parts[path])]
    rebuilt = {path.rpartition("/")[0] for path in changed if path not in moved}
    for path in moved:
        if path.rpartition("/")[0] not in rebuilt:
            _variable(layers, path).move(parts[path].index)
    held_still = {path for path, layer in layers.items() if vars(layer).get(STILL)}
    for path in held_still - still:
        vars(layers[path]).pop(STILL)
    if rebuilt or held_still != still:
        _rebuild(root, layers, rebuilt, parts, still)
    return bool(rebuilt) or held_still != still


def _parts(layers: Mapping[str, Any]) -> dict[str, Part]:
    return {
        paths.join(where, name): variable.part
        for where, layer in layers.items()
        for name, variable in own_partial(layer).items()
        if variable.owner is layer
    }


def _alike(one: Part, other: Part) -> bool:
    """Whether two parts differ in their members only."""
    return (one.kind, one.axis, one.compact_shape) == (other.kind, other.axis, other.compact_shape)


def _variable(layers: Mapping[str, Any], path: str) -> Any:
    layer, _, name = path.rpartition("/")
    return paths.own_weights(layers[layer])[name]


def _rebuild(
    root: Any,
    layers: Mapping[str, Any],
    rebuilt: Iterable[str],
    parts: Mapping[str, Part],
    still: frozenset[str],
) -> None:
    """Put stock weights back into some layers, and split them anew."""
    spec: dict[str, Part] = {}
    starts: dict[str, Any] = {}
    for where in rebuilt:
        held = own_partial(layers[where])
        for name in paths.own_weights(layers[where]):
            path = paths.join(where, name)
            variable = held.get(name)
            if path in parts:
                spec[path] = parts[path]
            elif variable is not None and variable.owner is layers[where]:
                spec[path] = variable.part
            if variable is not None and variable.owner is layers[where] and spec[path] == variable.part:
                starts[path] = variable.started()
        _put_stock_back(layers, layers[where], held)
    attach(root, Spec(spec, still))
    for path, start in starts.items():
        variable = _variable(layers, path)
        if isinstance(variable, PartialVariable):
            variable.start_from(start)  # where its elements were when its selection last changed
    # PyTorch clears the gradients of the variables that it knows of: those of others would add up.
    for layer in layers.values():
        _keras.refresh_parameters(layer)


def _put_stock_back(layers: Mapping[str, Any], layer: Any, held: Mapping[str, PartialVariable]) -> None:
    state = getattr(layer, paths.STATE, None)
    for variable in held.values():
        if variable.owner is not layer:
            continue
        parameters, _ = _keras.own_variables(layer)
        is_parameter = any(variable is parameter for parameter in parameters)
        stock = _keras.whole_variable(variable, trainable=is_parameter)
        for holder in layers.values():
            _keras.replace_variable(holder, variable, stock)
    if state is not None:
        _keras.remove_child_layer(layer, paths.STATE)
