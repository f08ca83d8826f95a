"""Rules as JSON data, in the words of rule files, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from surgeon.errors import RuleError, near_misses
from surgeon.rules.adapters import LoraRule
from surgeon.rules.collection import Rule
from surgeon.rules.replacement import StructureRule
from surgeon.rules.structure_data import FORMS, read_structure, structure_to_data
from surgeon.rules.trainability import TrainabilityRule, Verb, make_rule
from surgeon.select import Selection
from surgeon.select.cursor import Cursor, shown
from surgeon.select.selection_data import read_selection
from surgeon.select.selector_data import read_selector

VERBS: tuple[Verb, ...] = ("freeze", "train")
WEIGHTS = "weights"
STATS = "stats"
READY_MADE = (
    "add_l2",
    "bias_only",
    "change_activation",
    "dropout_after",
    "fold_batch_norm",
    "freeze_batch_norm",
    "new_head",
    "strip_training_only",
    "to_average_pooling",
    "to_group_norm",
)
"""Rules that are functions of Python, which rule files do not have."""
RESERVED = (*VERBS, WEIGHTS, STATS, *FORMS)


def rules_to_data(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return JSON data for rules; `rules_from_data` reads it.

    Raises:
        RuleError: If a rule holds Python code (`replace`, `where`); names it and its origin.

    Example:
        >>> from surgeon.rules import freeze
        >>> rules_to_data([freeze("dense_*", "kernel")])
        [{'freeze': 'dense_*', 'weights': ['kernel']}]
    """
    return [_rule_to_data(rule) for rule in rules]


def _rule_to_data(rule: Rule) -> dict[str, Any]:
    if isinstance(rule, StructureRule | LoraRule):
        try:
            return structure_to_data(rule)
        except RuleError as error:
            raise RuleError(f"{rule.origin}: {rule} cannot be written as data, because {error}") from error
    if not isinstance(rule, TrainabilityRule):
        raise RuleError(f"{rule.origin}: {rule} cannot be written as data: keep it in a script")
    try:
        data: dict[str, Any] = {rule.verb: rule.selector.to_data()}
    except RuleError as error:
        raise RuleError(f"{rule.origin}: {rule}: {error}") from error
    if rule.weights:
        data[WEIGHTS] = list(rule.weights)
    if rule.stats:
        data[STATS] = True
    for weight, part in rule.selections.items():
        if weight in RESERVED:
            raise RuleError(
                f"{rule.origin}: {rule} cannot be written as data: {weight!r} is a word of rules there"
            )
        data[weight] = part.to_data()
    return data


def rules_from_data(data: Any, origin: str = "rules") -> tuple[Rule, ...]:
    """Return the rules that `rules_to_data` described.

    Args:
        data: A list of mappings, each with `freeze` or `train` (a selector), perhaps `weights`
            (a list of names), `stats` (a boolean), and a selection for each weight of which a part is meant.
        origin: What the rules are called in messages: `origin[0]` is the first.

    Raises:
        RuleError: If the data is wrong; says where, and names near misses.

    Example:
        >>> [str(rule) for rule in rules_from_data([{"train": "d", "kernel": {"channels": [0, 3]}}])]
        ["train('d', kernel=channels([0, 3]))"]
    """
    if data == []:
        return ()
    return read_rules(Cursor(data, place=lambda trail: f"{origin}{_dotted(trail)}: "))


def _dotted(trail: tuple[str | int, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in trail)


def read_rules(cursor: Cursor) -> tuple[Rule, ...]:
    """Return the rules in a list at a place in data; the list must not be empty.

    Raises:
        RuleError: If the data is wrong.
    """
    return tuple(_read_rule(entry) for entry in cursor.entries("the rules"))


def _read_rule(cursor: Cursor) -> Rule:
    keys = cursor.keys("a rule", None)
    verbs = [verb for verb in (*VERBS, *FORMS) if verb in keys]
    if len(verbs) != 1:
        raise _verb_error(cursor, keys, verbs)
    place = cursor.place(cursor.trail).removesuffix(": ")
    if verbs[0] in FORMS:
        return read_structure(cursor, verbs[0], place)
    verb: Verb = "freeze" if verbs[0] == "freeze" else "train"
    selector = read_selector(cursor.at(verb))
    weights: tuple[str, ...] = ()
    if WEIGHTS in keys:
        weights = tuple(
            entry.text("the name of a weight") for entry in cursor.at(WEIGHTS).entries(repr(WEIGHTS))
        )
    selections = {key: _read_part(cursor, key) for key in keys if key not in (verb, WEIGHTS, STATS)}
    stats = STATS in keys and cursor.at(STATS).value
    if not isinstance(stats, bool) or (stats and verb != "freeze"):
        raise cursor.fail("'stats' is true or false, and belongs to freeze", key=STATS)
    with cursor.located():
        rule = make_rule(verb, selector, weights, selections, place)
        return replace(rule, stats=stats and not rule.whole_layer)


def _verb_error(cursor: Cursor, keys: tuple[str, ...], found: list[str]) -> RuleError:
    if found:
        return cursor.fail(f"a rule is either {' or '.join(found)}: make it two rules", key=found[1])
    known = (*VERBS, *FORMS, *READY_MADE)
    close = next((key for key in keys if near_misses(key, known)), None)
    ready = next((key for key in keys if key in READY_MADE), None)
    if ready is not None:
        raise cursor.fail(
            f"{ready!r} is a ready-made rule of Python, where it is rewrite(model, {ready}(...)): "
            f"a rule file has the rules that such ones are made of: freeze, train, {', '.join(FORMS)}",
            key=ready,
        )
    hint = near_misses(close, known) if close else ""
    if any(repr(name) in hint for name in READY_MADE):
        hint += " (ready-made rules are Python only)"
    listed = ", ".join(map(repr, keys))
    return cursor.fail(
        f"a rule says freeze or train, or {', '.join(FORMS)}; this one has only {listed}{hint}", key=close
    )


def _read_part(cursor: Cursor, key: str) -> Selection:
    entry = cursor.at(key)
    if not isinstance(entry.value, dict):
        raise entry.fail(
            f"{key!r} is no key of a rule{near_misses(key, (*VERBS, WEIGHTS))}. If it is a weight of which a "
            f"part is meant, write {key}: {{channels: 0.1, by: magnitude}}, not {shown(entry.value)}"
        )
    return read_selection(entry)
