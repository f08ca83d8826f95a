"""Near misses among the nodes of a model."""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable, Sequence

from surgeon.errors import near_misses
from surgeon.graph import Node
from surgeon.select.globs import letters, letters_off

_LIKELY, _LONGEST = 200, 200
"""Of how many texts, and of globs of how many letters, the distance is measured: a second at most."""


def close_paths(wanted: str, nodes: Sequence[Node], limit: int = 3) -> str:
    """Return `"; close: 'a', 'b'"` for the paths closest to `wanted`, a path or a glob, or `""`.

    A path is also close when its last part is: `dens` finds `encoder/block_1/dense`. To a glob those are
    that it would match with a few letters changed: `blok_16_*` finds `block_16_expand`.
    """
    paths = list(dict.fromkeys(node.path for node in nodes))
    same = [path for path in paths if path.casefold() == wanted.casefold()]
    if same:
        return f"; close: {same[0]!r} (letter case counts)"
    by_text = {path: path for path in paths}
    for path in paths:
        by_text.setdefault(path.rsplit("/", 1)[-1], path)
    if re.search(r"[*?[]", wanted):
        found, note = _close_to_glob(wanted, by_text)
    else:
        found, note = difflib.get_close_matches(wanted, by_text, n=2 * limit, cutoff=0.5), ""
    close = list(dict.fromkeys(by_text[text] for text in found))[:limit]
    return f"; close: {', '.join(map(repr, close))}{note}" if close else ""


def _close_to_glob(pattern: str, texts: Iterable[str]) -> tuple[list[str], str]:
    """Return the texts that a glob would match with a third of its letters changed, the closest first.

    If it would match some but for upper and lower case, these are all, and a note says so.
    """
    if len(pattern) > _LONGEST:
        return [], ""
    most, sought = letters(pattern) / 3, _pairs(re.sub(r"\[[^]]*\]|[*?]", "\n", pattern.casefold()))
    # Counting letters takes its time: only for the texts that have the most pairs of them.
    likely = heapq.nsmallest(_LIKELY, texts, key=lambda text: len(sought - _pairs(text.casefold())))
    off = {text: letters_off(pattern.casefold(), text.casefold()) for text in likely}
    found = sorted((text for text in off if off[text] <= most), key=lambda text: off[text])
    if found and off[found[0]] == 0 < letters_off(pattern, found[0]):
        return [text for text in found if off[text] == 0], " (letter case counts)"
    return found, ""


def _pairs(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)}


def close_classes(wanted: str, nodes: Sequence[Node]) -> str:
    """Return `"; close: 'Dense'"` for the classes closest to `wanted`, base classes included, or `""`."""
    known = dict.fromkeys(node.class_name for node in nodes)
    known |= dict.fromkeys(
        cls.__name__ for node in nodes if node.op is not None for cls in type(node.op).__mro__
    )
    same = [name for name in known if name.casefold() == wanted.casefold()]
    if same and wanted not in known:
        return f"; close: {same[0]!r} (letter case counts)"
    return near_misses(wanted, [name for name in known if name != "object"])
