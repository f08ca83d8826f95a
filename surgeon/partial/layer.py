"""Any layer class, made to work with partial weights.

A layer keeps being an instance of its own class: its object is given a subclass that is made
here, with the same `__name__`, because `.weights.h5` files name their groups by it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any

import keras

from surgeon import _keras, paths
from surgeon.partial import calls, fast
from surgeon.partial.spec import Spec
from surgeon.partial.variable import PartialVariable

REVIVER = "surgeon>Partial"
"""Registered name of the class that rebuilds a partly trainable layer from its config."""

PENDING, STILL, READS = "_surgeon_pending", "_surgeon_still", "_surgeon_reads"
INSIDE, SPLIT = "_surgeon_inside", "_surgeon_split"
"""Attributes of a layer: a spec that waits for `build`; frozen as a whole; the partial weights that a call
reads, and all that there are inside; told to compute with its frozen and its trainable part one by one."""


class PartialLayer:
    """Mixin of every layer that has partial weights, itself or inside."""

    stock: Any
    """The class that this layer's object had before."""

    @property
    def variables(self) -> list[Any]:
        """The layer's variables as they are stored: a partial weight counts by its parts."""
        return [v for v in self.stock.variables.fget(self) if not isinstance(v, PartialVariable)]

    @property
    def weights(self) -> list[Any]:
        """The layer's weights, each whole one behind its trainable part.

        `set_weights` goes through them in order, perhaps with values from before other elements were chosen:
        the whole weight has the last word. The order of what trains is that of `variables`.
        """
        weights: list[Any] = self.stock.weights.fget(self)
        state = getattr(self, paths.STATE, None)
        last = () if state is None else {id(v) for v in state.held.values() if v.compact is not None}
        return sorted(weights, key=lambda v: id(v) in last)

    def __dir__(self) -> list[str]:
        """Return the names of attributes, by which Keras finds what has a place in a file.

        A state that selects nothing is left out: an empty group in a `.weights.h5` file would move all the
        arrays behind it.
        """
        state = getattr(self, paths.STATE, None)
        selects = state is not None and any(v.index is not None for v in state.held.values())
        return [name for name in super().__dir__() if selects or name != paths.STATE]

    @property
    def trainable(self) -> bool:
        """False while a layer that was frozen as a whole runs, whatever flag was set since."""
        if vars(self).get(STILL) and (calls.is_running(self) or not trains_any(self)):
            return False
        return bool(self.stock.trainable.fget(self))

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.stock.trainable.fset(self, value)

    def get_config(self) -> dict[str, Any]:
        """Return `{"layer": the stock layer as Keras would save it, "partial": the spec}`.

        While a layer or model around it says so for all that it contains, this is the stock config alone.
        Which of the two it is shows only now: a backbone is part of its task, and may be saved by itself.
        """
        told = id(self) in _TOLD.get()
        self.__class__ = partial_class(self.stock, host=not told)
        if told:
            return self._stock_config()
        token = _TOLD.set(frozenset(id(layer) for _, layer in paths.walk(self)))
        try:
            layer = _keras.describe_class(self.stock, self._stock_config())
        finally:
            _TOLD.reset(token)
        return {"layer": layer, "partial": spec_of(self).to_config()}

    def _stock_config(self) -> dict[str, Any]:
        """Return the stock config, with the flag that was set and not the one that is shown."""
        config: dict[str, Any] = self.stock.get_config(self)
        if "trainable" in config:
            config["trainable"] = _keras.trainable_flag(self)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Return a stock layer for a stock config, and a partial one for a partial one."""
        if "partial" in config and "layer" in config:
            known = {**(custom_objects or {}), cls.stock.__name__: cls.stock}
            return keras.saving.get_registered_object(REVIVER).from_config(config, known)
        return cls.stock.from_config(config)


_TOLD: ContextVar[frozenset[int]] = ContextVar("told", default=frozenset())
"""Identities of the layers of which somebody around them says at this moment what is partial."""

KEEPERS: list[Callable[..., bool]] = []
"""What attaches a waiting spec; it is defined on top of this module."""


class PartialHost(PartialLayer):
    """Mixin of the outermost layer whose `from_config` rebuilds what is inside of it.

    When it is saved, it alone carries the specification, for itself and for all that it contains.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer; the first call builds what a waiting spec names.

        Raises:
            WeightNameError: If it does not: what the spec freezes would silently train.
        """
        outputs = self.stock.__call__(self, *args, **kwargs)
        if PENDING in vars(self):
            for keep in KEEPERS:
                keep(self, at_last=True)
        return outputs


class PartialInner(PartialLayer):
    """Mixin of a layer inside of a host: it is saved as the stock layer that it stands for."""


def trains_any(layer: Any) -> bool:
    """Whether any part of the layer's own weights can train."""
    parameters, _ = _keras.own_variables(layer)
    return any(not isinstance(v, PartialVariable) or v.compact is not None for v in parameters)


def own_partial(layer: Any) -> dict[str, PartialVariable]:
    """Return a layer's own partial weights by name."""
    return {name: v for name, v in paths.own_weights(layer).items() if isinstance(v, PartialVariable)}


def spec_of(root: Any) -> Spec:
    """Read what is partial in a layer or model, from the tensors that are there now."""
    pending = vars(root).get(PENDING)
    if pending is not None:
        return pending  # type: ignore[no-any-return]
    weights, still, split = {}, set(), set()
    inside = list(paths.walk(root))
    for path, layer in [("", root), *inside]:
        if vars(layer).get(STILL):
            still.add(path)
        if vars(layer).get(SPLIT):
            split.add(path)
        for name, variable in own_partial(layer).items():
            if variable.owner is layer:
                weights[paths.join(path, name)] = variable.part
    names = tuple(path for path, _ in inside) if weights or still else ()
    return Spec(weights, frozenset(still), frozenset(split), names)


FAST_PATHS: list[tuple[type, type]] = []
"""`(stock class, mixin)`: classes that compute the gradient for the trainable part alone."""

NAMED: dict[type, type] = {}
"""Stock classes whose partial class was written down, with a name of its own."""


def named_partial(stock: type) -> Callable[[type], type]:
    """Let a class be the one that stands for partly trainable objects of `stock`."""

    def adopt(cls: type) -> type:
        name = cls.__name__
        cls.stock = stock  # type: ignore[attr-defined]
        cls.call = _call_assembled_once(stock, cls.call)  # type: ignore[attr-defined]
        keras.saving.register_keras_serializable(package="surgeon", name=name)(cls)
        # Groups of a `.weights.h5` file are named after the class: it must be the stock one's.
        cls.__name__ = stock.__name__
        NAMED[stock] = cls
        return cls

    return adopt


@cache
def partial_class(stock: type, *, host: bool) -> type:
    """Return the subclass of a layer class that works with partial weights."""
    if host and stock in NAMED:
        return NAMED[stock]
    role = PartialHost if host else PartialInner
    fast = tuple(mixin for of, mixin in FAST_PATHS if issubclass(stock, of) and _keeps(stock, of, mixin))
    namespace: dict[str, Any] = {"stock": stock, "__module__": stock.__module__, "__doc__": stock.__doc__}
    if not issubclass(stock, keras.Model):
        namespace["call"] = _call_assembled_once(stock, getattr(fast[0], "call", None) if fast else None)
    made = type(stock.__name__, (role, *fast, stock), namespace)
    made.__qualname__ = f"Partial[{stock.__qualname__}]"
    if host:
        _keras.register_name(made, REVIVER)
    else:
        _keras.serialize_like_stock(made, stock)
    return made


def _keeps(stock: type, of: type, mixin: type) -> bool:
    """Whether a subclass still computes with the methods that the fast path replaces."""
    names = {"call", *(name for name in vars(mixin) if not name.startswith("__"))}
    return all(getattr(stock, name) is getattr(of, name) for name in names if hasattr(of, name))


def _call_assembled_once(stock: type, call_fast: Any = None) -> Any:
    inherited = call_fast or stock.call  # type: ignore[attr-defined]

    @wraps(stock.call)  # type: ignore[attr-defined]
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with calls.running(self, vars(self).get(READS, ()), vars(self).get(INSIDE, ())):
            return inherited(self, *args, **kwargs)

    return call


def set_class(layer: Any, *, host: bool) -> None:
    """Let a layer's object work with partial weights."""
    stock: type = getattr(type(layer), "stock", type(layer))
    if host or not isinstance(layer, PartialHost):
        layer.__class__ = partial_class(stock, host=host)


def refresh_reads(layer: Any) -> None:
    """Note which partial weights a call of this layer reads, those of inner layers included.

    Weights that a fast path takes apart by itself are left out: nobody reads them whole.
    """
    inside, reads = {}, {}
    for each in [layer, *(inner for _, inner in paths.walk(layer))]:
        for name, variable in own_partial(each).items():
            inside[id(variable)] = variable
            # Single elements are put together once, outside of a loop in which an inner layer may be called.
            of_inner = each is not layer and variable.axis is None
            if of_inner or not fast.takes_apart(each, name, variable):
                reads[id(variable)] = variable
    vars(layer)[READS], vars(layer)[INSIDE] = tuple(reads.values()), tuple(inside.values())
