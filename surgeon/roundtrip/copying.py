"""Independent copies: of operations, and of whatever the attributes of a model hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from surgeon import _keras, paths
from surgeon.errors import CopyError
from surgeon.roundtrip.duplicating import Duplicator, NotUnderstoodError
from surgeon.roundtrip.reading import stock_config

Op = Any


class Copier:
    """Copies what one model is made of, each object once.

    Attributes:
        copies: The copy of each object, by identity of the original.
        remade: Original and copy of layers that were made from their config, and have yet to be
            given their values; all other copies have theirs.
        gone: Operations that an edit took out, by identity; no attribute brings them back.
    """

    def __init__(self, copy_model: Callable[[Any], Any]) -> None:
        self.copies: dict[int, Any] = {}
        self.remade: list[tuple[Op, Op]] = []
        self.gone: dict[int, Op] = {}
        self._duplicator = Duplicator(self.copies, copy_model)

    def operation(self, op: Op) -> Op:
        """Return the copy of a layer or operation.

        Raises:
            CopyError: If a layer with weights can be copied neither as an object nor by its config.
        """
        try:
            return self._duplicator.copy(op)
        except NotUnderstoodError:
            return self._remake(op)

    def keep(self, op: Op) -> None:
        """Let an operation, and all that a layer holds, stand for itself, unless it was copied already."""
        self.copies.setdefault(id(op), op)
        if isinstance(op, keras.layers.Layer):
            for layer in (op, *(inner for _, inner in paths.walk(op))):
                parameters, state = _keras.own_variables(layer)
                for held in (layer, *parameters, *state):
                    self.copies.setdefault(id(held), held)

    def _remake(self, op: Op) -> Op:
        new = self.copies[id(op)] = copy_op(op)
        if isinstance(op, keras.layers.Layer):
            self.remade.append((op, new))
        return new

    def value(self, value: Any) -> Any:
        """Return the counterpart of what an attribute holds; what is shared between models stays as it is."""
        if id(value) in self.gone and id(value) not in self.copies:
            return None
        if isinstance(value, keras.layers.Layer):
            return self.operation(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        try:
            return self._duplicator.copy(value)
        except NotUnderstoodError:
            return value


def copy_op(op: Op) -> Op:
    """Return a stock copy of an operation, made from its config, without its state and its calls.

    The copy is built where that is possible without a call; if `built` is false although the
    original is built, calling it will build it.

    Raises:
        CopyError: If a layer with weights cannot be made from its own config.
    """
    if not isinstance(op, keras.layers.Layer):
        return _same_behaviour(op)  # `copy.copy` would save it to a file and load that
    copied = _from_config(op)
    if op.built and not copied.built and _builds_itself(op):
        build_config = op.get_build_config()
        if build_config:
            copied.build_from_config(build_config)
            if not same_weights(op, copied):
                # Some layers only build what is inside of them when they are called.
                copied = _from_config(op)
    if op.built and not copied.variables and not op.variables and not _keras.child_layers(op):
        copied.built = True
    return copied


def _from_config(layer: Op) -> Op:
    stock = stock_class(layer)
    try:
        copied = stock.from_config(stock_config(layer))
    except Exception as error:
        if not layer.variables and not _keras.child_layers(layer):
            return _same_behaviour(layer)
        raise CopyError(
            f"{stock.__name__} {layer.name!r} cannot be copied, its from_config failed: {error}. "
            "share=True keeps the objects of layers that no rule touches"
        ) from error
    # Not every config knows the name.
    copied.name = layer.name
    return copied


def stock_class(layer: Op) -> Any:
    """Return the class that a layer's object had before it was made partly trainable."""
    return getattr(type(layer), "stock", type(layer))


def _same_behaviour(layer: Op) -> Op:
    """Copy what is nothing but code, such as a Lambda around a Python function, or an operation."""
    copied = stock_class(layer).__new__(stock_class(layer))
    # These are closures over the object that they belong to.
    own = {name: value for name, value in vars(layer).items() if name not in ("build", "quantize")}
    copied.__dict__.update(own)
    return _without_calls(copied)


def _without_calls(op: Op) -> Op:
    _keras.inbound_nodes(op)  # fails here, and not later, if `op` is no operation
    op.__dict__.update(_inbound_nodes=[], _outbound_nodes=[])
    return op


def _builds_itself(layer: Op) -> bool:
    return type(layer).build is not keras.layers.Layer.build


def same_weights(first: Op, second: Op) -> bool:
    """Whether two layers have the same weights at the same paths, of the same shapes."""
    return _signature(first) == _signature(second)


def _signature(layer: Op) -> list[tuple[str, tuple[int, ...]]]:
    layers = [("", layer), *paths.walk(layer)]
    # Not `paths.weights`, which names a tied weight only once: a copy is not tied yet.
    return [
        (paths.join(path, name), tuple(variable.shape))
        for path, each in layers
        for name, variable in paths.own_weights(each).items()
    ]
