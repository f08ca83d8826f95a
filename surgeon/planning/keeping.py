"""What was frozen in layers that were made anew as they were, but for a setting or for fewer channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from surgeon import paths
from surgeon.graph import Change, ModelGraph, paths_beside
from surgeon.partial import Part, PartialVariable
from surgeon.planning.asks import other_path, weight_sites
from surgeon.planning.templates import Template

ANEW = ("duplicated", "inserted", "removed", "replaced", "shared")
"""Edits after which another layer, or none, is at a path."""


@dataclass(frozen=True)
class Kept:
    """What is frozen in such layers.

    Attributes:
        parts: What trains of a weight, by its path after all edits.
        still: Paths of those layers whose state holds still.
        adapted: Weights that have another shape now, and values that were computed from those that they had.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    still: frozenset[str] = frozenset()
    adapted: frozenset[str] = frozenset()

    def of(self, graph: ModelGraph) -> dict[str, Part]:
        """Return what trains of each weight of the graph after all edits, by the path that it has there."""
        weights = weight_sites(graph)
        found: dict[str, Part] = {}
        for path, part in self.parts.items():
            known = path if path in weights else other_path(path, graph)
            if known is not None:
                fitting = _fitting(part, weights[known].weight.shape, adapted=path in self.adapted)
                found |= {} if fitting is None else {known: fitting}
        return found


def _fitting(part: Part, shape: tuple[int, ...], *, adapted: bool) -> Part | None:
    """Return what trains of a weight whose shape is another one now; `None` if its values are new."""
    if part.shape == shape:
        return part
    if not adapted:
        return None
    if part.axis is not None and part.shape[part.axis] == shape[part.axis]:
        return Part.slices(shape, part.axis, part.index)
    return Part.none(shape) if part.is_none else None


@dataclass
class _Way:
    """From a layer of the source to the one that was made of it."""

    start: str
    now: str
    takes: list[Mapping[str, Any]] = field(default_factory=list)
    adapted: bool = False


def keep(
    journal: Sequence[Change], templates: Sequence[Template], graph: ModelGraph, still: frozenset[str]
) -> Kept:
    """Return what was frozen in the layers that edits have made anew as they were.

    Args:
        journal: The edits.
        templates: The new layers, by slot.
        graph: The graph before them.
        still: Paths in it of the layers whose state holds still.
    """
    ways = _ways(journal, templates)
    if not ways:
        return Kept()
    parts: dict[str, Part] = {}
    quiet, adapted = set(), set()
    for way in ways:
        for path, site in weight_sites(graph).items():
            if not path.startswith(way.start + "/"):
                continue
            held = site.layer in still
            if held:
                quiet.add(paths.join(way.now, site.layer[len(way.start) + 1 :]))
            if isinstance(site.variable, PartialVariable) or (held and site.weight.role == "state"):
                own = path[len(way.start) + 1 :]
                part = site.current
                for takes in way.takes:
                    part = part.at(takes.get(own, ()))
                parts[paths.join(way.now, own)] = part
                adapted |= {paths.join(way.now, own)} if way.adapted else set()
    return Kept(parts, frozenset(quiet), frozenset(adapted))


def _ways(journal: Sequence[Change], templates: Sequence[Template]) -> list[_Way]:
    ways: list[_Way] = []
    moves: list[tuple[str, str]] = []
    fresh: set[str] = set()
    for change in journal:
        moved = where_to(change, templates)
        if change.kind == "wrapped" and not _among(fresh, change.path):
            ways += [] if _at(ways, change.path) else [_Way(_start(change.path, moves), change.path)]
        if moved is not None:
            moves.append((change.path, moved))
            fresh = {_moved(path, change.path, moved) for path in fresh}
            for way in ways:
                way.now = _moved(way.now, change.path, moved)
        elif change.kind in ANEW:
            ways = [way for way in ways if not covers(change.path, way.now)]
            fresh.add(change.path)
        elif change.kind in ("configured", "pruned", "refitted") and not _among(fresh, change.path):
            found = _at(ways, change.path)
            way = found or _Way(_start(change.path, moves), change.path)
            ways += [] if found else [way]
            template = templates[change.slots[0]]
            way.takes += [template.details["takes"]] if change.kind == "pruned" else []
            way.adapted = way.adapted or template.how == "adapt_inputs"
    return ways


def _at(ways: Sequence[_Way], path: str) -> _Way | None:
    return next((way for way in ways if way.now == path), None)


def _among(paths_: set[str], path: str) -> bool:
    return any(covers(one, path) for one in paths_)


def where_to(change: Change, templates: Sequence[Template]) -> str | None:
    """Return the path to which an edit moved all that was at its own; `None` if it moved nothing.

    Example:
        >>> where_to(Change("renamed", "encoder/a", arguments={"name": "b"}), [])
        'encoder/b'
    """
    if change.kind == "inlined":
        return change.path.rpartition("/")[0]
    if change.kind == "wrapped":
        template = templates[change.slots[0]]
        return paths.join(paths_beside(change.path, template.layer.name), template.details["at"])
    return paths_beside(change.path, change.arguments["name"]) if change.kind == "renamed" else None


def covers(outer: str, path: str) -> bool:
    """Whether a path is another one, or leads into it."""
    return path == outer or path.startswith(outer + "/")


def _moved(path: str, old: str, new: str) -> str:
    return paths.join(new, path[len(old) + 1 :]) if covers(old, path) else path


def _start(path: str, moves: Sequence[tuple[str, str]]) -> str:
    """Return where a layer was before it was moved."""
    for old, new in reversed(moves):
        if covers(new, path) and new:
            path = _moved(path, new, old)
    return path
