"""What is partial in a layer or a model, as data that a config can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from surgeon.partial.part import Part


@dataclass(frozen=True)
class Spec:
    """Which weights are frozen, wholly or in part, and which layers hold still.

    Attributes:
        weights: The part that trains, by the weight's path from where the spec lives, or one of
            the words `"all"` and `"none"`. Weights that are not named train as their layer says.
        still: Paths of the layers that are frozen *as a whole*: what training updates besides
            the weights (moving statistics) does not move either.
    """

    weights: Mapping[str, Part | str] = field(default_factory=dict)
    still: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.weights or self.still)

    def within(self, prefix: str) -> Spec:
        """Return what lies inside of the layer at `prefix`, with paths counted from there."""
        if not prefix:
            return self
        lead = prefix + "/"
        weights = {path[len(lead) :]: part for path, part in self.weights.items() if path.startswith(lead)}
        still = {path[len(lead) :] for path in self.still if path.startswith(lead)}
        return Spec(weights, frozenset(still | ({""} if prefix in self.still else set())))

    def to_config(self) -> dict[str, Any]:
        """Return JSON data."""
        weights = {p: part if isinstance(part, str) else part.to_config() for p, part in self.weights.items()}
        return {"weights": weights, "still": sorted(self.still)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Spec:
        """Inverse of `to_config`.

        Raises:
            SelectionError: If a part's description is damaged.
        """
        given = config.get("weights", {}).items()
        weights = {path: part if isinstance(part, str) else Part.from_config(part) for path, part in given}
        return cls(weights, frozenset(config.get("still", ())))
