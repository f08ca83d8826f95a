"""What is partial in a layer or a model, as data that a config can carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from surgeon import paths
from surgeon.partial.part import Part


@dataclass(frozen=True)
class Spec:
    """Which weights are frozen, wholly or in part; which layers hold still, and which split their product.

    Attributes:
        weights: The part that trains, by the weight's path from where the spec lives, or one of
            the words `"all"` and `"none"`. Weights that are not named train as their layer says.
        still: Paths of the layers that are frozen *as a whole*: what training updates besides
            the weights (moving statistics) does not move either.
        split: Paths of the layers that compute with their frozen and their trainable part one by one.
        layers: Paths of all layers inside, in order: automatic names (`dense_17`) count from elsewhere when
            the layers are made anew.
    """

    weights: Mapping[str, Part | str] = field(default_factory=dict)
    still: frozenset[str] = frozenset()
    split: frozenset[str] = frozenset()
    layers: tuple[str, ...] = field(default=(), compare=False)

    def __bool__(self) -> bool:
        return bool(self.weights or self.still or self.split)

    @property
    def named(self) -> frozenset[str]:
        """Paths of all layers that it says something of."""
        return frozenset(path.rpartition("/")[0] for path in self.weights) | self.still | self.split

    def under(self, layers: Iterable[str]) -> Spec:
        """Return it for a layer or model that was made anew, whose automatic names may count from elsewhere.

        Args:
            layers: Paths of all layers inside of that, in order.
        """
        now = tuple(layers)
        if now == self.layers or [*map(paths.uncounted, now)] != [*map(paths.uncounted, self.layers)]:
            return self
        new = {"": "", **dict(zip(self.layers, now, strict=True))}
        if any(path not in new for path in self.named):
            return self

        def moved(weight: str) -> str:
            layer, _, name = weight.rpartition("/")
            return f"{new[layer]}/{name}".lstrip("/")

        weights = {moved(path): part for path, part in self.weights.items()}
        still, split = (frozenset(new[path] for path in paths) for paths in (self.still, self.split))
        return Spec(weights, still, split, now)

    def to_config(self) -> dict[str, Any]:
        """Return JSON data."""
        weights = {p: part if isinstance(part, str) else part.to_config() for p, part in self.weights.items()}
        config: dict[str, Any] = {"weights": weights, "still": sorted(self.still)}
        # Not where there is none, so that older versions read what they understand.
        if self.split:
            config["split"] = sorted(self.split)
        if self.layers:
            config["layers"] = list(self.layers)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Spec:
        """Inverse of `to_config`.

        Raises:
            SelectionError: If a part's description is damaged.
        """
        given = config.get("weights", {}).items()
        weights = {path: part if isinstance(part, str) else Part.from_config(part) for path, part in given}
        still, split = (frozenset(config.get(key, ())) for key in ("still", "split"))
        return cls(weights, still, split, tuple(config.get("layers", ())))
