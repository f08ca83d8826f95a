"""Globs over paths: `*` stays within one part, `**` spans any number of parts."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

from surgeon.errors import RuleError

ANY_DEPTH = "**"


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
    if ANY_DEPTH in outside_brackets:
        raise RuleError(
            f"the glob {pattern!r} has '**' inside a part: '*' is any text within a part, "
            "'**' stands alone between slashes, as in '**/conv_1'"
        )
    return re.compile(fnmatch.translate(part))
