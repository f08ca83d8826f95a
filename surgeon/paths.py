"""Where everything is: the path of each layer and the name of each weight.

A layer's path is its names joined by `/`: through nested models by the layers' names
(`encoder/block_1/conv`), and on into layers inside a layer by the attribute that holds them
(`transformer_layer_0/_feedforward_intermediate_dense`, `stack/cells/0`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from surgeon import _keras

STATE = "surgeon_state"
"""Attribute under which a partly trainable layer keeps its own tensors; no path leads there."""

_COUNTED = re.compile(r"_\d+(?=/|$)")
_AUTOMATIC_NAME = re.compile(r"(keras_)?variable(_\d+)?")


def uncounted(path: str) -> str:
    """Return a path without the numbers that Keras counts up in the names of a process (`dense_17`).

    Example:
        >>> uncounted("encoder_2/dense_17/kernel")
        'encoder/dense/kernel'
    """
    return _COUNTED.sub("", path)


def join(*parts: str) -> str:
    """Join parts of a path, leaving out the empty ones."""
    return "/".join(filter(None, parts))


def walk(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield `(path, layer)` for every layer inside `root`, once each, `root` itself not.

    A layer that can be reached in several ways has the shortest of its paths, and of two
    equally short ones the first. What a model's graph calls goes before what only an attribute of
    the model holds: a backbone's `token_embedding` is `embeddings/token_embedding`.
    """
    seen = {id(root)}
    yield from _walk(root, "", seen)


def _walk(layer: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    called = set() if _keras.functional_of(layer) is None else {id(child) for child in layer.layers}
    inside = children(layer)
    for group in (called, {id(child) for _, child in inside} - called):
        fresh = [(join(prefix, name), c) for name, c in inside if id(c) in group and id(c) not in seen]
        seen.update(id(child) for _, child in fresh)
        for path, child in fresh:
            yield path, child
            if _keras.child_layers(child):
                yield from _walk(child, path, seen)


def children(layer: Any) -> list[tuple[str, Any]]:
    """Return `(name, child)` for the layers directly inside a layer, once each."""
    tracked = _keras.child_layers(layer)
    if not tracked:
        return []
    functional = _keras.functional_of(layer)
    found: dict[int, tuple[str, Any]] = {}
    if functional is not None:
        found = {id(child): (child.name, child) for child in layer.layers}
    rest = [c for c in tracked if id(c) not in found and not isinstance(c, keras.layers.InputLayer)]
    # Looking through all attributes costs more than the rest of a walk together.
    holders = _attribute_paths(layer) if rest else {}
    for child in rest:
        name = holders.get(id(child), child.name)
        if name != STATE:
            found[id(child)] = (name, child)
    return list(found.values())


def _attribute_paths(layer: Any) -> dict[int, str]:
    """Map each layer that an attribute holds to that attribute; public names win."""
    paths: dict[int, str] = {}
    attributes = sorted(_keras.attributes(layer), key=lambda item: item[0].startswith("_"))
    for name, value in attributes:
        for path, item in _layers_in(name, value):
            paths.setdefault(id(item), path)
    return paths


def _layers_in(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, keras.layers.Layer):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _layers_in(f"{path}/{key}", item)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _layers_in(f"{path}/{position}", item)


def own_weights(layer: Any) -> dict[str, Any]:
    """Return a layer's own weights by name, in the order in which it saves them.

    The name is the one that the layer gave. Where it gave none, Keras makes one up that differs
    from process to process, and the attribute's name is used instead.
    """
    parameters, state = _keras.own_variables(layer)
    if not parameters and not state:
        return {}
    named: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for variable in [*parameters, *state]:
        name = variable.name
        if _AUTOMATIC_NAME.fullmatch(name):
            name = next((key for key, value in _keras.attributes(layer) if value is variable), name)
        count = counts[name] = counts.get(name, -1) + 1
        named[f"{name}:{count}" if count else name] = variable
    return named


def weights(
    root: Any, inside: Iterable[tuple[str, Any]] | None = None
) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield `(layer path, name, layer, variable)` for every weight in `root`, once each.

    Args:
        root: A layer or model.
        inside: What `walk(root)` gave, if it was walked already.
    """
    seen: set[int] = set()
    if inside is None:
        inside = walk(root) if _keras.child_layers(root) else ()
    for path, layer in [("", root), *inside]:
        for name, variable in own_weights(layer).items():
            if id(variable) not in seen:
                seen.add(id(variable))
                yield path, name, layer, variable


def weights_of(op: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield as `weights` does; nothing for an operation that is no layer."""
    return weights(op) if isinstance(op, keras.layers.Layer) else iter(())
