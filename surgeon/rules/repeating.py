"""The driver's one loop: rules that run until they find nothing more, a bounded number of times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from surgeon.errors import RuleError
from surgeon.rules.origin import caller
from surgeon.rules.replacement import StructureRule, is_count


@dataclass(frozen=True)
class Repeat:
    """What `repeat(...)` returns.

    Attributes:
        rules: The rules of one pass, in order.
        at_most: After how many passes it is an error that there is still something to do.
        origin: `file:line` where it was written.
    """

    rules: tuple[StructureRule, ...]
    at_most: int = 10
    origin: str = field(default="unknown:0", compare=False)

    def __str__(self) -> str:
        return f"repeat({', '.join(map(str, self.rules))}, at_most={self.at_most})"

    __repr__ = __str__


def repeat(*rules: Any, at_most: int = 10) -> Repeat:
    """Run rules again and again until none of them changes anything.

    A rule runs once otherwise. It must match in the first pass; that it matches no more is what
    ends the repetition.

    Args:
        *rules: Rules that change the structure.
        at_most: After how many passes a rule that still changes something is an error.

    Raises:
        RuleError: If there is no rule, one of them says what trains, or `at_most` is less than 1.

    Example:
        >>> from surgeon.rules import remove
        >>> print(repeat(remove("dropout_*"), at_most=3))
        repeat(remove('dropout_*'), at_most=3)
    """
    if not rules or not all(isinstance(one, StructureRule) for one in rules):
        raise RuleError(
            "repeat(...) takes rules that change the structure, such as remove(...) or replace(...)"
        )
    if not is_count(at_most):
        raise RuleError(f"repeat(..., at_most={at_most!r}): a whole number, at least 1")
    return Repeat(tuple(rules), int(at_most), caller())
