"""Configs as Keras 2 wrote them, put into words that Keras 3 understands; the numbers stay the old ones.

Keras 3 opens most legacy `.h5` files, but not all, and some it opens wrong. Each repair is told.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from surgeon.errors import RefusedError

HARD_SIGMOID = "surgeon>hard_sigmoid_keras2"
"""Name under which `surgeon.partial` registers the old formula."""

_ACTIVATIONS = ("activation", "recurrent_activation")
_INNER = ("layer", "forward_layer", "backward_layer", "cell")
_NOT_OF_DEPTHWISE = ("kernel_initializer", "kernel_regularizer", "kernel_constraint", "filters")

Layer = dict[str, Any]


def repaired(config: Layer) -> tuple[Layer, tuple[str, ...]]:
    """Return a model's config as Keras 3 reads it, and what was repaired in it.

    Args:
        config: Parsed `model_config` of a file that Keras 2 wrote; it is left as it is.

    Raises:
        RefusedError: If it cannot be repaired: an activation is code, or a layer reads time first.

    Example:
        >>> lstm = {"class_name": "LSTM", "config": {"name": "memory", "units": 2, "time_major": False}}
        >>> model = {"class_name": "Sequential", "config": [lstm]}
        >>> new, notes = repaired(model)
        >>> new["config"]["layers"][0]["config"]
        {'name': 'memory', 'units': 2}
        >>> notes
        ("time_major: dropped from 'memory'", 'Sequential config: its list of layers got a name')
    """
    model = copy.deepcopy(config)
    notes: dict[str, None] = {}
    for layer in _layers(model):
        if isinstance(layer.get("config"), dict):
            for repair in _LAYER_REPAIRS:
                note = repair(layer, layer["config"])
                if note:
                    notes[note] = None
    for layer in _layers(model):
        for repair_model in (_bare_list, _first_input):
            note = repair_model(layer)
            if note:
                notes[note] = None
    return model, tuple(notes)


def _layers(value: Any) -> Iterator[Layer]:
    """Yield every object that has a class and a config, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str) and "config" in value:
            yield value
        for inner in list(value.values()):
            yield from _layers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _layers(inner)


def _name(layer: Layer) -> str:
    config = layer["config"]
    name = config.get("name") if isinstance(config, dict) else None
    return repr(name or layer["class_name"])


def _time_major(layer: Layer, config: dict[str, Any]) -> str | None:
    if "time_major" not in config:
        return None
    if config.pop("time_major"):
        raise RefusedError(
            f"layer {_name(layer)} has time_major=True: it reads (time, batch, …); no layer of Keras 3 does"
        )
    return f"time_major: dropped from {_name(layer)}"


def _reset_after(layer: Layer, config: dict[str, Any]) -> str | None:
    if layer["class_name"] not in ("GRU", "GRUCell") or "reset_after" in config:
        return None
    config["reset_after"] = False
    return f"reset_after: {_name(layer)} has none, so the gate is applied before the product, as it was"


def _depthwise(layer: Layer, config: dict[str, Any]) -> str | None:
    if not layer["class_name"].startswith("DepthwiseConv"):
        return None
    found = [key for key in _NOT_OF_DEPTHWISE if config.pop(key, None) is not None]
    if config.get("groups") == 1:
        found.append("groups")
        del config["groups"]
    return f"depthwise_kernel: {', '.join(found)} dropped from {_name(layer)}" if found else None


def _hard_sigmoid(layer: Layer, config: dict[str, Any]) -> str | None:
    changed = False
    for key in _ACTIVATIONS:
        value = config.get(key)
        inner = value.get("class_name") if isinstance(value, dict) else value
        code = (
            value.get("config") if isinstance(value, dict) and inner in ("function", "__lambda__") else inner
        )
        if inner == "__lambda__" or code == "<lambda>" or isinstance(code, list):
            raise RefusedError(
                f"layer {_name(layer)}: its {key} is a lambda; Surgeon does not run code that is in a file"
            )
        if "hard_sigmoid" in (inner, code):
            config[key], changed = HARD_SIGMOID, True
    return f"hard_sigmoid: {_name(layer)} keeps the formula of Keras 2" if changed else None


def _wrapped(layer: Layer, config: dict[str, Any]) -> str | None:
    inner = [config.get(key) for key in _INNER] + list(config.get("cells") or ())
    found = [
        each for each in inner if isinstance(each, dict) and "class_name" in each and "module" not in each
    ]
    for each in found:
        each.update(module="keras.layers", registered_name=None)
    return f"wrapped layer: what {_name(layer)} holds is a class of keras.layers" if found else None


def _axis(layer: Layer, config: dict[str, Any]) -> str | None:
    axis = config.get("axis")
    if layer["class_name"] != "BatchNormalization" or not (isinstance(axis, list) and len(axis) == 1):
        return None
    config["axis"] = int(axis[0])
    return f"axis: a list became a number in {_name(layer)}"


def _bare_list(layer: Layer) -> str | None:
    if layer["class_name"] != "Sequential" or not isinstance(layer["config"], list):
        return None
    layer["config"] = {"name": "sequential", "layers": layer["config"]}
    return "Sequential config: its list of layers got a name"


def _first_input(layer: Layer) -> str | None:
    """Give a Sequential its InputLayer, if the shape is written on its first layer; others keep none."""
    if layer["class_name"] != "Sequential" or not isinstance(layer["config"], dict):
        return None
    layers = layer["config"].get("layers") or []
    first = layers[0] if layers else {}
    inner = first.get("config")
    if first.get("class_name") == "InputLayer" or not isinstance(inner, dict):
        return None
    # A wrapper, or a nested model, may have it on the layer inside.
    shape = inner.get("batch_input_shape")
    if not shape:
        return None
    for each in layers:
        if isinstance(each.get("config"), dict):
            each["config"].pop("batch_input_shape", None)
    given = {
        "batch_shape": shape,
        "dtype": inner.get("dtype") or "float32",
        "name": f"{inner.get('name')}_input",
    }
    layers.insert(0, {"class_name": "InputLayer", "config": given})
    return f"batch_input_shape: an InputLayer was put before {_name(first)}"


_LAYER_REPAIRS: tuple[Callable[[Layer, dict[str, Any]], str | None], ...] = (
    *(_time_major, _reset_after, _depthwise, _hard_sigmoid, _wrapped, _axis),
)
