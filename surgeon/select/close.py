"""Near misses among the nodes of a model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from surgeon.errors import near_misses
from surgeon.graph import Node


def close_paths(wanted: str, nodes: Sequence[Node], limit: int = 3) -> str:
    """Return `"; close: 'a', 'b'"` for the paths closest to `wanted`, or `""`.

    A path is also close when its last part is: `dens` finds `encoder/block_1/dense`.
    """
    paths = list(dict.fromkeys(node.path for node in nodes))
    same = [path for path in paths if path.casefold() == wanted.casefold()]
    if same:
        return f"; close: {same[0]!r} (letter case counts)"
    by_text = {path.rsplit("/", 1)[-1]: path for path in reversed(paths)} | {path: path for path in paths}
    found = difflib.get_close_matches(wanted, by_text, n=2 * limit, cutoff=0.5)
    close = list(dict.fromkeys(by_text[text] for text in found))[:limit]
    return "; close: " + ", ".join(map(repr, close)) if close else ""


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
