"""A plan as text: look before you cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgeon.graph import Change
    from surgeon.planning.plan import Outcome, Plan

SHOWN = 6
"""How many layers or weights a rule shows before it only counts the rest."""


def plan_text(plan: Plan) -> str:
    """Return what each rule matches and changes, and what that comes to."""
    lines = []
    for number, outcome in enumerate(plan.outcomes, start=1):
        lines += [f"{number}. {outcome.rule}", *(f"   {line}" for line in _outcome_lines(outcome))]
    if not lines:
        lines.append("no rules: the model is copied as it is")
    return "\n".join([*lines, *_totals(plan)])


def _outcome_lines(outcome: Outcome) -> list[str]:
    lines = [f"matches {_count(len(outcome.matched), 'layer')}: {_some(outcome.matched)}"]
    lines += _change_lines(outcome.changes)
    same = {path for path, _ in outcome.skipped}
    changed = [w for w in outcome.weights if w.path not in same]
    lines += [f"{w.path}: {w.before:,} → {w.after:,} of {w.size:,} train" for w in changed[:SHOWN]]
    if len(changed) > SHOWN:
        rest = changed[SHOWN:]
        before, after = sum(w.before for w in rest), sum(w.after for w in rest)
        lines.append(f"and {_count(len(rest), 'more weight')}: {before:,} → {after:,} train")
    if outcome.held:
        still = "moves again" if outcome.rule.startswith("train") else "holds still"
        lines.append(f"state {still}: {_some(outcome.held)}")
    reasons: dict[str, list[str]] = {}
    for path, reason in outcome.skipped:
        reasons.setdefault(reason, []).append(path)
    lines += [f"skips {len(paths):,}: {reason} ({_some(paths)})" for reason, paths in reasons.items()]
    return lines


VERBS = {
    "configured": "configures",
    "dropped": "drops",
    "duplicated": "duplicates",
    "input": "gives another input",
    "inlined": "takes apart",
    "inserted": "inserts",
    "moved": "finds elsewhere",
    "outputs": "changes the outputs",
    "pruned": "prunes",
    "refitted": "makes anew",
    "removed": "removes",
    "renamed": "renames",
    "replaced": "replaces",
    "rewired": "rewires",
    "shared": "shares",
    "unshared": "splits",
    "wrapped": "wraps",
}


def _change_lines(changes: Sequence[Change]) -> list[str]:
    """Return the first edits in full and the rest counted by kind; what lost its weights is always said."""
    lost = [change for change in changes if change.kind == "refitted"]
    others = [change for change in changes if change.kind != "refitted"]
    lines = [change_text(change) for change in [*others[:SHOWN], *lost]]
    rest = Counter(VERBS.get(change.kind, change.kind) for change in others[SHOWN:])
    return lines + [f"and {verb} {count:,} more" for verb, count in rest.items()]


def change_text(change: Change) -> str:
    """Return what an edit does to the structure: `"inserts drop: Dropout (after conv)"`."""
    return f"{VERBS.get(change.kind, change.kind)} {change}"


def _totals(plan: Plan) -> list[str]:
    before, after, size = plan.trainable_before, plan.trainable_after, plan.size
    share = f"{after / size:.2%}" if size else "0%"
    return ["", f"trainable: {before:,} → {after:,} of {size:,} parameters ({share})"]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown}, … {len(names) - SHOWN:,} more"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
