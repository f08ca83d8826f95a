"""Selections from JSON data, in the words of rule files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from surgeon.errors import SelectionError
from surgeon.select.along import along
from surgeon.select.choosing import channels, elements, rows
from surgeon.select.criteria import MAGNITUDE, RANDOM
from surgeon.select.cursor import Cursor, shown
from surgeon.select.data_criteria import CRITERIA, OPTIONS, Criterion, criterion
from surgeon.select.packing import unpack_mask
from surgeon.select.selection import Selection
from surgeon.select.tiles import blocks, n_of_m

_MAKERS: dict[str, Callable[..., Selection]] = {
    "channels": channels,
    "rows": rows,
    "elements": elements,
    "along": lambda which, axis, **how: along(axis, which, **how),
    "blocks": blocks,
    "n_of_m": lambda pair, **how: n_of_m(*pair, **how),
}
# What a kind has beside `by` and `seed`, and whether it must have it.
_MORE = {"along": {"axis": True}, "blocks": {"of": True}, "n_of_m": {"axis": False}}
_POOLING = ("over", "keep", *OPTIONS)
SELECTION_KEYS = (*_MAKERS, "by", "seed", "axis", "of", *_POOLING)
_SLICE_KEYS = ("from", "to", "step")
_MASK_KEYS = ("shape", "bits")
_WHAT = "a selection"


def selection_from_data(data: Any) -> Selection:
    """Return the selection that `Selection.to_data` described.

    Args:
        data: A mapping with one of `channels`, `rows`, `elements`, `along` (with `axis`), `blocks`
            (with `of`): a fraction or a count (with `by` and `seed`), a list of positions or of
            booleans, a slice `{"from": 0, "to": 8, "step": 2}`, or a packed mask
            `{"shape": ..., "bits": ...}`. Or with `n_of_m: [2, 4]`, and an `axis` if need be.

    Raises:
        SelectionError: If the data is wrong; says where, and names near misses.

    Example:
        >>> selection_from_data({"rows": {"from": 0, "to": 8}})
        rows(slice(0, 8))
    """
    return read_selection(Cursor(data))


def read_selection(cursor: Cursor) -> Selection:
    """Return the selection at a place in data.

    Raises:
        SelectionError: If the data is wrong, or the cursor's own class of error.
    """
    keys = cursor.keys(_WHAT, SELECTION_KEYS, SelectionError)
    kinds = [key for key in keys if key in _MAKERS]
    if len(kinds) != 1:
        raise cursor.fail(
            f"{_WHAT} has exactly one of {', '.join(_MAKERS)}; here are {len(kinds)}", SelectionError
        )
    kind = kinds[0]
    more = {key: cursor.at(key) for key in keys if key != kind}
    if "by" in more:
        more["by"].text("'by'", SelectionError)
    allowed = _MORE.get(kind, {})
    for key in ("axis", "of", *_POOLING):
        if key in more and (key not in allowed if key in ("axis", "of") else kind in _MORE):
            raise cursor.fail(f"{key!r} does not belong to {kind}", SelectionError, key)
        if allowed.get(key) and key not in more:
            raise cursor.fail(f"{kind} needs {key!r}", SelectionError)
    which = _which(cursor.at(kind), kind)
    blamed = more["by"] if "by" in more and more["by"].value not in CRITERIA else cursor.at(kind)
    with blamed.located():
        given = {key: entry.value for key, entry in more.items()}
        options = {key: given.pop(key) for key in OPTIONS if key in given}
        if options:
            given["by"] = _with_options(given.get("by"), options)
        return _MAKERS[kind](which, **given)


def _with_options(by: Any, options: dict[str, Any]) -> Criterion:
    needs_data = isinstance(by, str) and by in CRITERIA and by not in (MAGNITUDE, RANDOM)
    if not needs_data:
        raise SelectionError(
            f"{', '.join(options)} belong to a criterion that looks at data, not to by={by!r}"
        )
    return criterion(by, options)


def _which(entry: Cursor, kind: str) -> Any:
    value = entry.value
    if kind == "n_of_m" and (not isinstance(value, list) or len(value) != 2):
        raise entry.fail(f"n_of_m takes two numbers, such as [2, 4], not {shown(value)}", SelectionError)
    if not isinstance(value, dict):
        if isinstance(value, str):
            raise entry.fail(
                f"{kind!r} takes a number or a list, not the text {shown(value)}", SelectionError
            )
        return value
    is_mask = "bits" in value or "shape" in value
    keys = entry.keys(
        f"a packed mask of {kind}" if is_mask else f"a slice of {kind}",
        _MASK_KEYS if is_mask else _SLICE_KEYS,
        SelectionError,
    )
    with entry.located():
        if is_mask:
            return unpack_mask(value)
        return slice(*(value.get(key) for key in _SLICE_KEYS)) if keys else None
