"""One entry of the journal, from which report, diff, diagram and replay derive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """What one call of a method of `GraphEditor` did.

    Attributes:
        kind: What was done: `"replaced"`, `"inserted"`, `"removed"`, `"renamed"`, ...
        path: Path of the layer that it was done to, or that is new.
        before: Class of the layer before; empty for a new one.
        after: Class of the layer after; empty for one that is gone.
        rule: The rule that asked for it, as it was typed.
        note: More for the reader: where it was inserted, which weights were carried.
        method: Name of the editor's method that does it again.
        arguments: What the method was given, as JSON data.
        slots: Which new operations it was given, as positions in the list that `redo` gets.
    """

    kind: str
    path: str
    before: str = ""
    after: str = ""
    rule: str = ""
    note: str = ""
    method: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    slots: tuple[int, ...] = ()

    def __str__(self) -> str:
        sides = " → ".join(side for side in (self.before, self.after) if side)
        text = f"{self.path}: {sides}" if sides else self.path
        return f"{text} ({self.note})" if self.note else text
