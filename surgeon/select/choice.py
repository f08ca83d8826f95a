"""The ways to say which positions along an axis, or among the elements, are meant."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from surgeon.errors import SelectionError
from surgeon.select.criteria import RANDOM, Positions, Scores, largest, scores_of
from surgeon.select.data_criteria import Criterion
from surgeon.select.packing import pack_mask

Over = Literal["weight", "layer", "model"]
"""What a budget is of."""

_SHOWN = 8


@dataclass(frozen=True)
class Line:
    """What a choice is made from: the positions along one axis, or all elements.

    Attributes:
        path: Path of the weight.
        shape: Shape of the weight.
        axis: The axis that is counted along; `None` counts elements in C order.
        what: What one position is called: `"channels"`.
    """

    path: str
    shape: tuple[int, ...]
    axis: int | None
    what: str

    @property
    def count(self) -> int:
        """How many positions there are."""
        return math.prod(self.shape) if self.axis is None else self.shape[self.axis]

    def __str__(self) -> str:
        where = f"{self.path!r} of shape {self.shape}" if self.path else f"a weight of shape {self.shape}"
        return f"{where}, which has {self.count} {self.what}"


class Choice(ABC):
    """Some of the positions of a line."""

    @abstractmethod
    def count(self, line: Line) -> int:
        """Return how many are meant; needs no values.

        Raises:
            SelectionError: If the choice does not fit, or means none.
        """

    @abstractmethod
    def positions(self, line: Line, values: Callable[[], NDArray[Any]]) -> Positions:
        """Return the sorted positions that are meant.

        Raises:
            SelectionError: If the choice does not fit.
        """

    @abstractmethod
    def to_data(self) -> tuple[Any, dict[str, Any]]:
        """Return JSON data: what is meant, and further keys."""

    @property
    def needs_values(self) -> bool:
        """Whether the weight's values decide."""
        return False


@dataclass(frozen=True)
class Amount(Choice):
    """So many, or such a fraction, chosen by a criterion.

    `is_fraction` is what 1 and 1.0 differ in, which Python calls equal: one channel, or all of them.

    Attributes:
        amount: The count or the fraction.
        by: `"magnitude"`, `"random"`, or a criterion that needs data.
        seed: Seed of `"random"`.
        is_fraction: Whether the amount is a fraction.
        over: What the amount is of: each `"weight"`, each `"layer"`, or the `"model"`.
        keep: The fraction of what trains in part already that is chosen again, whatever the criterion says.
    """

    amount: float
    by: str | Criterion
    seed: int = 0
    is_fraction: bool = True
    over: Over = "weight"
    keep: float | None = None

    def count(self, line: Line) -> int:
        """Return the count; a fraction is rounded half up, and is at least 1."""
        return self.count_of(line.count, str(line), line.what)

    def count_of(self, total: int, where: str, what: str) -> int:
        """Return how many of so many positions are meant.

        Raises:
            SelectionError: If there are not so many; `where` and `what` name them.
        """
        wanted = self.amount
        if self.is_fraction:
            # 0.07 * 50 is 3.5000000000000004, and 0.29 * 50 is 14.499999999999998.
            wanted = max(1, math.floor(round(wanted * total, 9) + 0.5))
        if wanted > total:
            raise SelectionError(f"{wanted} {what} are too many for {where}")
        return int(wanted)

    def positions(self, line: Line, values: Callable[[], NDArray[Any]]) -> Positions:
        """Choose; the weight is read only where its values matter."""
        count = self.count(line)
        if count == line.count:
            return np.arange(count)
        return largest(self.scores(line, values), count)

    def scores(self, line: Line, values: Callable[[], NDArray[Any]]) -> Scores:
        """Return what the criterion gives each position."""
        return scores_of(self.criterion, self.seed, line.path, line.count, line.axis, values)

    @property
    def criterion(self) -> str:
        """Name of the criterion."""
        return self.by.name if isinstance(self.by, Criterion) else self.by

    def to_data(self) -> tuple[Any, dict[str, Any]]:
        """Return the amount, with criterion, seed and the rest that was said."""
        by = self.by.to_data() if isinstance(self.by, Criterion) else {"by": self.by}
        seed = {"seed": self.seed} if self.by == RANDOM else {}
        return self.amount, {**by, **seed, **self._more()}

    def _more(self) -> dict[str, Any]:
        more = {"over": self.over, "keep": self.keep}
        return {key: value for key, value in more.items() if value not in ("weight", None)}

    @property
    def needs_values(self) -> bool:
        """Whether the weight's values decide: not where everything is chosen anyway."""
        return (self.by != RANDOM or self.keep is not None) and not (self.is_fraction and self.amount == 1)

    def __str__(self) -> str:
        seed = f", seed={self.seed}" if self.by == RANDOM else ""
        return f"{self.amount}, by={self.by!r}{seed}" + "".join(
            f", {k}={v!r}" for k, v in self._more().items()
        )


@dataclass(frozen=True, eq=False)
class Listed(Choice):
    """These positions; negative ones count from the end."""

    index: Positions

    def count(self, line: Line) -> int:
        """Return how many different positions there are."""
        return len(self._fitting(line))

    def positions(self, line: Line, values: Callable[[], NDArray[Any]]) -> Positions:
        """Return the positions, from the start, without repeats."""
        del values
        return self._fitting(line)

    def _fitting(self, line: Line) -> Positions:
        outside = self.index[(self.index < -line.count) | (self.index >= line.count)]
        if outside.size:
            raise SelectionError(f"{outside[0]} is outside {line}")
        return np.unique(np.where(self.index < 0, self.index + line.count, self.index))

    def to_data(self) -> tuple[Any, dict[str, Any]]:
        """Return the list."""
        return self.index.tolist(), {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listed) and np.array_equal(self.index, other.index)

    def __hash__(self) -> int:
        return hash(self.index.tobytes())

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.index[:_SHOWN].tolist()))
        return f"[{shown}, …] ({len(self.index)} in all)" if len(self.index) > _SHOWN else f"[{shown}]"


@dataclass(frozen=True)
class Sliced(Choice):
    """The positions of a Python slice, which is cut off at the end as always in Python."""

    start: int | None
    stop: int | None
    step: int | None

    def count(self, line: Line) -> int:
        """Return the length of the slice."""
        return len(self.positions(line, np.empty))

    def positions(self, line: Line, values: Callable[..., NDArray[Any]]) -> Positions:
        """Return the positions, sorted."""
        del values
        found = np.arange(line.count)[slice(self.start, self.stop, self.step)]
        if not found.size:
            raise SelectionError(f"{self} holds none of {line}")
        return np.sort(found)

    def to_data(self) -> tuple[Any, dict[str, Any]]:
        """Return `{"from": ..., "to": ..., "step": ...}`, without what is not set."""
        parts = {"from": self.start, "to": self.stop, "step": self.step}
        return {key: value for key, value in parts.items() if value is not None} or {"from": 0}, {}

    def __str__(self) -> str:
        parts = (self.start, self.stop) if self.step is None else (self.start, self.stop, self.step)
        return f"slice({', '.join(map(str, parts))})"


@dataclass(frozen=True, eq=False)
class Masked(Choice):
    """The positions where a boolean mask is true."""

    mask: NDArray[np.bool_]

    def count(self, line: Line) -> int:
        """Return how many are true."""
        return len(self.positions(line, np.empty))

    def positions(self, line: Line, values: Callable[..., NDArray[Any]]) -> Positions:
        """Return where it is true."""
        del values
        expected = line.shape if line.axis is None else (line.count,)
        if self.mask.shape != expected:
            raise SelectionError(
                f"a mask of shape {self.mask.shape} does not fit {line}: it must be {expected}"
            )
        return np.flatnonzero(self.mask)

    def to_data(self) -> tuple[Any, dict[str, Any]]:
        """Return `{"shape": ..., "bits": ...}`."""
        return pack_mask(self.mask), {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masked) and np.array_equal(self.mask, other.mask)

    def __hash__(self) -> int:
        return hash((self.mask.shape, self.mask.tobytes()))

    def __str__(self) -> str:
        if self.mask.size <= _SHOWN:
            return str(self.mask.tolist())
        return f"<mask of shape {self.mask.shape}, {np.count_nonzero(self.mask)} true>"
