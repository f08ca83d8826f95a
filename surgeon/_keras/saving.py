"""Saving: under which name an object is written down."""

from __future__ import annotations

import inspect
from typing import Any

from surgeon._keras.names import (
    api_export,
    registration,
    serialization,
)


def serialize_like_stock(cls: type, stock: type) -> None:
    """Let objects of `cls` be saved as what they stand for, an object of `stock`."""
    for table in (api_export.REGISTERED_OBJS_TO_NAMES, registration.GLOBAL_CUSTOM_NAMES):
        if stock in table:
            table[cls] = table[stock]


def register_name(cls: type, name: str) -> None:
    """Let objects of `cls` be saved under a registered name that another class answers to."""
    registration.GLOBAL_CUSTOM_NAMES[cls] = name


def describe_class(stock: type, config: dict[str, Any]) -> dict[str, Any]:
    """Return what Keras would save for an object of class `stock` with this config."""
    config = serialization.serialize_dict(config)
    return serialization.serialize_with_public_class(stock, config) or {
        "module": stock.__module__,
        "class_name": stock.__name__,
        "config": config,
        "registered_name": registration.get_registered_name(stock),
    }


def accepts(op: Any, argument: str) -> bool:
    """Whether an operation's `call` takes a keyword argument of this name."""
    parameters = inspect.signature(op.call).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
