"""What was frozen in layers that were made anew as they were, but for a setting or for fewer channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from surgeon import paths
from surgeon.graph import Change, ModelGraph, paths_beside
from surgeon.partial import Part, PartialVariable
from surgeon.planning.asks import weight_sites
from surgeon.planning.templates import Template

ANEW = ("duplicated", "inserted", "refitted", "removed", "replaced", "shared", "wrapped")
"""Edits after which another layer, or none, is at a path."""


@dataclass(frozen=True)
class Kept:
    """What is frozen in such layers.

    Attributes:
        parts: What trains of a weight, by its path after all edits.
        still: Paths of those layers whose state holds still.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    still: frozenset[str] = frozenset()


@dataclass
class _Way:
    """From a layer of the source to the one that was made of it."""

    start: str
    now: str
    takes: list[Mapping[str, Any]] = field(default_factory=list)


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
    quiet = set()
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
    return Kept(parts, frozenset(quiet))


def _ways(journal: Sequence[Change], templates: Sequence[Template]) -> list[_Way]:
    ways: list[_Way] = []
    moves: list[tuple[str, str]] = []
    fresh: set[str] = set()
    for change in journal:
        moved = where_to(change)
        if moved is not None:
            moves.append((change.path, moved))
            fresh = {_moved(path, change.path, moved) for path in fresh}
            for way in ways:
                way.now = _moved(way.now, change.path, moved)
        elif change.kind in ANEW:
            ways = [way for way in ways if not covers(change.path, way.now)]
            fresh.add(change.path)
        elif change.kind in ("configured", "pruned") and not any(covers(one, change.path) for one in fresh):
            found = next((way for way in ways if way.now == change.path), None)
            way = found or _Way(_start(change.path, moves), change.path)
            ways += [] if found else [way]
            if change.kind == "pruned":
                way.takes.append(templates[change.slots[0]].details["takes"])
    return ways


def where_to(change: Change) -> str | None:
    """Return the path to which an edit moved all that was at its own; `None` if it moved nothing.

    Example:
        >>> where_to(Change("renamed", "encoder/a", arguments={"name": "b"}))
        'encoder/b'
    """
    if change.kind == "inlined":
        return change.path.rpartition("/")[0]
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
