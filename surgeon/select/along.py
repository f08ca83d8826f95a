"""Selections of slices along any axis of a weight."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

from surgeon.errors import SelectionError
from surgeon.select.axes import Axes
from surgeon.select.choice import Line
from surgeon.select.choosing import Which, checked_choice
from surgeon.select.selection import Selection


def along(axis: int, which: Which, *, by: str | None = None, seed: int | None = None) -> Selection:
    """Select slices along an axis, where neither `channels` nor `rows` means it.

    Args:
        axis: The axis that is counted along; negative ones count from the end.
        which: As for `channels`.
        by: As for `channels`.
        seed: As for `channels`.

    Raises:
        SelectionError: If this makes no sense for any weight.

    Example:
        >>> along(0, [1])  # the middle of a 3 × 3 window, top to bottom
        along(0, [1])
    """
    if isinstance(axis, bool) or not isinstance(axis, numbers.Integral):
        is_turned = isinstance(which, numbers.Integral) and not isinstance(which, bool)
        meant = f", and comes first: along({which!r}, {axis!r})" if is_turned else ""
        raise SelectionError(f"along({axis!r}, ...): an axis is a whole number{meant}")
    return Along("along", checked_choice("along", which, by, seed), int(axis))


@dataclass(frozen=True, repr=False)
class Along(Selection):
    """Slices along an axis that is given by its number.

    Attributes:
        axis: The axis.
    """

    axis: int = 0

    def line(self, path: str, shape: tuple[int, ...], axes: Axes) -> Line:
        """Return the slices along the axis, whatever the layer calls it."""
        del axes
        if not -len(shape) <= self.axis < len(shape):
            where = f"{path!r} of shape {shape}" if path else f"a weight of shape {shape}"
            raise SelectionError(f"{where} has no axis {self.axis}")
        axis = self.axis % len(shape)
        return Line(path, shape, axis, f"slices along axis {axis}")

    def to_data(self) -> dict[str, Any]:
        """Return JSON data; see `Selection.to_data`."""
        value, more = self.choice.to_data()
        return {"along": value, "axis": self.axis, **more}

    def __str__(self) -> str:
        return f"along({self.axis}, {self.choice})"

    __repr__ = __str__
