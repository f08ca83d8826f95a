"""New layers that data describes, as in a rule file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from surgeon.errors import RuleFileError, near_misses
from surgeon.rules import StructureRule
from surgeon.rules.described import FOREIGN, LayerSpec

_OF_ALL = ("name", "dtype", "trainable", "activity_regularizer", "autocast")
"""Settings that every layer takes beside its own."""


def described_layer(rule: StructureRule, one: Any) -> Any:
    """Return the layer that data describes; anything else as it is.

    Raises:
        RuleFileError: If Keras has no such layer, it runs code of others, or its settings are wrong.
    """
    if not isinstance(one, LayerSpec):
        return one
    where = f"{rule.origin}: {rule}"
    classes = {name: cls for name, cls in vars(keras.layers).items() if _is_safe(cls)}
    cls = classes.get(one.class_name)
    if cls is None:
        close = near_misses(one.class_name, classes)
        raise RuleFileError(f"{where}: no layer {one.class_name!r} to make from a rule file{close}")
    try:
        # `from_config` makes objects of nested data; some classes want every setting in it.
        nested = any(isinstance(value, dict | list) for value in one.settings.values())
        return cls.from_config(dict(one.settings)) if nested else cls(**one.settings)
    except Exception as error:
        last = "".join(str(error).strip().splitlines()[-1:])
        why = _why_not(cls, one.settings) or f"{type(error).__name__}: {last}"
        raise RuleFileError(f"{where}: {why}") from error


def _why_not(cls: Any, settings: Mapping[str, Any]) -> str:
    """Return which settings a class does not have, or needs; empty if it is their values."""
    own = {
        name: parameter
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    unknown = next((name for name in settings if name not in own and name not in _OF_ALL), None)
    if unknown is not None:
        close = near_misses(unknown, [*own, *_OF_ALL])
        return f"{cls.__name__} has no setting {unknown!r}{close}; it has: {', '.join(own)}"
    missing = [n for n, p in own.items() if p.default is p.empty and n not in settings]
    return f"{cls.__name__} needs {', '.join(map(repr, missing))}" if missing else ""


def _is_safe(cls: Any) -> bool:
    """Whether a class is a layer of Keras that runs no code of others."""
    return isinstance(cls, type) and issubclass(cls, keras.layers.Layer) and cls.__name__ not in FOREIGN
