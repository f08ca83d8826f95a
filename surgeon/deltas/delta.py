"""The delta, as a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon import paths
from surgeon.errors import DeltaError, check_built
from surgeon.partial import Part
from surgeon.sealing import frozen_digest, moving_part

Array = NDArray[Any]


@dataclass(frozen=True)
class DeltaWeight:
    """What a delta knows of one weight.

    Attributes:
        part: Which of its elements the delta holds, perhaps none.
        dtype: Name of its dtype.
        values: These elements, in the part's compact shape; `None` where there are none.
        frozen: Digest of the elements that the delta does not hold; `None` where there are none.
        base: Digest of the whole weight of the base, where it was known.
    """

    part: Part
    dtype: str
    values: Array | None = None
    frozen: str | None = None
    base: str | None = None

    def fits(self, whole: Array) -> bool:
        """Whether these are the values of the weight that the delta was made for."""
        if self.base is not None:
            return frozen_digest(whole, Part.none(whole.shape)) == self.base
        return self.frozen is None or frozen_digest(whole, self.part) == self.frozen


@dataclass(frozen=True)
class Delta:
    """The elements of a model that training changed, and digests of all others.

    Attributes:
        weights: Every weight of the model by path, also those of which it holds nothing.
    """

    weights: Mapping[str, DeltaWeight]

    @property
    def size(self) -> int:
        """Number of elements that it holds."""
        return sum(weight.part.size for weight in self.weights.values())

    def __repr__(self) -> str:
        held = sum(not weight.part.is_none for weight in self.weights.values())
        return f"<Delta of {self.size:,} elements in {held:,} of {len(self.weights):,} weights>"


def delta_of(model: Any, base: Any = None) -> Delta:
    """Return what of a model has trained.

    Args:
        model: A built model.
        base: The model that it was before; without it, all that can train is held.

    Raises:
        ModelError: If the model is not built.
        DeltaError: If nothing trains or differs, or the base has other weights.
    """
    for one in (model,) if base is None else (model, base):
        check_built(one)
    found = _trained(model) if base is None else _changed(model, base)
    delta = Delta(dict(found))
    if not delta.size:
        why = "nothing of it trains" if base is None else "it does not differ from its base"
        raise DeltaError(f"there is nothing of {model.name!r} to save in a delta: {why}")
    return delta


def _trained(model: Any) -> Iterator[tuple[str, DeltaWeight]]:
    trained = {id(variable) for variable in model.trainable_variables}
    for path, name, layer, variable in paths.weights(model):
        yield paths.join(path, name), _weight(array_of(variable), moving_part(layer, variable, trained))


def _changed(model: Any, base: Any) -> Iterator[tuple[str, DeltaWeight]]:
    before = variables_of(base)
    for path, name, _, variable in paths.weights(model):
        full = paths.join(path, name)
        whole, old = array_of(variable), array_of(before[full]) if full in before else None
        if old is None or (old.shape, old.dtype) != (whole.shape, whole.dtype):
            raise DeltaError(
                f"the base has no weight {full!r} of shape {whole.shape} and dtype {whole.dtype}"
            )
        digest = frozen_digest(old, Part.none(old.shape))
        yield full, _weight(whole, _differing(old, whole), digest)


def _differing(old: Array, new: Array) -> Part:
    index = np.flatnonzero(bits(old).reshape(-1) != bits(new).reshape(-1))
    # An index costs about a byte an element.
    few = len(index) * (new.itemsize + 1) < new.size * new.itemsize
    return Part.elements(new.shape, index) if few or not len(index) else Part.all(new.shape)


def _weight(whole: Array, part: Part, base: str | None = None) -> DeltaWeight:
    values = None if part.is_none else np.array(part.take(whole), order="C")
    frozen = None if part.is_all else frozen_digest(whole, part)
    return DeltaWeight(part, str(whole.dtype), values, frozen, base)


def variables_of(model: Any) -> dict[str, Any]:
    """Return every weight of a model, its state included, by path."""
    return {paths.join(path, name): variable for path, name, _, variable in paths.weights(model)}


def array_of(variable: Any) -> Array:
    """Return a copy of a whole weight in the dtype that it is stored in."""
    return np.array(keras.ops.convert_to_numpy(variable.value))


def bits(array: Array) -> Array:
    """Return an array's bits as unsigned integers: NaN equals NaN there, and 0 is not -0."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")
