"""Which elements of a weight train, worked out from the weight's bytes: no Keras, no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.partial.part import Part
from surgeon.select import Axes, Selection, selection_from_data


@dataclass(frozen=True)
class Recipe:
    """What rules ask of one weight, in order, and where its values lie.

    Attributes:
        path: Path of the weight.
        axes: Where its channels and rows lie.
        start: What trains of it before any rule.
        asks: `(verb, selection)`; `None` for all of it.
        source: Path of the array with its values; `None` if no rule looks at them.
    """

    path: str
    axes: Axes
    start: Part
    asks: tuple[tuple[str, Selection | None], ...]
    source: str | None = None

    @property
    def needs_values(self) -> bool:
        """Whether the part depends on the values."""
        return any(selection is not None and selection.needs_values for _, selection in self.asks)

    def part(self, values: Callable[[], np.ndarray[Any, Any]]) -> Part:
        """Return what trains once every ask was obeyed, as `surgeon.planning.asks` would.

        Raises:
            SelectionError: If a selection does not fit, or a criterion cannot order the values.
        """
        part = self.start
        for verb, selection in self.asks:
            if selection is None:
                part = Part.none(part.shape) if verb == "freeze" else Part.all(part.shape)
                continue
            chosen = selection.resolve(self.path, part.shape, self.axes, values)
            part = part - chosen if verb == "freeze" else chosen
        return part

    def to_data(self) -> dict[str, Any]:
        """Return JSON data."""
        return {
            "path": self.path,
            "axes": [self.axes.channel, self.axes.row],
            "start": self.start.to_config(),
            "asks": [[verb, selection and selection.to_data()] for verb, selection in self.asks],
            "source": self.source,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Recipe:
        """Inverse of `to_data`.

        Raises:
            RuleError: If a selection or part is damaged.
        """
        asks = tuple(
            (verb, None if selection is None else selection_from_data(selection))
            for verb, selection in data["asks"]
        )
        return cls(data["path"], Axes(*data["axes"]), Part.from_config(data["start"]), asks, data["source"])
