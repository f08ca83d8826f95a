"""What was frozen in layers that were made anew as they were, but for a setting or for fewer channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from surgeon import paths
from surgeon.graph import Change, ModelGraph, paths_beside
from surgeon.partial import Part, PartialVariable
from surgeon.planning.asks import WeightSite, other_path, weight_sites
from surgeon.planning.templates import Template
from surgeon.roundtrip import sites

ANEW = ("duplicated", "inserted", "removed", "replaced", "shared")
"""Edits after which another layer, or none, is at a path."""

AS_IT_WAS = ("configured", "pruned", "refitted", "wrapped")
"""Edits after which a layer is there that was made anew out of the one before."""


@dataclass(frozen=True)
class Kept:
    """What is frozen in such layers.

    Attributes:
        parts: What trains of a weight, by its path after all edits.
        still: Paths of those layers whose state holds still.
        adapted: Weights that have another shape now, and values that were computed from those that they had.
        new: Weights with new values, which nothing holds that was there before.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    still: frozenset[str] = frozenset()
    adapted: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()

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
    """From a layer of the source to the one that was made of it; `new` are its weights with new values."""

    start: str
    now: str
    takes: list[Mapping[str, Any]] = field(default_factory=list)
    adapted: bool = False
    new: frozenset[str] = frozenset()


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
    held = [(path, site) for path, site in weight_sites(graph).items() if _is_held(site, still)]
    has_new = any("new" in template.details for template in templates)
    known = {site.path: site.op for site in sites(graph)} if held or has_new else {}
    ways = _ways(journal, templates, set(known)) if known else []
    parts: dict[str, Part] = {}
    quiet, adapted = set(), set()
    by_start: dict[str, list[_Way]] = {}
    for way in ways:
        by_start.setdefault(way.start, []).append(way)
    for path, site in held:
        for way in next((by_start[outer] for outer in _outwards(site.layer) if outer in by_start), ()):
            own = path[len(way.start) + 1 :]
            if own in way.new:
                continue
            # The flag of a layer with new values is gone: it would hold these, too.
            if not way.new and _is_flagged(site) and _says_so(known[way.start], site, way.start):
                continue
            if site.layer in still:
                quiet.add(paths.join(way.now, site.layer[len(way.start) + 1 :]))
            now = paths.join(way.now, own)
            parts[now] = site.current
            for takes in way.takes:
                parts[now] = parts[now].at(takes.get(own, ()))
            if way.adapted:
                adapted.add(now)
    new = [paths.join(way.now, name) for way in ways for name in way.new]
    return Kept(parts, frozenset(quiet), frozenset(adapted), frozenset(new))


def _is_held(site: WeightSite, still: frozenset[str]) -> bool:
    is_state = site.layer in still and site.weight.role == "state"
    return is_state or isinstance(site.variable, PartialVariable) or _is_flagged(site)


def _is_flagged(site: WeightSite) -> bool:
    """Whether a stock weight is frozen by a flag, its own or that of a layer inside of another."""
    is_stock = site.weight.role == "parameter" and not isinstance(site.variable, PartialVariable)
    return is_stock and not site.variable.trainable


def _says_so(layer: Any, site: WeightSite, start: str) -> bool:
    """Whether the config of a layer that is made anew says that a weight does not train."""
    return not layer.trainable or (site.layer == start and getattr(layer, "lora_enabled", False))


def _outwards(layer: str) -> Iterator[str]:
    """Yield the path of a layer, and of all that it is inside of, the nearest first."""
    while layer:
        yield layer
        layer = layer.rpartition("/")[0]


def _ways(journal: Sequence[Change], templates: Sequence[Template], known: set[str]) -> list[_Way]:
    """Return the layers that edits made anew as they were.

    Args:
        journal: The edits.
        templates: The new layers, by slot.
        known: Paths of the layers that there were before them.
    """
    ways: list[_Way] = []
    moves: list[tuple[str, str]] = []
    fresh: set[str] = set()
    for change in journal:
        moved = where_to(change, templates)
        if change.kind in (*AS_IT_WAS, "unshared") and not any(covers(one, change.path) for one in fresh):
            way = next((one for one in ways if one.now == change.path), None)
            start = _start(change.path, moves, known) if way is None else None
            if start is not None:
                ways.append(way := _Way(start, change.path))
            if way is not None and change.kind == "unshared":
                ways += [replace(way, now=one, takes=[*way.takes]) for one in apart(change, templates)]
            elif way is not None:
                template = templates[change.slots[0]]
                way.takes += [template.details["takes"]] if change.kind == "pruned" else []
                way.adapted = way.adapted or template.how == "adapt_inputs"
                way.new |= set(template.details.get("new", ()))
        if moved is not None:
            moves.append((change.path, moved))
            fresh = {_moved(path, change.path, moved) for path in fresh}
            for one in ways:
                one.now = _moved(one.now, change.path, moved)
        elif change.kind in ANEW:
            ways = [one for one in ways if not covers(change.path, one.now)]
            fresh.add(change.path)
    return ways


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


def apart(change: Change, templates: Sequence[Template]) -> list[str]:
    """Return the paths of the layers that an edit gave to further calls of one that was shared."""
    return [paths_beside(change.path, templates[slot].layer.name) for slot in change.slots]


def covers(outer: str, path: str) -> bool:
    """Whether a path is another one, or leads into it."""
    return path == outer or path.startswith(outer + "/")


def _moved(path: str, old: str, new: str) -> str:
    return paths.join(new, path[len(old) + 1 :]) if covers(old, path) else path


def _start(path: str, moves: Sequence[tuple[str, str]], known: set[str]) -> str | None:
    """Return where a layer was before it was moved; `None` if it was not there."""
    candidates = [path]
    for number in reversed(range(len(moves))):
        old, new = moves[number]
        stayed = [one for one in candidates if not covers(old, one) and not (new and covers(new, one))]
        back = [paths.join(old, one[len(new) + 1 :]) for one in candidates if new and covers(new, one)]
        # Out of a model that was taken apart any layer may have come.
        inner = [] if new else [paths.join(old, one) for one in candidates]
        back += [one for one in inner if one in known or _came(one, moves[:number], known)]
        candidates = stayed + back
    return next((one for one in candidates if one in known), None)


def _came(path: str, moves: Sequence[tuple[str, str]], known: set[str]) -> bool:
    """Whether one of some moves may have brought a layer to a path."""
    return any(covers(new, path) if new else paths.join(old, path) in known for old, new in moves)
