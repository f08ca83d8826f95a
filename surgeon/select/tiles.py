"""Selections of single elements by their place: `blocks`, and `n_of_m` for N:M patterns."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from surgeon.errors import SelectionError
from surgeon.select.axes import Axes
from surgeon.select.choice import Amount, Line
from surgeon.select.choosing import Which, checked_amount, checked_choice
from surgeon.select.criteria import MAGNITUDE, RANDOM, magnitudes, random_scores
from surgeon.select.selection import Selection

if TYPE_CHECKING:
    from surgeon.partial.part import Part

Tiles = NDArray[Any]


def blocks(
    which: Which, of: int | Sequence[int], *, by: str | None = None, seed: int | None = None
) -> Selection:
    """Select rectangular blocks of a weight.

    The weight is cut into blocks of one size, which are counted in C order. Block sizes are those
    that block-sparse kernels take, such as 16 × 16.

    Args:
        which: As for `channels`, counting blocks.
        of: Size of a block along the last axes of the weight; axes before those lie whole within
            a block. An integer `b` is `(b, b)`. A convolution's kernel `(h, w, in, out)` with
            `of=(8, 8)` has `in/8 * out/8` blocks, each with the whole window.
        by: As for `channels`; `"magnitude"` is the L2 norm of a block.
        seed: As for `channels`.

    Raises:
        SelectionError: If this makes no sense for any weight; when it meets a weight, if the
            blocks do not divide its axes.

    Example:
        >>> blocks(0.25, of=16, by="magnitude"), blocks([0], of=(1, 4))
        (blocks(0.25, of=(16, 16), by='magnitude'), blocks([0], of=(1, 4)))
    """
    sizes = (of, of) if isinstance(of, numbers.Integral) else of
    if (
        not isinstance(sizes, Sequence)
        or isinstance(sizes, str)
        or not sizes
        or not all(isinstance(size, numbers.Integral) and not isinstance(size, bool) for size in sizes)
        or min(sizes) < 1
    ):
        raise SelectionError(f"blocks(..., of={of!r}): a block has whole sizes from 1 up, such as (16, 16)")
    return Blocks("blocks", checked_choice("blocks", which, by, seed), tuple(int(size) for size in sizes))


def n_of_m(
    n: int, m: int, *, axis: int | None = None, by: str = MAGNITUDE, seed: int | None = None
) -> Selection:
    """Select `n` of every `m` consecutive elements along an axis: an N:M pattern.

    Args:
        n: How many of each group, from 1 to below `m`.
        m: How many consecutive elements form a group.
        axis: The axis along which groups lie; the input axis unless given, as N:M sparsity has
            it, and the only axis of a vector.
        by: `"magnitude"` takes the largest of each group, of equal ones the first; `"random"` draws.
        seed: As for `channels`.

    Raises:
        SelectionError: If this makes no sense for any weight; when it meets a weight, if `m` does
            not divide the axis.

    Source:
        Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, https://arxiv.org/abs/2104.08378

    Example:
        >>> n_of_m(2, 4)
        n_of_m(2, 4, by='magnitude')
    """
    typed = f"n_of_m({n!r}, {m!r})"
    for value in (n, m, *([] if axis is None else [axis])):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise SelectionError(f"{typed}: n, m and axis are whole numbers, not {value!r}")
    if not 1 <= n < m:
        meant = f": write n_of_m({m!r}, {n!r})" if 1 <= m < n else "; all of a weight trains with train(...)"
        raise SelectionError(f"{typed}: n is at least 1 and below m{meant}")
    choice = checked_amount("n_of_m", int(n), by, seed)
    return NOfM("n_of_m", choice, int(m), None if axis is None else int(axis))


class _Placed(Selection):
    """A selection of elements that lie in tiles, which have one size."""

    def _tiled(self, array: NDArray[Any], path: str, axes: Axes) -> Tiles:
        """Return the elements of an array of the weight's shape as `(tiles, elements of a tile)`."""
        raise NotImplementedError

    def _chosen(self, tiles: Callable[[], Tiles], shape: tuple[int, int], path: str) -> NDArray[np.bool_]:
        """Return which elements of the tiles are meant, as an array that broadcasts against them."""
        raise NotImplementedError

    def resolve(
        self, path: str, shape: Sequence[int], axes: Axes, values: Callable[[], NDArray[Any]]
    ) -> Part:
        """Return the part of the weight that is meant; see `Selection.resolve`."""
        # The package around `Part` needs Keras, which selections as such do not.
        from surgeon.partial.part import Part

        shape = tuple(shape)

        def tiles() -> Tiles:
            array = np.asarray(values())
            if array.shape != shape:
                raise SelectionError(f"the values of {path!r} have the shape {array.shape}, not {shape}")
            return self._tiled(array, path, axes)

        with self.named():
            index = self._tiled(np.arange(math.prod(shape)).reshape(shape), path, axes)
            chosen = np.broadcast_to(self._chosen(tiles, index.shape, path), index.shape)
            return Part.elements(shape, index[chosen])


@dataclass(frozen=True, repr=False)
class Blocks(_Placed):
    """Some of the blocks of a weight.

    Attributes:
        of: Size of a block along the last axes.
    """

    of: tuple[int, ...] = ()

    def size(self, shape: Sequence[int], axes: Axes, path: str = "") -> int:
        """Return how many elements are meant; see `Selection.size`."""
        del axes
        with self.named():
            count = math.prod(self._grid(tuple(shape), path))
            each = math.prod(shape) // count
            return self.choice.count(Line(path, (count, each), 0, "blocks")) * each

    def _grid(self, shape: tuple[int, ...], path: str) -> tuple[int, ...]:
        """Return how many blocks lie along each of the last axes."""
        last = shape[len(shape) - len(self.of) :] if len(self.of) <= len(shape) else ()
        if not last or any(length % size or not length for length, size in zip(last, self.of, strict=True)):
            where = f"{path!r} of shape {shape}" if path else f"a weight of shape {shape}"
            raise SelectionError(f"blocks of {self.of} do not divide the last axes of {where}")
        return tuple(length // size for length, size in zip(last, self.of, strict=True))

    def _tiled(self, array: NDArray[Any], path: str, axes: Axes) -> Tiles:
        del axes
        grid, lead = self._grid(array.shape, path), array.ndim - len(self.of)
        split = [extent for pair in zip(grid, self.of, strict=True) for extent in pair]
        cut = array.reshape(*array.shape[:lead], *split)
        outer = range(lead, cut.ndim, 2)
        moved = np.moveaxis(cut, tuple(outer), tuple(range(len(grid))))
        return moved.reshape(math.prod(grid), -1)

    def _chosen(self, tiles: Callable[[], Tiles], shape: tuple[int, int], path: str) -> NDArray[np.bool_]:
        chosen = np.full((shape[0], 1), fill_value=False)
        chosen[self.choice.positions(Line(path, shape, 0, "blocks"), tiles)] = True
        return chosen

    def to_data(self) -> dict[str, Any]:
        """Return JSON data; see `Selection.to_data`."""
        value, more = self.choice.to_data()
        return {"blocks": value, "of": list(self.of), **more}

    def __str__(self) -> str:
        which, *how = str(self.choice).split(", by=")
        return f"blocks({which}, of={self.of}{''.join(f', by={one}' for one in how)})"

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class NOfM(_Placed):
    """So many of every `m` consecutive elements along an axis.

    Attributes:
        m: Size of a group.
        axis: The axis along which groups lie, or `None` for the input axis.
    """

    m: int = 0
    axis: int | None = None

    @property
    def _amount(self) -> Amount:
        assert isinstance(self.choice, Amount)  # noqa: S101 - `n_of_m` makes no other
        return self.choice

    def size(self, shape: Sequence[int], axes: Axes, path: str = "") -> int:
        """Return how many elements are meant; see `Selection.size`."""
        with self.named():
            self._along(tuple(shape), path, axes)
        return math.prod(shape) // self.m * int(self._amount.amount)

    def _along(self, shape: tuple[int, ...], path: str, axes: Axes) -> int:
        where = f"{path!r} of shape {shape}" if path else f"a weight of shape {shape}"
        inputs = axes.channel if axes.row is None else axes.row
        axis = inputs if self.axis is None else self.axis
        if not -len(shape) <= axis < len(shape):
            raise SelectionError(f"{where} has no axis {axis}")
        if not shape[axis] or shape[axis] % self.m:
            raise SelectionError(f"groups of {self.m} do not divide axis {axis % len(shape)} of {where}")
        return axis % len(shape)

    def _tiled(self, array: NDArray[Any], path: str, axes: Axes) -> Tiles:
        return np.moveaxis(array, self._along(array.shape, path, axes), -1).reshape(-1, self.m)

    def _chosen(self, tiles: Callable[[], Tiles], shape: tuple[int, int], path: str) -> NDArray[np.bool_]:
        amount = self._amount
        if amount.by == RANDOM:
            scores = random_scores(amount.seed, path, math.prod(shape))
        else:
            scores = magnitudes(tiles(), None, path)
        order = np.argsort(-scores.reshape(shape).astype(np.float64), axis=1, kind="stable")
        chosen = np.full(shape, fill_value=False)
        np.put_along_axis(chosen, order[:, : int(amount.amount)], values=True, axis=1)
        return chosen

    def to_data(self) -> dict[str, Any]:
        """Return JSON data; see `Selection.to_data`."""
        value, more = self.choice.to_data()
        return {"n_of_m": [value, self.m], **({} if self.axis is None else {"axis": self.axis}), **more}

    def __str__(self) -> str:
        n, *how = str(self.choice).split(", by=")
        axis = "" if self.axis is None else f", axis={self.axis}"
        return f"n_of_m({n}, {self.m}{axis}{''.join(f', by={one}' for one in how)})"

    __repr__ = __str__
