"""Selections: values that say which elements of one weight are meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from surgeon.errors import SelectionError
from surgeon.select.axes import Axes
from surgeon.select.choice import Choice, Line, Over
from surgeon.select.data_criteria import Criterion

if TYPE_CHECKING:
    from surgeon.partial.part import Part

Kind = Literal["channels", "rows", "elements", "along", "blocks", "n_of_m"]


@dataclass(frozen=True, repr=False)
class Selection:
    """Which elements of a weight are meant: slices of an axis, or single elements.

    How many they are is known from the weight's shape alone; which ones may depend on its values.
    Made by `channels`, `rows`, `along`, `elements`, `blocks` and `n_of_m`.

    Attributes:
        kind: The name of the function that made it.
        choice: Which of them.

    Example:
        >>> from surgeon.select import channels
        >>> kept = channels([0, 3])
        >>> print(kept, kept.size((5, 4), Axes(channel=1, row=0)))
        channels([0, 3]) 10
    """

    kind: Kind
    choice: Choice

    @property
    def needs_values(self) -> bool:
        """Whether the weight's values decide which elements are meant."""
        return self.choice.needs_values

    @property
    def is_chosen(self) -> bool:
        """Whether a criterion chooses, and not the user."""
        return getattr(self.choice, "by", None) is not None

    @property
    def criterion(self) -> Criterion | None:
        """The criterion that looks at data, or `None`."""
        by = getattr(self.choice, "by", None)
        return by if isinstance(by, Criterion) else None

    @property
    def over(self) -> Over:
        """What an amount is of: each weight, each layer, or the model."""
        return getattr(self.choice, "over", "weight")

    @property
    def looks_back(self) -> bool:
        """Whether it matters what trains now."""
        return getattr(self.choice, "keep", None) is not None

    def size(self, shape: Sequence[int], axes: Axes, path: str = "") -> int:
        """Return how many elements are meant.

        Args:
            shape: Shape of the weight.
            axes: The weight's channel and row axes.
            path: Path of the weight, for the message of an error.

        Raises:
            SelectionError: If the selection does not fit such a weight.
        """
        with self.named():
            line = self.line(path, tuple(shape), axes)
            count = self.choice.count(line)
        return count if line.axis is None else count * (math.prod(shape) // line.count)

    def resolve(
        self, path: str, shape: Sequence[int], axes: Axes, values: Callable[[], NDArray[Any]]
    ) -> Part:
        """Return the part of the weight that is meant.

        Args:
            path: Path of the weight; different weights get different random draws.
            shape: Shape of the weight.
            axes: The weight's channel and row axes.
            values: Returns the weight as an array of that shape; called only if needed.

        Raises:
            SelectionError: If the selection does not fit the weight, or the criterion cannot
                order its values.

        Example:
            >>> from surgeon.select import channels
            >>> weight = np.array([[1.0, 5.0, 2.0], [1.0, 0.0, 9.0]])
            >>> part = channels(1, by="magnitude").resolve("d/kernel", (2, 3), Axes(1, 0), lambda: weight)
            >>> part.to_mask().tolist()
            [[False, False, True], [False, False, True]]
        """
        # The package around `Part` needs Keras, which selections as such do not.
        from surgeon.partial.part import Part

        shape = tuple(shape)

        def checked() -> NDArray[Any]:
            array = np.asarray(values())
            if array.shape != shape:
                raise SelectionError(f"the values of {path!r} have the shape {array.shape}, not {shape}")
            return array

        with self.named():
            line = self.line(path, shape, axes)
            positions = self.choice.positions(line, checked)
        if line.axis is None:
            return Part.elements(shape, positions)
        return Part.slices(shape, line.axis, positions)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put this selection before the text of an error."""
        try:
            yield
        except SelectionError as error:
            raise SelectionError(f"{self}: {error}") from error

    def line(self, path: str, shape: tuple[int, ...], axes: Axes) -> Line:
        """Return what there is to choose from."""
        where = f"{path!r} of shape {shape}" if path else f"a weight of shape {shape}"
        if self.kind == "elements":
            return Line(path, shape, None, self.kind)
        axis = axes.channel if self.kind == "channels" else axes.row
        if axis is None or not shape:
            other = "channels" if shape else "elements"
            raise SelectionError(
                f"{where} has no {self.kind}: use {other}(...), or name the weight without a part"
            )
        if not -len(shape) <= axis < len(shape):
            raise SelectionError(f"{where} has no axis {axis}")
        return Line(path, shape, axis % len(shape), self.kind)

    def to_data(self) -> dict[str, Any]:
        """Return JSON data, in the words of rule files; `selection_from_data` reads it."""
        value, more = self.choice.to_data()
        return {self.kind: value, **more}

    def __str__(self) -> str:
        return f"{self.kind}({self.choice})"

    __repr__ = __str__
