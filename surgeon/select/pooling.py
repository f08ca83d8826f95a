"""One budget for several weights, and what trains already taken into account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from surgeon.errors import SelectionError
from surgeon.select.axes import Axes
from surgeon.select.choice import Amount, Line
from surgeon.select.criteria import Positions, largest, magnitudes
from surgeon.select.selection import Selection

if TYPE_CHECKING:
    from surgeon.partial.part import Part


@dataclass(frozen=True)
class Candidate:
    """One of the weights that share a budget.

    Attributes:
        path: Its path.
        shape: Its shape.
        axes: Its channel and row axes.
        current: What of it trains now.
        values: Returns what the criterion ranks by: the weight, or a score of each element.
        moved: Returns how far each element is from where it was when its selection last changed.
    """

    path: str
    shape: tuple[int, ...]
    axes: Axes
    current: Part
    values: Callable[[], NDArray[Any]]
    moved: Callable[[], NDArray[Any]]


def resolve_together(selection: Selection, candidates: Sequence[Candidate]) -> dict[str, Part]:
    """Return the part of each weight that is meant, all of them ranked together.

    Args:
        selection: An amount, by a criterion.
        candidates: The weights that share it.

    Raises:
        SelectionError: If the selection does not fit one of them, or the criterion cannot order its values.
    """
    from surgeon.partial.part import Part

    choice = selection.choice
    if not isinstance(choice, Amount):
        raise SelectionError(f"{selection} says which, so there is nothing to share between weights")
    with selection.named():
        lines = [selection.line(one.path, one.shape, one.axes) for one in candidates]
        where = str(lines[0]) if len(lines) == 1 else f"{len(lines)} weights"
        total = sum(line.count for line in lines)
        count = choice.count_of(total, where, selection.kind)
        kept = _kept(choice, lines, candidates, count)
        rest = np.setdiff1d(np.arange(total), kept, assume_unique=True)
        if 0 < count - len(kept) < len(rest):
            pairs = zip(lines, candidates, strict=True)
            scores = np.concatenate([choice.scores(line, one.values) for line, one in pairs])
            rest = rest[largest(scores[rest], count - len(kept))]
        chosen = np.sort(np.concatenate([kept, rest[: count - len(kept)]]))
    ends = np.cumsum([line.count for line in lines])
    parts = {}
    for line, one, end in zip(lines, candidates, ends, strict=True):
        index = chosen[(chosen >= end - line.count) & (chosen < end)] - (end - line.count)
        whole = line.axis is None
        part = Part.elements(one.shape, index) if whole else Part.slices(one.shape, line.axis or 0, index)
        parts[one.path] = part
    return parts


def _kept(choice: Amount, lines: Sequence[Line], candidates: Sequence[Candidate], count: int) -> Positions:
    """Return which of the positions that train in part now go on training: those that moved most."""
    if choice.keep is None:
        return np.arange(0)
    offset, now = 0, []
    for line, one in zip(lines, candidates, strict=True):
        now.append(_positions_of(one.current, line.axis) + offset)
        offset += line.count
    positions = np.concatenate(now)
    wanted = min(int(np.floor(round(choice.keep * len(positions), 9) + 0.5)), count)
    if wanted in (0, len(positions)):
        return positions[:wanted]
    pairs = zip(lines, candidates, strict=True)
    moved = np.concatenate([magnitudes(one.moved(), line.axis, one.path) for line, one in pairs])
    return positions[largest(moved[positions], wanted)]


def _positions_of(part: Part, axis: int | None) -> Positions:
    """Return the positions along an axis at which everything trains; none if the weight trains as a whole."""
    if part.is_all or part.is_none:
        return np.arange(0)
    if part.axis is not None and part.axis == axis:
        return part.index
    mask = part.to_mask()
    if axis is None:
        return np.flatnonzero(mask)
    return np.flatnonzero(mask.all(axis=tuple(other for other in range(mask.ndim) if other != axis)))
