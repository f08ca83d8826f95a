"""Globs over paths: `*` stays within one part, `**` spans any number of parts."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

from surgeon.errors import RuleError

ANY_DEPTH = "**"

_PIECE = re.compile(r"\*\*/?|\[!?\]?[^]]*\]|.", re.DOTALL)


def glob_matches(pattern: str, path: str) -> bool:
    """Whether a path matches a glob, letter case included.

    Args:
        pattern: Parts joined by `/`. Within a part, `*` is any text, `?` one character, `[1-9]`
            one of these, `[!x]` any but these. The part `**` is any number of parts, none included.
        path: Parts joined by `/`.

    Raises:
        RuleError: If the glob is malformed.

    Example:
        >>> glob_matches("block_[1-9]", "block_1"), glob_matches("*", "encoder/conv")
        (True, False)
        >>> glob_matches("**/conv", "encoder/conv"), glob_matches("**/conv", "conv")
        (True, True)
    """
    patterns = compiled(pattern)
    # The set of positions in the glob that the parts so far can have reached: no backtracking,
    # so that no glob, however odd, takes more than (parts of the glob) x (parts of the path).
    reached = _past_any_depth({0}, patterns)
    for part in path.split("/"):
        after = set()
        for position in reached:
            if position == len(patterns):
                continue
            wanted = patterns[position]
            if wanted is None:
                after.add(position)
            elif wanted.match(part):
                after.add(position + 1)
        reached = _past_any_depth(after, patterns)
    return len(patterns) in reached


def letters_off(pattern: str, path: str) -> int:
    """Return how many letters of a glob would have to be others, more or fewer for it to match a path.

    Args:
        pattern: A glob that is well formed.
        path: Parts joined by `/`.

    Example:
        >>> letters_off("blok_16_*", "block_16_expand"), letters_off("blok_16_*", "block_6_expand")
        (1, 2)
    """
    pieces = _PIECE.findall(pattern)
    # The distance of Levenshtein, but for `*`, which takes any text of a part for nothing, and `**/`.
    row = [0]
    for piece in pieces:
        row.append(row[-1] + (piece[0] != "*"))
    for letter in path:
        above, row = row, [row[0] + 1]
        for place, piece in enumerate(pieces):
            if piece == "*" or piece[:2] == ANY_DEPTH:
                free = piece != "*" or letter != "/"
                row.append(min(above[place + 1] + (not free), row[place]))
                continue
            same = piece == letter or (
                piece[0] in "?[" and letter != "/" and fnmatch.fnmatchcase(letter, piece)
            )
            row.append(min(above[place] + (not same), above[place + 1] + 1, row[place] + 1))
    return row[-1]


def letters(pattern: str) -> int:
    """Return how many letters a glob has besides its wildcards."""
    return sum(piece[0] not in "*?[" for piece in _PIECE.findall(pattern))


def _past_any_depth(reached: set[int], patterns: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    """Add the positions that are reached because `**` may also stand for no part at all."""
    for position in sorted(reached):
        following = position
        while following < len(patterns) and patterns[following] is None:
            following += 1
            reached.add(following)
    return reached


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return one regular expression for each part of a glob, `None` for `**`.

    Raises:
        RuleError: If the glob is malformed; says what to write instead.
    """
    parts = pattern.split("/")
    if not all(parts):
        what = "is empty" if not pattern else "has an empty part"
        raise RuleError(
            f"the glob {pattern!r} {what}: write the layer's path, such as 'dense_1' or 'encoder/*'"
        )
    return tuple(None if part == ANY_DEPTH else _compiled_part(part, pattern) for part in parts)


def _compiled_part(part: str, pattern: str) -> re.Pattern[str]:
    outside_brackets = re.sub(r"\[!?+\]?+[^]]*+\]", "?", part)
    if "[" in outside_brackets:
        raise RuleError(
            f"the glob {pattern!r} has a '[' that its part never closes: a bracket itself is '[[]'"
        )
    longer = re.search(r"\[[^]]*(\d\d-\d|\d-\d\d)[^]]*\]", part)
    if longer:
        raise RuleError(
            f"the glob {pattern!r} has {longer[0]!r}, which is one character and no range of numbers: "
            "for 10 to 16 it is '1[0-6]', and where() takes any condition"
        )
    if ANY_DEPTH in outside_brackets:
        raise RuleError(
            f"the glob {pattern!r} has '**' inside a part: '*' is any text within a part, "
            "'**' stands alone between slashes, as in '**/conv_1'"
        )
    return re.compile(fnmatch.translate(part))
