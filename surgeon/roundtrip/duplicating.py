"""A copy of a layer as an object, for layers whose attributes are all understood.

Going through `get_config`, `from_config`, `build` and initializers is what makes copies slow, and
what fails for layers whose config does not say everything. Here the object itself is copied:
variables get variables of their own with the same values, layers inside are copied likewise, plain
values are used as they are. Whatever is not understood (a lookup table, a function that closes over
the layer) is no reason to guess: the layer is then made from its config.
"""

from __future__ import annotations

import enum
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from surgeon import _keras
from surgeon.partial import PartialVariable

ATOMS = (
    type(None), bool, int, float, complex, str, bytes, type, range, slice, type(Ellipsis), enum.Enum,
    np.generic, np.dtype, types.BuiltinFunctionType, types.ModuleType, inspect.Signature, inspect.Parameter,
    keras.DTypePolicy, np.ufunc,
)  # fmt: skip
"""Values that nobody can change, so that original and copy may have them in common."""

HELPERS = (
    keras.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint, keras.InputSpec,
    keras.quantizers.Quantizer, keras.random.SeedGenerator,
)  # fmt: skip
"""Objects that are described by their attributes alone."""


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

    def layer(self, layer: Any) -> Any | None:
        """Return a copy of a layer with its values, or `None` if something in it is not understood."""
        if not _keras.can_duplicate():
            return None
        start = len(self._undo)
        try:
            return self._copy(layer)
        except NotUnderstoodError:
            for key in self._undo[start:]:
                self.copies.pop(key, None)
            return None
        finally:
            del self._undo[start:]

    def _remember(self, old: Any, new: Any) -> Any:
        self.copies[id(old)] = new
        self._undo.append(id(old))
        return new

    def _copy(self, value: Any, within: Any = None) -> Any:
        if isinstance(value, ATOMS):
            return value
        if id(value) in self.copies:
            return self.copies[id(value)]
        if isinstance(value, keras.Model):
            return self._remember(value, self._model(value))
        for kinds, copy in self._kinds:
            if isinstance(value, kinds):
                return copy(self, value, within)
        if _keras.is_immutable(value):
            return value
        raise NotUnderstoodError(f"a {type(value).__name__}")

    def _model(self, model: Any) -> Any:
        if _keras.functional_of(model) is None:
            raise NotUnderstoodError(f"a {type(model).__name__}, which has no graph")
        return self.copy_model(model)

    def _layer(self, old: Any, within: Any = None) -> Any:
        del within
        cls = type(old)
        tracked = _keras.tracked_objects(old)
        if hasattr(cls, "stock") or cls.__new__ is not keras.layers.Layer.__new__ or tracked["metrics"]:
            raise NotUnderstoodError(f"a {cls.__name__}")
        if isinstance(old, keras.layers.InputLayer) or not _keras.is_own_build(old):
            raise NotUnderstoodError(f"a {cls.__name__}")
        new = self._remember(old, _keras.bare_layer(old))
        copied = {name: [self._copy(item, new) for item in items] for name, items in tracked.items()}
        _keras.track_all(new, copied)
        own = vars(new)
        for name, value in vars(old).items():
            if name not in _keras.MADE_ANEW:
                own[name] = value if isinstance(value, ATOMS) else self._copy(value, new)
        _keras.track_for_saved_model(old, new, lambda value: self.copies.get(id(value)))
        return new

    def _variable(self, old: Any, within: Any = None) -> Any:
        del within
        if isinstance(old, PartialVariable) or not _keras.is_plain_variable(old):
            raise NotUnderstoodError(f"a {type(old).__name__}")
        return self._remember(old, _keras.duplicate_variable(old, self._copy))

    def _helper(self, old: Any, within: Any = None) -> Any:
        new = self._remember(old, object.__new__(type(old)))
        vars(new).update((name, self._copy(value, within)) for name, value in vars(old).items())
        return new

    def _operation(self, old: Any, within: Any = None) -> Any:
        new = self._helper(old, within)
        vars(new).update(_inbound_nodes=[], _outbound_nodes=[])
        return new

    def _container(self, old: Any, within: Any = None) -> Any:
        if isinstance(old, dict):
            items: Any = {key: self._copy(value, within) for key, value in old.items()}
        elif type(old) is tuple:
            return tuple(self._copy(value, within) for value in old)
        elif isinstance(old, tuple):
            return type(old)(*(self._copy(value, within) for value in old))
        else:
            items = [self._copy(value, within) for value in old]
        if isinstance(old, _keras.TRACKED) and within is not None:
            return _keras.tracked_container(old, items, within)
        if type(old) not in (list, dict, set, frozenset):
            raise NotUnderstoodError(f"a {type(old).__name__}")
        return type(old)(items)

    def _array(self, old: np.ndarray, within: Any = None) -> Any:
        del within
        return old.copy()

    def _function(self, old: Any, within: Any = None) -> Any:
        del within
        if not is_pure(old):
            raise NotUnderstoodError(f"the function {old.__qualname__}, which closes over an object")
        return old

    def _method(self, old: Any, within: Any = None) -> Any:
        return types.MethodType(old.__func__, self._copy(old.__self__, within))

    def _applied(self, old: Any, within: Any = None) -> Any:
        arguments = [self._copy(argument, within) for argument in old.args]
        keywords = {name: self._copy(value, within) for name, value in old.keywords.items()}
        return functools.partial(self._copy(old.func, within), *arguments, **keywords)

    _kinds: tuple[tuple[Any, Callable[..., Any]], ...] = (
        (_keras.KerasVariable, _variable),
        (keras.layers.Layer, _layer),
        (HELPERS, _helper),
        ((list, tuple, dict, set, frozenset), _container),
        (types.FunctionType, _function),
        (types.MethodType, _method),
        (functools.partial, _applied),
        (np.ndarray, _array),
        (keras.Operation, _operation),
    )


def is_pure(function: types.FunctionType, seen: frozenset[int] = frozenset()) -> bool:
    """Whether a function carries nothing along but values that nobody can change."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    carried = [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    seen |= {id(function)}
    return all(
        isinstance(value, ATOMS)
        or (isinstance(value, types.FunctionType) and (id(value) in seen or is_pure(value, seen)))
        or (type(value) is tuple and all(isinstance(item, ATOMS) for item in value))
        for value in carried
    )
