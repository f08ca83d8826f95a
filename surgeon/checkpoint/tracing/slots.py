"""What in the config of an output depends on the numbers in its source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.checkpoint.bytepath.plan import Array
from surgeon.checkpoint.bytepath.recipe import Recipe
from surgeon.checkpoint.tracing.solving import ComputesError, Run

Slot = tuple[str, Any]
_MARK = "\ue000surgeon slot "


def config_parts(
    configs: Sequence[Any], runs: Sequence[Run], arrays: Sequence[Array], recipes: Sequence[Recipe]
) -> tuple[str | Slot, ...]:
    """Return the text of the output's config, cut where something depends on the source.

    Args:
        configs: The parsed config of each run's output.
        runs: The runs.
        arrays: Arrays of the source.
        recipes: What trains.

    Raises:
        ComputesError: If something depends on the numbers in a way that is not known.
    """
    finder = _Finder(runs, arrays, recipes)
    template = finder.merge([_numbered(config) for config in configs], "", "")
    text = json.dumps(template)
    parts: list[str | Slot] = []
    for number, slot in enumerate(finder.slots):
        before, _, text = text.partition(json.dumps(f"{_MARK}{number}"))
        parts += [before, slot]
    return (*parts, text)


def same_config(one: Any, other: Any) -> bool:
    """Whether two configs say the same, whatever objects' addresses were."""
    return bool(_numbered(one) == _numbered(other))


class _Finder:
    def __init__(self, runs: Sequence[Run], arrays: Sequence[Array], recipes: Sequence[Recipe]) -> None:
        self._runs, self._recipes = runs, recipes
        self._scalars = [
            array for array in arrays if array.shape == () and np.dtype(array.dtype).kind in "fiu"
        ]
        self.slots: list[Slot] = []

    def merge(self, values: Sequence[Any], key: str, host: str) -> Any:
        """Return the value that all have in common, with marks where they differ."""
        first = values[0]
        if all(type(value) is type(first) for value in values):
            if isinstance(first, dict) and all(list(value) == list(first) for value in values):
                return self._merge_dict(values, host)
            if isinstance(first, list) and all(len(value) == len(first) for value in values):
                return [self.merge(items, key, host) for items in zip(*values, strict=True)]
        if key == "learning_rate" or any(value != first for value in values):
            slot = self._number(values) if isinstance(first, float) else None
            if slot is not None:
                return self._mark(slot)
        if all(value == first for value in values):
            return first
        raise ComputesError(f"{key!r} in the config depends on the numbers in the file")

    def _merge_dict(self, values: Sequence[Mapping[str, Any]], host: str) -> dict[str, Any]:
        merged = {}
        for key, first in values[0].items():
            inner = host
            if key == "weights" and isinstance(first, dict):
                merged[key] = {
                    path: self._part([value[key].get(path) for value in values], path, host) for path in first
                }
                continue
            layer = values[0].get("layer")
            if key == "partial" and isinstance(layer, dict):
                inner = str(layer.get("config", {}).get("name", ""))
            merged[key] = self.merge([value[key] for value in values], key, inner)
        return merged

    def _part(self, values: Sequence[Any], path: str, host: str) -> Any:
        first = values[0]
        if not isinstance(first, dict) or (
            all(value == first for value in values) and not self._moving(values, path)
        ):
            return self.merge(values, path, host)
        found = self._moving(values, path)
        named = [n for n in found if f"/{self._recipes[n].path}".endswith(f"/{host}/{path}")] or found
        if len(named) != 1:
            raise ComputesError(f"what trains of {host}/{path} depends on the numbers in an unknown way")
        return {**first, "bits": self._mark(("bits", named[0]))}

    def _moving(self, values: Sequence[Any], path: str) -> list[int]:
        return [
            number
            for number, recipe in enumerate(self._recipes)
            if recipe.needs_values
            and f"/{recipe.path}".endswith(f"/{path}")
            and all(
                run.parts[number].to_config() == value for run, value in zip(self._runs, values, strict=True)
            )
        ]

    def _number(self, values: Sequence[float]) -> Slot | None:
        for array in self._scalars:
            held = [
                np.frombuffer(run.source[array.offset : array.offset + array.size].tobytes(), array.dtype)[
                    0
                ].item()
                for run in self._runs
            ]
            if held == list(values):
                return ("scalar", array.path)
        if all(float(np.float32(run.rate)) == value for run, value in zip(self._runs, values, strict=True)):
            return ("rate", "")
        return None

    def _mark(self, slot: Slot) -> str:
        self.slots.append(slot)
        return f"{_MARK}{len(self.slots) - 1}"


def _numbered(config: Any, numbers: dict[int, int] | None = None) -> Any:
    """Return a config with shared objects numbered in order, instead of by their addresses."""
    numbers = {} if numbers is None else numbers
    if isinstance(config, dict):
        return {
            key: numbers.setdefault(value, len(numbers) + 1)
            if key == "shared_object_id"
            else _numbered(value, numbers)
            for key, value in config.items()
        }
    return [_numbered(value, numbers) for value in config] if isinstance(config, list) else config
