"""Putting deltas onto a live model, one above the other, and taking them off again, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from surgeon import paths
from surgeon.deltas.delta import Array, Delta, array_of, bits, variables_of
from surgeon.deltas.files import read_delta
from surgeon.errors import DeltaConflictError, DeltaError, check_built, near_misses

SHOWN = 5
"""How many weights an error names before it only counts the rest."""


@dataclass(eq=False)
class AppliedDelta:
    """A delta that lies on a model. Made by `load_delta`.

    Used in a `with` statement, it takes itself off at the end.

    Attributes:
        source: The file that it came from.
        delta: What it holds, under the paths of this model.
        below: The deltas that it was trained on top of.
        replaced: The elements that stood there before, by the weight's path.

    Example:
        >>> import pathlib, tempfile, keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("head", "bias"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = surgeon.save_delta(tuned, pathlib.Path(folder, "head.safetensors"))
        ...     with surgeon.load_delta(model, pathlib.Path(folder, "head.safetensors")) as applied:
        ...         print(applied.delta)
        <Delta of 8 elements in 1 of 2 weights>
    """

    source: str
    delta: Delta
    _model: ReferenceType[Any] = field(repr=False)
    _stack: list[AppliedDelta] = field(repr=False)
    below: tuple[AppliedDelta, ...] = field(default=(), repr=False)
    replaced: dict[str, Array] = field(default_factory=dict, repr=False)

    def remove(self) -> None:
        """Give the model back every bit that the delta replaced.

        Deltas that share no element come off in any order.

        Raises:
            DeltaError: If it is off already, or if its elements have changed since.
            DeltaConflictError: If a delta that lies above it was trained on top of it.
        """
        if self not in self._stack:
            raise DeltaError(f"{self.source} does not lie on the model: it was removed already")
        above = [other for other in self._stack if self in other.below]
        if above:
            raise DeltaConflictError(
                f"{above[-1].source} was trained on top of {self.source}: remove that one first"
            )
        # Looked up anew: a schedule may have put other variables in their place.
        variables = variables_of(self._model())
        wholes = {path: array_of(variables[path]) for path in self.replaced}
        self.check_on(wholes)
        for path, whole in wholes.items():
            self.take_off(path, whole)
            variables[path].assign(whole)
        self._stack.remove(self)

    @property
    def has_changed_something(self) -> bool:
        """Whether an element that stood there before was another one."""
        weights = self.delta.weights
        return any(not _same(stood, weights[path].values) for path, stood in self.replaced.items())

    def check_on(self, wholes: Mapping[str, Array]) -> None:
        """Check that whole weights have its elements.

        Raises:
            DeltaError: If some do not; names them.
        """
        moved = [path for path, whole in wholes.items() if not self._is_on(path, whole)]
        if moved:
            raise DeltaError(
                f"{self.source} cannot be removed, its elements have changed since it was loaded: "
                f"{_some(moved)}. save_delta(model, path) saves what they are now"
            )

    def _is_on(self, path: str, whole: Array) -> bool:
        weight = self.delta.weights[path]
        return weight.values is not None and np.array_equal(
            bits(weight.part.take(whole)), bits(weight.values)
        )

    def take_off(self, path: str, whole: Array) -> None:
        """Put the elements that it replaced back into a whole weight."""
        if path in self.replaced:
            self.delta.weights[path].part.put(whole, self.replaced[path])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self in self._stack:
            self.remove()


_STACKS: WeakKeyDictionary[Any, list[AppliedDelta]] = WeakKeyDictionary()


def load_delta(model: Any, path: str | os.PathLike[str]) -> AppliedDelta:
    """Put a saved delta onto a model, in place, as `load_weights` does.

    The model then has, bit for bit, the weights of the one that was saved. Several deltas can lie on one
    model: those of one base, as long as they share no element, and above one another that was trained on top.

    Args:
        model: The base (the model that was rewritten and trained), a copy of it, or a rewritten one.
        path: A file that `save_delta` wrote.

    Returns:
        The delta on its model; `.remove()` takes it off, bit for bit.

    Raises:
        ModelError: If the model is not built.
        DeltaError: If the file is no delta, or the model is not its base: other weights, or other values
            where the delta has none. The model stays as it was.
        DeltaConflictError: If a delta of the same base, with elements in common, lies on the model already.

    Example:
        >>> import pathlib, tempfile, keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("d", "kernel"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = surgeon.save_delta(tuned, pathlib.Path(folder, "d.safetensors"))
        ...     applied = load_delta(model, pathlib.Path(folder, "d.safetensors"))
        >>> applied.remove()
    """
    check_built(model)
    source, variables = os.fspath(path), variables_of(model)
    delta = _renamed(read_delta(path), variables, source)
    stack = _STACKS.setdefault(model, [])
    below = _base_of(delta, variables, stack, source)
    held = {path: (w.part, w.values) for path, w in delta.weights.items() if w.values is not None}
    for other in stack:
        if _are_equal(other.delta, delta):
            raise DeltaConflictError(
                f"{source} lies on {model.name!r} already, from {other.source}: "
                "it can lie there once; .remove() takes it off"
            )
        shared = [] if other in below else [name for name in held if _overlap(other.delta, delta, name)]
        if shared:
            raise DeltaConflictError(
                f"{source} and {other.source}, which lies on {model.name!r} already, hold the same "
                f"elements of {_some(shared)}: remove the other first"
            )
    applied = AppliedDelta(source, delta, ref(model), stack, below)
    for name, (part, values) in held.items():
        whole = array_of(variables[name])
        applied.replaced[name] = np.array(part.take(whole))
        part.put(whole, values)
        variables[name].assign(whole)
    stack.append(applied)
    return applied


def _renamed(delta: Delta, variables: Mapping[str, Any], source: str) -> Delta:
    """Return the delta under the paths of a model, whose automatic names may count from elsewhere."""
    if delta.weights.keys() != variables.keys() and [*map(paths.uncounted, delta.weights)] == [
        *map(paths.uncounted, variables)
    ]:
        delta = Delta(dict(zip(variables, delta.weights.values(), strict=True)))
    for path in [
        path for path in (*delta.weights, *variables) if (path in delta.weights) != (path in variables)
    ]:
        where, close = (
            ("is not in this model", near_misses(path, variables))
            if path in delta.weights
            else ("of this model is not in the delta", near_misses(path, delta.weights))
        )
        raise DeltaError(f"{source} was made for another model: {path!r} {where}{close}")
    for path, weight in delta.weights.items():
        whole = array_of(variables[path])
        if (weight.part.shape, weight.dtype) != (whole.shape, str(whole.dtype)):
            raise DeltaError(
                f"{source} was made for another model: {path!r} is {whole.dtype} {whole.shape} here, "
                f"and {weight.dtype} {weight.part.shape} in the delta"
            )
    return delta


def _base_of(
    delta: Delta, variables: Mapping[str, Any], stack: list[AppliedDelta], source: str
) -> tuple[AppliedDelta, ...]:
    """Return the deltas that this one was trained on top of: a lower part of the stack.

    Raises:
        DeltaError: If neither the model as it is nor what lies below any of the deltas is its base.
    """
    wrong: list[list[str]] = [[] for _ in range(len(stack) + 1)]
    for path, weight in delta.weights.items():
        whole = array_of(variables[path])
        fits = weight.fits(whole)
        for depth in range(len(stack), -1, -1):
            if depth < len(stack) and path in stack[depth].replaced:
                stack[depth].take_off(path, whole)
                fits = weight.fits(whole)
            if not fits:
                wrong[depth].append(path)
    # As few as it needs: one that replaces all that another holds fits above it, whatever its base was.
    for depth, names in enumerate(wrong):
        if not names:
            return tuple(stack[:depth])
    best = min(wrong, key=len)
    if any(delta.weights[path].base is not None for path in best):
        raise DeltaError(
            f"this model is not the base that {source} was compared with: other values are in {_some(best)}. "
            "Load that base, or remove what lies on it"
        )
    raise DeltaError(
        f"this model is not the base of {source}: elements that the delta does not hold have other values in "
        f"{_some(best)}. Load the model that was rewritten and trained, or remove what lies on it. If other "
        "elements trained before, as in a schedule, save the delta with base="
    )


def _are_equal(first: Delta, second: Delta) -> bool:
    """Whether two deltas hold the same values at the same places."""
    if first.weights.keys() != second.weights.keys():
        return False
    pairs = [(weight, second.weights[path]) for path, weight in first.weights.items()]
    return all(one.part == other.part and _same(one.values, other.values) for one, other in pairs)


def _same(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(bits(one), bits(other))


def _overlap(first: Delta, second: Delta, path: str) -> bool:
    one, other = first.weights[path].part, second.weights[path].part
    return not one.is_none and (one - other) != one


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown}, and {len(names) - SHOWN} more"
