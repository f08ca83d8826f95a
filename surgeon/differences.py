"""What differs between two models."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from surgeon import paths
from surgeon.graph import Weight
from surgeon.roundtrip import sites, to_graph


@dataclass(frozen=True)
class Retrained:
    """How far one weight has moved: how many of its elements, and by how much at most."""

    path: str
    moved: int
    size: int
    largest: float


@dataclass(frozen=True)
class Difference:
    """What differs between two models.

    Attributes:
        added: Layers that only the second model has.
        removed: Layers that only the first model has.
        changed: Layers of another class or with weights of another shape, with what is different.
        frozen: Weights of which less trains: path, trainable elements before and after.
        released: Weights of which more trains, likewise.
        retrained: Weights with other values.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    frozen: tuple[tuple[str, int, int], ...] = ()
    released: tuple[tuple[str, int, int], ...] = ()
    retrained: tuple[Retrained, ...] = ()

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def to_json(self) -> str:
        """Return the difference as JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        lines = [f"+ {path}" for path in self.added] + [f"- {path}" for path in self.removed]
        lines += [f"~ {path}: {what}" for path, what in self.changed]
        for word, moves in (("less", self.frozen), ("more", self.released)):
            lines += [
                f"  {path}: {before:,} → {after:,} train, {word} than before" for path, before, after in moves
            ]
        lines += [
            f"  {r.path}: {r.moved:,} of {r.size:,} moved, by up to {r.largest:.3g}" for r in self.retrained
        ]
        return "\n".join(lines) or "no difference"


def diff(before: Any, after: Any) -> Difference:
    """Return what differs between two models: layers, what trains, and values.

    Args:
        before: A built functional or Sequential model.
        after: Another one.

    Raises:
        NoGraphError: If one of them has no graph.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])
        >>> print(diff(model, model))
        no difference
    """
    olds, news = ({site.path: site for site in sites(to_graph(model))} for model in (before, after))
    changed: list[tuple[str, str]] = []
    frozen: list[tuple[str, int, int]] = []
    released: list[tuple[str, int, int]] = []
    for path in (path for path in olds if path in news):
        if olds[path].class_name != news[path].class_name:
            changed.append((path, f"{olds[path].class_name} → {news[path].class_name}"))
        old_rows, new_rows = (_own(site.weights) for site in (olds[path], news[path]))
        for name in (name for name in old_rows if name in new_rows):
            old, new = old_rows[name], new_rows[name]
            where = paths.join(path, name)
            if old.shape != new.shape:
                changed.append((where, f"shape {old.shape} → {new.shape}"))
            elif old.trainable != new.trainable:
                moves = frozen if new.trainable < old.trainable else released
                moves.append((where, old.trainable, new.trainable))
    return Difference(
        added=tuple(path for path in news if path not in olds),
        removed=tuple(path for path in olds if path not in news),
        changed=tuple(changed),
        frozen=tuple(frozen),
        released=tuple(released),
        retrained=tuple(_retrained(before, after)),
    )


def _own(weights: tuple[Weight, ...]) -> dict[str, Weight]:
    return {weight.path: weight for weight in weights if "/" not in weight.path}


def _retrained(before: Any, after: Any) -> list[Retrained]:
    olds, news = (
        {paths.join(path, name): variable for path, name, _, variable in paths.weights(model)}
        for model in (before, after)
    )
    found = []
    for path in (path for path in olds if path in news):
        old, new = (np.asarray(keras.ops.convert_to_numpy(v[path].value)) for v in (olds, news))
        if old.shape == new.shape and (moved := int((old != new).sum())):
            largest = float(np.abs(old.astype("float64") - new.astype("float64")).max())
            found.append(Retrained(path, moved, old.size, largest))
    return found
