"""Which elements of one weight train, as a value."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surgeon.errors import SelectionError

Indices = NDArray[np.int64]
Kind = Literal["all", "none", "slices", "elements"]


@dataclass(frozen=True, eq=False)
class Part:
    """The part of one weight that trains; the rest is frozen.

    A selection that happens to hold everything *is* `Part.all`, and one that holds nothing *is*
    `Part.none`: each value has one form.

    Attributes:
        shape: Shape of the whole weight.
        kind: `"all"`, `"none"`, `"slices"` (along `axis`) or `"elements"`.
        axis: The axis that `index` counts along; `None` unless `kind` is `"slices"`.
        index: Sorted, unique positions that train; empty where `kind` says it all.

    Example:
        >>> part = Part.slices((3, 4), axis=-1, index=[0, 2])
        >>> part.size, part.compact_shape
        (6, (3, 2))
    """

    shape: tuple[int, ...]
    kind: Kind
    axis: int | None = None
    index: Indices = field(default_factory=lambda: np.arange(0))

    @classmethod
    def all(cls, shape: Sequence[int]) -> Part:
        """Everything trains."""
        return cls(tuple(shape), "all")

    @classmethod
    def none(cls, shape: Sequence[int]) -> Part:
        """Nothing trains."""
        return cls(tuple(shape), "none")

    @classmethod
    def slices(cls, shape: Sequence[int], axis: int, index: ArrayLike) -> Part:
        """The slices at `index` along one axis train (channels, rows).

        Raises:
            SelectionError: If the axis or an index is outside the weight.
        """
        shape = tuple(shape)
        if not -len(shape) <= axis < len(shape):
            raise SelectionError(f"a weight of shape {shape} has no axis {axis}")
        axis %= len(shape)
        positions = _positions(index, shape[axis], f"axis {axis} of a weight of shape {shape}")
        return cls._canonical(shape, "slices", axis, positions, shape[axis])

    @classmethod
    def elements(cls, shape: Sequence[int], index: ArrayLike) -> Part:
        """Single elements train; `index` counts them in C order.

        Raises:
            SelectionError: If an index is outside the weight.
        """
        shape, count = tuple(shape), math.prod(shape)
        positions = _positions(index, count, f"the elements of a weight of shape {shape}")
        return cls._canonical(shape, "elements", None, positions, count)

    @classmethod
    def mask(cls, mask: ArrayLike) -> Part:
        """Single elements train: where `mask` is true."""
        array = np.asarray(mask, dtype=bool)
        return cls.elements(array.shape, np.flatnonzero(array))

    @classmethod
    def _canonical(
        cls, shape: tuple[int, ...], kind: Kind, axis: int | None, index: Indices, count: int
    ) -> Part:
        if len(index) in (0, count):
            return cls(shape, "all" if len(index) else "none")
        return cls(shape, kind, axis, index)

    @property
    def size(self) -> int:
        """How many elements train."""
        return math.prod(self.compact_shape)

    @property
    def is_all(self) -> bool:
        """Whether every element trains."""
        return self.kind == "all"

    @property
    def is_none(self) -> bool:
        """Whether no element trains."""
        return self.kind == "none"

    @property
    def compact_shape(self) -> tuple[int, ...]:
        """Shape of the tensor that holds just the trainable elements.

        A selection along an axis keeps its rank, so that optimizers which look at the shape
        (Muon, Adafactor) still see a matrix; single elements lie in one dimension.
        """
        if self.kind == "all":
            return self.shape
        if self.axis is None:
            return (len(self.index),)
        return (*self.shape[: self.axis], len(self.index), *self.shape[self.axis + 1 :])

    def to_mask(self) -> NDArray[np.bool_]:
        """Return a boolean array of the weight's shape, true where it trains."""
        mask = np.full(self.shape, self.is_all)
        if self.axis is None:
            mask.reshape(-1)[self.index] = True
        else:
            mask[(slice(None),) * self.axis + (self.index,)] = True
        return mask

    def ordinals(self) -> NDArray[np.int32]:
        """Return the position of each single element in the compact tensor, and -1 where it is frozen."""
        ordinals = np.full(self.shape, -1, "int32")
        ordinals.reshape(-1)[self.index] = np.arange(self.size, dtype="int32")
        return ordinals

    def take(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Return the trainable elements of an array of the weight's shape, in `compact_shape`."""
        if self.is_all:
            return whole
        return (
            whole.reshape(-1)[self.index] if self.axis is None else np.take(whole, self.index, axis=self.axis)
        )

    def put(self, whole: NDArray[Any], compact: NDArray[Any]) -> None:
        """Write the trainable elements into an array of the weight's shape, in place."""
        if self.is_all:
            whole[...] = compact
        elif self.axis is None:
            whole.reshape(-1)[self.index] = compact
        else:
            whole[(slice(None),) * self.axis + (self.index,)] = compact

    def at(self, positions: Sequence[tuple[int, Sequence[int]]]) -> Part:
        """Return what trains of the weight once only some positions of it are there.

        Args:
            positions: Pairs of an axis and the positions that stay along it.
        """
        mask = self.to_mask()
        for axis, stay in positions:
            mask = np.take(mask, stay, axis)
        if self.axis is None:
            return Part.mask(mask)
        others = tuple(axis for axis in range(mask.ndim) if axis != self.axis)
        return Part.slices(mask.shape, self.axis, np.flatnonzero(mask.any(others)))

    def __sub__(self, other: Part) -> Part:
        """What trains here and not in `other`."""
        self._check_shape(other)
        if other.is_none or self.is_none:
            return self
        if self.is_all and other.axis is not None:
            rest = np.setdiff1d(np.arange(self.shape[other.axis]), other.index)
            return Part.slices(self.shape, other.axis, rest)
        if self.axis is not None and self.axis == other.axis:
            return Part.slices(self.shape, self.axis, np.setdiff1d(self.index, other.index))
        return Part.mask(self.to_mask() & ~other.to_mask())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Part):
            return NotImplemented
        return (self.shape, self.kind, self.axis) == (other.shape, other.kind, other.axis) and np.array_equal(
            self.index, other.index
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.kind, self.axis, self.index.tobytes()))

    def __repr__(self) -> str:
        return f"<Part {self}>"

    def __str__(self) -> str:
        if self.kind in ("all", "none"):
            return self.kind
        if self.axis is None:
            return f"{self.size} of {math.prod(self.shape)} elements"
        return f"{len(self.index)} of {self.shape[self.axis]} along axis {self.axis}"

    def to_config(self) -> dict[str, Any]:
        """Return JSON data; a mask costs about its entropy, not four bytes an element."""
        config: dict[str, Any] = {"shape": list(self.shape), "kind": self.kind}
        if self.kind in ("all", "none"):
            return config
        kept = np.zeros(math.prod(self.shape) if self.axis is None else self.shape[self.axis], dtype=bool)
        kept[self.index] = True
        bits = base64.b85encode(zlib.compress(np.packbits(kept).tobytes(), 9)).decode()
        return {**config, "axis": self.axis, "bits": bits}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Part:
        """Inverse of `to_config`.

        Raises:
            SelectionError: If the data is damaged. Never unpacks to more than the shape allows.
        """
        try:
            shape, kind = tuple(int(size) for size in config["shape"]), config["kind"]
            if kind in ("all", "none"):
                return cls(shape, kind)
            axis = {"slices": config["axis"], "elements": None}[kind]
            count = math.prod(shape) if axis is None else shape[axis]
            length = (count + 7) // 8
            packed = zlib.decompressobj().decompress(base64.b85decode(config["bits"]), length)
            if len(packed) != length:
                raise ValueError(f"{len(packed)} bytes where there should be {length}")
            index = np.flatnonzero(np.unpackbits(np.frombuffer(packed, np.uint8), count=count))
        except (KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
            raise SelectionError(f"damaged description of a trainable part: {error}") from error
        return cls.elements(shape, index) if axis is None else cls.slices(shape, axis, index)

    def _check_shape(self, other: Part) -> None:
        if self.shape != other.shape:
            raise SelectionError(f"parts of weights of different shapes: {self.shape} and {other.shape}")


def _positions(index: ArrayLike, count: int, what: str) -> Indices:
    """Return sorted unique non-negative positions below `count`."""
    array = np.asarray(index)
    if array.size == 0:
        return np.arange(0)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise SelectionError(
            f"positions must be a flat list of integers, not {array.dtype} of shape {array.shape}"
        )
    outside = array[(array < -count) | (array >= count)]
    if outside.size:
        raise SelectionError(f"position {outside[0]} is outside {what}, which has {count}")
    return np.unique(np.where(array < 0, array + count, array)).astype(np.int64)
