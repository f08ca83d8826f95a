"""Whether a rewrite of a model is exact, in every respect that a user could notice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import surgeon as sg
from surgeon import _keras, paths
from surgeon.graph import graph_to_json
from surgeon.roundtrip.reading import live_tensors
from tests import zoo
from tests.helpers import same_bits, to_numpy


def check_exact(model: Any, *, share: bool = False) -> None:
    """Assert that identity and freeze rewrites of a model, and the way back, are exact.

    Args:
        model: A built model with a graph, its weights finite.
        share: Whether untouched layers are used instead of copied.
    """
    before = portrait(model)
    same = sg.rewrite(model, [], validate="structure", share=share)
    assert_same(_without_calls(before), portrait(same), "the identity")
    if not share:
        assert_apart(model, same)
    assert_same_outputs(model, same)
    if model.trainable_variables:
        frozen = sg.rewrite(model, sg.freeze("**"), validate="structure", share=share)
        assert not frozen.trainable_variables
        assert type(frozen).__name__ == type(model).__name__
        assert isinstance(frozen, type(model))
        assert_same_outputs(model, frozen)
        restored = sg.restore(frozen)
        assert_same(_all_trainable(before), _all_trainable(portrait(restored)), "restore after freeze")
        assert_same_outputs(model, restored)
    # A layer that two models share is called in both.
    assert_same(_without_calls(before) if share else before, portrait(model), "the source")


def portrait(model: Any) -> dict[str, Any]:
    """Return all that must not change, as plain data: what a rewrite is compared by."""
    functional: Any = _keras.functional_of(model)
    layers = [("", model), *paths.walk(model)]
    path_of = {id(layer): path for path, layer in layers}
    seen: dict[int, str] = {}
    variables: dict[str, Any] = {}
    for path, layer in layers:
        for name, variable in paths.own_weights(layer).items():
            where = paths.join(path, name)
            tied = seen.setdefault(id(variable), where)
            variables[where] = (
                tied,
                variable.name,
                variable.path,
                variable.trainable,
                _keras.stored_dtype(variable),
                _describe(variable.regularizer),
                _describe(variable.constraint),
                to_numpy(variable),
            )
    return {
        "class": type(model),
        "name": model.name,
        "inputs": _structure(functional.input),
        "outputs": _structure(functional.output),
        "graph": graph_to_json(sg.to_graph(model)),
        "layers": {path: (type(layer), layer.name, _policy(layer)) for path, layer in layers},
        "flags": {path: _keras.trainable_flag(layer) for path, layer in layers},
        "order of weights": [seen[id(variable)] for variable in model.weights if id(variable) in seen],
        "variables": variables,
        "seeds": {path: [to_numpy(state) for state in _keras.seed_states(layer)] for path, layer in layers},
        "masks": {
            str(ref): _keras.get_keras_mask(tensor) is not None for ref, tensor in live_tensors(model).items()
        },
        "attributes": {
            path: {name: path_of.get(id(value)) for name, value in attributes(layer)}
            for path, layer in layers
        },
        "calls": {path: len(_keras.inbound_nodes(layer)) for path, layer in layers},
    }


def _structure(value: Any) -> Any:
    """Return a structure of symbolic tensors as plain data, with the kinds and order of containers."""
    if isinstance(value, dict):
        return "dict", [(key, _structure(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [_structure(item) for item in value]
    return value.name, value.shape, value.dtype


def _describe(helper: Any) -> Any:
    return helper and (type(helper), helper.get_config())


def _policy(layer: Any) -> str:
    return str(layer.dtype_policy.get_config()) if isinstance(layer, keras.layers.Layer) else ""


def attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a layer that hold a layer, directly or in a container."""
    for name, value in _keras.attributes(layer):
        for path, item in _items(name, value):
            if isinstance(item, keras.layers.Layer) and not isinstance(item, keras.layers.InputLayer):
                yield path, item


def _items(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    # Not `keras.tree.flatten`, which sorts the keys of a dict: some are layers.
    inner = enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in value.items() if isinstance(value, dict) else inner:
        yield from _items(f"{path}/{key}", item)
    yield path, value


def assert_same(before: dict[str, Any], after: dict[str, Any], what: str) -> None:
    """Assert that two portraits agree; names the first difference."""
    for key, old in before.items():
        new = after[key]
        if isinstance(old, dict):
            assert list(old) == list(new), f"{what} changed which {key} there are: {set(old) ^ set(new)}"
            for name, value in old.items():
                assert _equal(value, new[name]), (
                    f"{what} changed {key} of {name!r}: {value} became {new[name]}"
                )
        else:
            assert _equal(old, new), f"{what} changed the {key}: {old} became {new}"


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, np.ndarray):
        return same_bits(old, new)
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(_equal(a, b) for a, b in zip(old, new, strict=True))
    return bool(old == new)


def _all_trainable(portrait: dict[str, Any]) -> dict[str, Any]:
    """Leave out what restoring does not bring back: everything can train again."""
    return {
        key: value for key, value in portrait.items() if key not in ("flags", "graph", "variables", "calls")
    }


def _without_calls(portrait: dict[str, Any]) -> dict[str, Any]:
    """Leave out calls that belong to no model: a copy has only those that do."""
    return {key: value for key, value in portrait.items() if key != "calls"}


def assert_apart(old: Any, new: Any) -> None:
    """Assert that two models share no layer and no variable, however it is reached."""
    olds, news = (
        {
            id(thing): path
            for path, layer in [("", model), *paths.walk(model)]
            for thing in [layer, *layer.variables, *(value for _, value in attributes(layer))]
        }
        for model in (old, new)
    )
    both = olds.keys() & news.keys()
    assert not both, f"shared with the source: {sorted({news[key] for key in both})}"


def assert_same_outputs(old: Any, new: Any) -> None:
    """Assert that two models give the same finite outputs, bit for bit, from the same state."""
    inputs = zoo.sample_inputs(old, batch=1)
    with _keras.without_gradients([*old.variables, *new.variables]):
        both = [model(inputs, training=False) for model in (old, new)]
    keras.tree.assert_same_structure(*both)
    olds, news = map(keras.tree.flatten, both)
    for number, (a, b) in enumerate(zip(map(to_numpy, olds), map(to_numpy, news), strict=True)):
        assert np.isfinite(a.astype("float64")).all(), f"output {number} is not finite: it proves nothing"
        assert same_bits(a, b), f"output {number} differs"
