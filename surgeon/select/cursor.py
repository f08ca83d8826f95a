"""Reading data that a person wrote, with errors that say where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from surgeon.errors import RuleError, near_misses

Trail = tuple[str | int, ...]


def dotted(trail: Trail) -> str:
    """Return a trail of keys as text to put before a message.

    Example:
        >>> dotted((0, "kernel", "by"))
        '[0].kernel.by: '
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in trail)
    return f"{text.removeprefix('.')}: " if text else ""


@dataclass(frozen=True)
class Cursor:
    """A value inside JSON data, and how it was reached.

    Attributes:
        value: The data at this place.
        trail: Keys and indices that lead here.
        place: Returns the text that says where, to put before a message.
        error: Class of every error that is raised for this data; `None` leaves the choice to
            whoever found the fault.
    """

    value: Any
    trail: Trail = ()
    place: Callable[[Trail], str] = dotted
    error: type[RuleError] | None = None

    def at(self, key: str | int) -> Cursor:
        """Return the cursor of one entry."""
        return Cursor(self.value[key], (*self.trail, key), self.place, self.error)

    def fail(
        self, message: str, kind: type[RuleError] = RuleError, key: str | int | None = None
    ) -> RuleError:
        """Return, ready to be raised, an error about this place or about one of its keys."""
        trail = self.trail if key is None else (*self.trail, key)
        return (self.error or kind)(f"{self.place(trail)}{message}")

    @contextmanager
    def located(self) -> Iterator[None]:
        """Put this place before the text of any `RuleError` that is raised inside."""
        try:
            yield
        except RuleError as error:
            raise self.fail(str(error), type(error)) from error

    def keys(
        self, what: str, known: Iterable[str] | None, kind: type[RuleError] = RuleError
    ) -> tuple[str, ...]:
        """Return the keys of a mapping, in order.

        Args:
            what: What this place should hold, for the message: "a selector".
            known: The keys that it may have, or `None` for any text.
            kind: Class of the error.

        Raises:
            RuleError: If this is no mapping, is empty, or has other keys; names near misses.
        """
        if not isinstance(self.value, dict) or not self.value:
            raise self.fail(f"{what} is a mapping with at least one key, not {shown(self.value)}", kind)
        for key in self.value:
            if not isinstance(key, str):
                raise self.fail(f"the key {key!r} is not text: put it in quotes", kind)
            if known is not None and key not in known:
                listed = ", ".join(known)
                message = f"{what} has no key {key!r}{near_misses(key, known)}; its keys are {listed}"
                raise self.fail(message, kind, key)
        return tuple(self.value)

    def entries(self, what: str, kind: type[RuleError] = RuleError) -> list[Cursor]:
        """Return the entries of a list.

        Raises:
            RuleError: If this is no list, or an empty one.
        """
        if not isinstance(self.value, list) or not self.value:
            raise self.fail(f"{what} must be a list with at least one entry, not {shown(self.value)}", kind)
        return [self.at(index) for index in range(len(self.value))]

    def text(self, what: str, kind: type[RuleError] = RuleError) -> str:
        """Return the text that stands here.

        Raises:
            RuleError: If it is no text; a number or a boolean may have lacked quotes.
        """
        if isinstance(self.value, str):
            return self.value
        quotes = "" if isinstance(self.value, dict | list) else ": put it in quotes if it is text"
        raise self.fail(f"{what} is text, not {shown(self.value)}{quotes}", kind)


def shown(value: object) -> str:
    """Return a value for a message, cut where it is long."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
