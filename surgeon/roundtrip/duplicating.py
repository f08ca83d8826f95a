"""A copy of a layer as an object: exact, and fast.

Going through `get_config`, `from_config`, `build` and initializers is what makes copies slow, and
what fails for layers whose config does not say everything: a class that has no `get_config`, an
inner layer with a name of its own, a weight tied to another layer's. Here the object itself is
copied: variables get variables of their own with the same values, layers inside are copied
likewise, functions that close over a layer are made to close over its copy, and whatever belongs
to no model in particular is used as it is. What cannot be copied so (a lookup table) is no reason
to guess: the layer that holds it is then made from its config.
"""

from __future__ import annotations

import collections
import copy
import enum
import functools
import inspect
import random
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from surgeon import _keras, paths
from surgeon.partial import PartialVariable
from surgeon.partial.state import PartialState

ATOMS = (
    type(None), bool, int, float, complex, str, bytes, type, range, slice, type(Ellipsis), enum.Enum,
    np.generic, np.dtype, types.BuiltinFunctionType, types.ModuleType, inspect.Signature, inspect.Parameter,
    keras.DTypePolicy, np.ufunc,
)  # fmt: skip
"""Values that nobody can change, so that original and copy may have them in common."""

PLAIN = frozenset({type(None), bool, int, float, str, bytes, type, inspect.Signature, keras.DTypePolicy})
"""The types of most of what a layer has, so that most of it is looked at only once."""

WRAPPERS = ("build", "quantize")
"""Methods around which Keras puts a function in every layer."""

HELPERS = (
    keras.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint, keras.InputSpec,
    keras.quantizers.Quantizer, keras.random.SeedGenerator,
)  # fmt: skip
"""Objects that are described by their attributes alone."""

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
"""Sources of random numbers: a copy goes on from the same state by itself."""

FRAMEWORKS = ("tensorflow", "jax", "jaxlib", "torch", "_thread", "threading", "weakref")
"""Packages whose objects are not taken apart: they may stand for something outside of Python."""


class NotUnderstoodError(Exception):
    """Something in a layer cannot be copied as an object. Never leaves this package."""


class Duplicator:
    """Copies layers and what is in them; an object that was copied once is not copied again.

    So what the originals share (a layer, a tied variable), their copies share too.

    Args:
        copies: The copy of each object, by identity of the original. Originals must stay alive.
        copy_model: Copies a functional or Sequential model that is held by a layer.
    """

    def __init__(self, copies: dict[int, Any], copy_model: Callable[[Any], Any]) -> None:
        self.copies = copies
        self.copy_model = copy_model
        self._undo: list[int] = []
        self._stateless: set[int] = set()
        self._alive: list[Any] = []
        self._ways: dict[type, Callable[..., Any]] = {}

    def copy(self, value: Any) -> Any:
        """Return a copy of an object with its values; what belongs to no model in particular is used as is.

        Raises:
            NotUnderstoodError: If something in it cannot be copied as an object.
        """
        start = len(self._undo)
        try:
            return self._copy(value)
        except NotUnderstoodError:
            for key in self._undo[start:]:
                self.copies.pop(key, None)
            raise
        finally:
            del self._undo[start:]

    def _remember(self, old: Any, new: Any) -> Any:
        self.copies[id(old)] = new
        self._alive.append(old)
        self._undo.append(id(old))
        return new

    def _copy(self, value: Any, within: Any = None) -> Any:
        if type(value) in PLAIN:
            return value
        known = self.copies.get(id(value))
        return known if known is not None else self._way_of(value)(self, value, within)

    def _way_of(self, value: Any) -> Callable[..., Any]:
        """Return how a value is copied; that is looked up once for each type."""
        cls = type(value)
        way = self._ways.get(cls)
        if way is None:
            found = (copied for kinds, copied in self._kinds if isinstance(value, kinds))
            way = Duplicator._itself if isinstance(value, ATOMS) else next(found, Duplicator._other)
            if value.__class__ is cls:  # a proxy says that it is of the class of what it stands for
                self._ways[cls] = way
        return way

    def _layer(self, old: Any, within: Any = None) -> Any:
        del within
        if isinstance(old, keras.Model) and _keras.functional_of(old) is not None:
            return self._remember(old, self.copy_model(old))
        new = self._remember(old, _keras.bare_layer(old, getattr(type(old), "stock", type(old))))
        self._remember(_keras.tracker_of(old), _keras.tracker_of(new))
        parts = _keras.tracked_objects(old)
        for name, items in parts.items():
            copied = [self._tracked(item, new, name) for item in items if not _is_own_state(old, item)]
            _keras.track_all(new, name, copied)
        own, reset = vars(new), _keras.without_compilation(old)
        for name, value in vars(old).items():
            if name in _keras.MADE_ANEW and (name in own or name not in ("build", "quantize")):
                continue
            if name.startswith("_surgeon_") or name == paths.STATE:
                continue
            if name in WRAPPERS and (wrapper := _keras.rewrapped(value, old, new)) is not None:
                own[name] = wrapper
            else:
                own[name] = reset[name] if name in reset else self._copy(value, new)
        _keras.finish_layer(old, new, lambda value: self.copies.get(id(value)))
        adapted = _keras.adapted_weight(old)
        if isinstance(adapted, PartialVariable) and adapted.compact is None:
            self.copies[id(adapted)].trainable = False  # as `enable_lora` leaves it in a stock layer
        return new

    def _tracked(self, item: Any, within: Any, store: str) -> Any:
        new = self._copy(item, within)
        if isinstance(item, PartialVariable) and item.compact is None:
            # Frozen by Surgeon and not by its layer: the stock weight trains, and state does not.
            new.trainable = store == "trainable_variables"
        return new

    def _variable(self, old: Any, within: Any = None) -> Any:
        del within
        if isinstance(old, PartialVariable):
            trainable = old.compact is not None and old.compact.trainable
            return self._remember(old, _keras.whole_variable(old, trainable=trainable))
        return self._remember(old, _keras.duplicate_variable(old, self._copy))

    def _helper(self, old: Any, within: Any = None) -> Any:
        new = self._remember(old, object.__new__(type(old)))
        vars(new).update((name, self._copy(value, within)) for name, value in vars(old).items())
        _keras.refresh_tracker(new)
        return new

    def _operation(self, old: Any, within: Any = None) -> Any:
        new = self._remember(old, object.__new__(type(old)))
        vars(new).update(
            (name, self._copy(value, within))
            for name, value in vars(old).items()
            if name not in ("_inbound_nodes", "_outbound_nodes")
        )
        vars(new).update(_inbound_nodes=[], _outbound_nodes=[])
        return new

    def _mapping(self, old: Any, within: Any = None) -> Any:
        new = self._container(old, within)
        ordered = isinstance(old, collections.OrderedDict)
        base = collections.OrderedDict if ordered else dict
        put = base.__setitem__ if isinstance(old, _keras.TRACKED) else type(old).__setitem__
        for key, value in old.items():
            if key != _keras.TORCH_PARAMETERS and not isinstance(value, PartialState):
                put(new, self._copy(key, within), self._copy(value, within))
        return new

    def _sequence(self, old: Any, within: Any = None) -> Any:
        new = self._container(old, within)
        items = [self._copy(value, within) for value in old]
        (list if isinstance(old, _keras.TRACKED) else type(old)).extend(new, items)
        return new

    def _set(self, old: Any, within: Any = None) -> Any:
        items = [self._copy(value, within) for value in old]
        if isinstance(old, frozenset):
            return self._remember(old, type(old)(items))
        new = self._container(old, within)
        (set if isinstance(old, _keras.TRACKED) else type(old)).update(new, items)
        return new

    def _container(self, old: Any, within: Any = None) -> Any:
        """Return an empty container like another one; it tells the copy of a layer what is put into it."""
        cls: Any = type(old)
        if isinstance(old, _keras.TRACKED):
            # Past the methods that track: what is in there is tracked already.
            new = self._remember(old, cls.__new__(cls))
            new.tracker = self.copies.get(id(old.tracker), getattr(within, "_tracker", None))
        elif cls in (list, dict, set):
            new = self._remember(old, cls())
        else:
            new = self._remember(old, copy.copy(old))
            new.clear()
        return new

    def _tuple(self, old: Any, within: Any = None) -> Any:
        items = [self._copy(value, within) for value in old]
        if all(new is value for new, value in zip(items, old, strict=True)):
            return old
        # TensorFlow wraps the tuples that a layer holds, in a class that says to be that of the tuple.
        made = old.__class__(*items) if hasattr(old, "_fields") else old.__class__(items)
        return made if type(made) is type(old) else type(old)(made)

    def _deque(self, old: Any, within: Any = None) -> Any:
        new = self._remember(old, type(old)(maxlen=old.maxlen))
        new.extend(self._copy(value, within) for value in old)
        return new

    def _deep(self, old: Any, within: Any = None) -> Any:
        """Return a copy that the object makes of itself."""
        del within
        return self._remember(old, copy.deepcopy(old))

    def _itself(self, old: Any, within: Any = None) -> Any:
        """Return what nobody can change, or a symbolic tensor that is none of the graph that is copied."""
        del within
        return old

    def _other(self, old: Any, within: Any = None) -> Any:
        return old if _keras.is_immutable(old) else self._object(old, within)

    def _function(self, old: Any, within: Any = None) -> Any:
        """Return a function that closes over the copies of what another one closes over."""
        if is_pure(old):
            return old
        cells = tuple(types.CellType() for _ in old.__closure__ or ())
        new = types.FunctionType(old.__code__, old.__globals__, old.__name__, old.__defaults__, cells)
        self._remember(old, new)
        carried = [(cell, name) for cell, name in zip(old.__closure__ or (), cells, strict=True)]
        changed = False
        for cell, made in carried:
            try:
                content = cell.cell_contents
            except ValueError:  # a name that was not bound yet
                continue
            made.cell_contents = self._copy(content, within)
            changed |= made.cell_contents is not content
        for name in ("__defaults__", "__kwdefaults__", "__dict__"):
            before = getattr(old, name)
            after = self._copy(before, within) if before else before
            changed |= bool(before) and any(
                a is not b for a, b in zip(_items(before), _items(after), strict=True)
            )
            setattr(new, name, after)
        if not changed:
            return self._remember(old, old)
        new.__qualname__, new.__doc__, new.__module__ = old.__qualname__, old.__doc__, old.__module__
        return new

    def _method(self, old: Any, within: Any = None) -> Any:
        owner = self._copy(old.__self__, within)
        return old if owner is old.__self__ else types.MethodType(old.__func__, owner)

    def _applied(self, old: Any, within: Any = None) -> Any:
        arguments = [self._copy(argument, within) for argument in old.args]
        keywords = {name: self._copy(value, within) for name, value in old.keywords.items()}
        return functools.partial(self._copy(old.func, within), *arguments, **keywords)

    def _object(self, old: Any, within: Any = None) -> Any:
        """Copy an object of somebody's class if something in it belongs to a model."""
        if not self._holds_state(old):
            return old
        if not hasattr(old, "__dict__") or _of_framework(old):
            raise NotUnderstoodError(f"a {type(old).__name__}")
        return self._helper(old, within)

    def _holds_state(self, root: Any) -> bool:
        """Whether a layer, a variable or something that cannot be looked into is in reach of an object."""
        stack, seen = [root], {}
        while stack:
            value = stack.pop()
            if isinstance(value, ATOMS) or id(value) in seen or id(value) in self._stateless:
                continue
            seen[id(value)] = value
            if isinstance(value, STATE) or (_of_framework(value) and not _keras.is_immutable(value)):
                return True
            stack.extend(_inside(value))
        self._stateless |= seen.keys()
        self._alive.extend(seen.values())
        return False

    _kinds: tuple[tuple[Any, Callable[..., Any]], ...] = (
        (_keras.KerasVariable, _variable),
        (keras.layers.Layer, _layer),
        (HELPERS, _helper),
        (dict, _mapping),
        (list, _sequence),
        (tuple, _tuple),
        ((set, frozenset), _set),
        (types.FunctionType, _function),
        (types.MethodType, _method),
        (functools.partial, _applied),
        ((np.ndarray, *GENERATORS), _deep),
        (keras.KerasTensor, _itself),
        (keras.Operation, _operation),
        (keras.Metric, _helper),
        (collections.deque, _deque),
    )


STATE = (_keras.KerasVariable, keras.Operation, keras.random.SeedGenerator, keras.Metric, *GENERATORS)
"""What belongs to one model."""


def _is_own_state(layer: Any, item: Any) -> bool:
    return vars(layer).get(paths.STATE) is item or getattr(layer, paths.STATE, None) is item


def _of_framework(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in FRAMEWORKS


def _inside(value: Any) -> Iterator[Any]:
    """Yield what is directly in an object."""
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset | collections.deque):
        yield from value
    elif isinstance(value, types.FunctionType):
        yield from _carried(value)
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    yield from getattr(value, "__dict__", {}).values()
    for name in (name for cls in type(value).__mro__ for name in vars(cls).get("__slots__", ())):
        yield getattr(value, name, None)


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value or ())


def _carried(function: types.FunctionType) -> list[Any]:
    """Return what a function carries along: what it closes over, its defaults, its attributes."""
    found = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    found += vars(function).values()
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # a name that was not bound yet
            continue
    return found


def is_pure(function: types.FunctionType, seen: frozenset[int] = frozenset()) -> bool:
    """Whether a function carries nothing along but values that nobody can change."""
    seen |= {id(function)}
    return all(
        isinstance(value, ATOMS)
        or (isinstance(value, types.FunctionType) and (id(value) in seen or is_pure(value, seen)))
        or (type(value) is tuple and all(isinstance(item, ATOMS) for item in value))
        for value in _carried(function)
    )
