"""Selectors from JSON data, in the words of rule files."""

from __future__ import annotations

from typing import Any

from surgeon.select.cursor import Cursor, shown
from surgeon.select.leaves import isa, name, regex_with_flags
from surgeon.select.selector import And, Not, Or, Selector

SELECTOR_KEYS = ("name", "regex", "flags", "isa", "all", "any", "not")
_WHAT = "a selector"


def selector_from_data(data: Any) -> Selector:
    """Return the selector that `Selector.to_data` described.

    Args:
        data: A string (a glob), or a mapping of `name`, `regex` (and its `flags`), `isa`, `all`
            (a list), `any` (a list), `not`. Of several keys, all must match.

    Raises:
        RuleError: If the data is wrong; says where, and names near misses.

    Example:
        >>> selector_from_data({"isa": "Dense", "name": "block_*"})
        isa('Dense') & name('block_*')
    """
    return read_selector(Cursor(data))


def read_selector(cursor: Cursor) -> Selector:
    """Return the selector at a place in data.

    Raises:
        RuleError: If the data is wrong.
    """
    if isinstance(cursor.value, str):
        with cursor.located():
            return name(cursor.value)
    if not isinstance(cursor.value, dict):
        raise cursor.fail(f"{_WHAT} is a glob or a mapping, not {shown(cursor.value)}: put a path in quotes")
    keys = cursor.keys(_WHAT, SELECTOR_KEYS)
    if "flags" in keys and "regex" not in keys:
        raise cursor.fail("flags belong to a regex", key="flags")
    return And.of(*(_read_key(cursor, key) for key in keys if key != "flags"))


def _read_key(cursor: Cursor, key: str) -> Selector:
    entry = cursor.at(key)
    if key == "not":
        return Not(read_selector(entry))
    if key in ("all", "any"):
        joined = And if key == "all" else Or
        return joined.of(*(read_selector(one) for one in entry.entries(repr(key))))
    text = entry.text(repr(key))
    with entry.located():
        if key == "regex":
            flags = cursor.at("flags").text("'flags'") if "flags" in cursor.value else ""
            return regex_with_flags(text, flags)
        return isa(text) if key == "isa" else name(text)
