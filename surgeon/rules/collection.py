"""From what a caller passes as rules to a tuple of rules."""

from __future__ import annotations

import os
from typing import Any

from surgeon.errors import RuleError
from surgeon.rules.adapters import LoraRule
from surgeon.rules.repeating import Repeat
from surgeon.rules.replacement import StructureRule
from surgeon.rules.trainability import TrainabilityRule
from surgeon.select import Selector

Rule = TrainabilityRule | StructureRule | Repeat | LoraRule


def as_rules(value: Any) -> tuple[Rule, ...]:
    """Return rules in order, out of a rule or lists of rules, nested or not.

    Raises:
        RuleError: If anything else is in there; says what to write instead.

    Example:
        >>> from surgeon.rules import freeze, train
        >>> [str(rule) for rule in as_rules([freeze("*"), [train("head")]])]
        ["freeze('*')", "train('head')"]
    """
    if isinstance(value, Rule):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(rule for one in value for rule in as_rules(one))
    raise RuleError(f"{value!r} is not a rule{_instead(value)}")


def _instead(value: object) -> str:
    if isinstance(value, str | os.PathLike) and os.fspath(value).endswith((".yaml", ".yml", ".json")):
        return f": did you mean load_rules({os.fspath(value)!r})?"
    if isinstance(value, str | Selector):
        typed = repr(value) if isinstance(value, str) else str(value)
        return f": did you mean freeze({typed})?"
    if isinstance(value, dict):
        return ": rules are freeze(...), train(...), replace(...); load_rules(path) reads a rule file"
    return ": write freeze(...), train(...) or replace(...), or a list of these"
