"""Selectors from JSON data, in the words of rule files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from surgeon.select import position, relative
from surgeon.select.cursor import Cursor, shown
from surgeon.select.leaves import has_weight, inside, isa, name, regex_with_flags
from surgeon.select.selector import And, Not, Or, Selector

_WHAT = "a selector"


@dataclass(frozen=True)
class Word:
    """What a key of a selector means.

    Attributes:
        make: Returns the selector for the value of the key and those beside it.
        read: Returns the value that stands at a place.
        beside: Keys that may stand beside it, and the types of their values.
        needs: Those of them that must.
    """

    make: Callable[..., Selector]
    read: Callable[[Cursor], Any]
    beside: Mapping[str, type] = field(default_factory=dict)
    needs: str = ""


def selector_from_data(data: Any) -> Selector:
    """Return the selector that `Selector.to_data` described.

    Args:
        data: A string (a glob), or a mapping of `name`, `regex` (and its `flags`), `isa`, `all`
            (a list), `any` (a list), `not`, or a word that looks around: `first` (and `count`),
            `upstream_of`, ... Of several keys, all must match.

    Raises:
        RuleError: If the data is wrong; says where, and names near misses.

    Example:
        >>> selector_from_data({"isa": "Dense", "name": "block_*"})
        isa('Dense') & name('block_*')
        >>> selector_from_data({"last": {"isa": "Dense"}, "count": 2})
        last(isa('Dense'), 2)
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
    pattern = next((key for key in ("chain", "pattern") if key in cursor.value), None)
    if pattern:
        raise cursor.fail("this is a pattern, which stands at replace or remove only", key=pattern)
    keys = cursor.keys(_WHAT, SELECTOR_KEYS)
    words = [key for key in keys if key in WORDS]
    for key in keys:
        _check_owner(cursor, key, words)
    if not words:
        raise cursor.fail("expect counts what other keys select: add one of them", key="expect")
    selector = And.of(*(_read_word(cursor, word) for word in words))
    return selector.expect(_number(cursor.at("expect"))) if "expect" in keys else selector


def _check_owner(cursor: Cursor, key: str, words: list[str]) -> None:
    owners = [word for word, meaning in WORDS.items() if key in meaning.beside]
    there = [word for word in words if word in owners]
    if owners and not there:
        raise cursor.fail(f"{key!r} belongs to {' or '.join(owners)}", key=key)
    if len(there) > 1:
        raise cursor.fail(f"{key!r} could belong to {' or to '.join(there)}: put each under all:", key=key)


def _read_word(cursor: Cursor, word: str) -> Selector:
    meaning, entry = WORDS[word], cursor.at(word)
    if meaning.needs and meaning.needs not in cursor.value:
        raise cursor.fail(f"{word} needs {meaning.needs!r} beside it", key=word)
    value = meaning.read(entry)
    given = {key: _typed(cursor.at(key), kind) for key, kind in meaning.beside.items() if key in cursor.value}
    with entry.located():
        return meaning.make(value, **given)


def _typed(cursor: Cursor, kind: type) -> Any:
    words = {int: "a number", bool: "true or false", str: "text", list: "a list of sizes, null for any"}
    is_flag = isinstance(cursor.value, bool)
    if not isinstance(cursor.value, kind) or (is_flag and kind is not bool):
        what = "a size" if isinstance(cursor.trail[-1], int) else repr(cursor.trail[-1])
        raise cursor.fail(f"{what} is {words[kind]}, not {shown(cursor.value)}")
    if kind is list:
        return tuple(None if one.value is None else _typed(one, int) for one in cursor.entries("a shape"))
    return cursor.value


def _number(cursor: Cursor) -> int:
    return int(_typed(cursor, int))


def _text(cursor: Cursor) -> str:
    return cursor.text(repr(cursor.trail[-1]))


def _several(cursor: Cursor) -> list[Selector]:
    return [read_selector(one) for one in cursor.entries(repr(cursor.trail[-1]))]


def _two(cursor: Cursor) -> list[Selector]:
    pair = _several(cursor)
    if len(pair) != 2:
        raise cursor.fail(f"between lies what is on a way from one selector to another, not {len(pair)}")
    return pair


def _true(cursor: Cursor) -> None:
    if cursor.value is not True:
        raise cursor.fail(f"ends is true or not there at all, not {shown(cursor.value)}")


WORDS: dict[str, Word] = {
    "name": Word(name, _text),
    "regex": Word(lambda text, flags="": regex_with_flags(text, flags), _text, {"flags": str}),
    "isa": Word(isa, _text),
    "all": Word(lambda several: And.of(*several), _several),
    "any": Word(lambda several: Or.of(*several), _several),
    "not": Word(Not, read_selector),
    "inside": Word(inside, _text),
    "has_weight": Word(has_weight, _text, {"shape": list}),
    "upstream_of": Word(relative.upstream_of, read_selector),
    "downstream_of": Word(relative.downstream_of, read_selector),
    "producers_of": Word(relative.producers_of, read_selector),
    "consumers_of": Word(relative.consumers_of, read_selector),
    "between": Word(lambda pair: relative.between(*pair), _two),
    "first": Word(position.first, read_selector, {"count": int}),
    "last": Word(position.last, read_selector, {"count": int}),
    "nth": Word(position.nth, read_selector, {"position": int}, "position"),
    "every": Word(
        lambda of, step, start=0: position.every(step, of, start),
        read_selector,
        {"step": int, "start": int},
        "step",
    ),
    "depth": Word(relative.depth, _number, {"at_most": int, "from_output": bool}),
    "called": Word(relative.called, _number),
    "ends": Word(lambda _: relative.ends(), _true),
}
"""The keys of a selector: the words of Python, and `all`, `any`, `not` for its operators."""

SELECTOR_KEYS = tuple(
    dict.fromkeys(key for word, meaning in WORDS.items() for key in (word, *meaning.beside))
)
SELECTOR_KEYS = (*SELECTOR_KEYS, "expect")
