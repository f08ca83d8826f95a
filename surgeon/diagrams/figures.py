"""How many elements are frozen, trainable, or state, and how to say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from surgeon.diagrams.theme import WORDS, State
from surgeon.graph import Weight


@dataclass(frozen=True)
class Figures:
    """Counts of elements.

    Attributes:
        frozen: Parameters that do not train.
        trainable: Parameters that train.
        state: Elements that never train by design (moving statistics, tables).
        still: How many of these hold still, because their layer was frozen.

    Example:
        >>> Figures(frozen=30, trainable=10).share
        '75% frozen'
    """

    frozen: int = 0
    trainable: int = 0
    state: int = 0
    still: int = 0

    @classmethod
    def of(cls, weights: Iterable[Weight]) -> Figures:
        """Add up the elements of some weights."""
        frozen = trainable = state = still = 0  # plain numbers: a large model has thousands of weights
        for weight in weights:
            if weight.role == "state":
                state += weight.size
                still += weight.size if weight.still else 0
            else:
                trainable += weight.trainable
                frozen += weight.size - weight.trainable
        return cls(frozen, trainable, state, still)

    @classmethod
    def of_one(cls, weight: Weight) -> Figures:
        """Return the counts of one weight."""
        return cls.of((weight,))

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.frozen + other.frozen,
            self.trainable + other.trainable,
            self.state + other.state,
            self.still + other.still,
        )

    @property
    def parameters(self) -> int:
        """What an optimizer could train: frozen and trainable together."""
        return self.frozen + self.trainable

    @property
    def total(self) -> int:
        """All elements, state included."""
        return self.parameters + self.state

    @property
    def freeze(self) -> State:
        """Which state this is; `"none"` where there is no element at all."""
        if self.parameters == 0:
            if not self.state:
                return "none"
            return "still" if self.still == self.state else "state"
        if self.trainable == 0:
            return "frozen"
        return "partial" if self.frozen else "trainable"

    @property
    def share(self) -> str:
        """The state in words, with the frozen share where only a part is frozen."""
        if self.freeze == "partial":
            return f"{percent(self.frozen, self.parameters)} frozen"
        return WORDS[self.freeze]

    @property
    def amount(self) -> str:
        """How much it is: `"2.35K params + 32 state"`, `"2.35K params + 32 state (16 still)"`."""
        parts = []
        if self.parameters or not self.state:
            parts.append(f"{human(self.parameters)} params")
        if self.state:
            all_still = self.still == self.state
            still = " (still)" if all_still else f" ({human(self.still)} still)"
            parts.append(f"{human(self.state)} state{still if self.still else ''}")
        return " + ".join(parts)

    @property
    def summary(self) -> str:
        """The line under a model's name: `"426K of 488K params trainable"`."""
        if not self.parameters:
            return "no parameters"
        return f"{human(self.trainable)} of {human(self.parameters)} params trainable"


def human(count: int) -> str:
    """Return a count with three significant digits: `1234567` is `"1.23M"`."""
    for unit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        # 999 500 is nearer to 1M than to any three digits of K.
        if count >= unit - unit // 2000:
            value = count / unit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            text = f"{value:.{digits}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + letter
    return str(count)


def percent(part: int, whole: int) -> str:
    """Return a share that is never rounded to nothing or to everything; a half is rounded up.

    Example:
        >>> percent(1, 1000), percent(1, 3), percent(1, 8), percent(999, 1000)
        ('<1%', '33%', '13%', '>99%')
    """
    if whole and 0 < 100 * part < whole:
        return "<1%"
    if whole and 99 * whole < 100 * part < 100 * whole:
        return ">99%"
    # In whole numbers: `round` takes a half to the even neighbour, 12.5 to 12.
    return f"{(200 * part + whole) // (2 * whole) if whole else 0}%"


def plural(count: int, noun: str) -> str:
    """Return `"1 layer"`, `"2 layers"`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
