"""Why a rule matches nothing: what a rule before it did to the layers that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from surgeon.errors import RuleError
from surgeon.graph import Change, ModelGraph, Node
from surgeon.planning.keeping import covers
from surgeon.planning.matching import find_layers, variables_of
from surgeon.planning.surgery import find_targets
from surgeon.planning.text import change_text
from surgeon.roundtrip import sites
from surgeon.rules import Repeat, Rule, StructureRule
from surgeon.select import World


@dataclass(frozen=True)
class _Step:
    number: int
    rule: str
    before: ModelGraph
    changes: Sequence[Change]


class History:
    """What the rules so far have done to the structure, and the graph before each of them."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def note(self, number: int, rule: Rule, before: ModelGraph, changes: Sequence[Change]) -> None:
        """Take note of a rule that was carried out.

        Args:
            number: Which of the rules it was.
            rule: The rule.
            before: The graph as it was before.
            changes: Its edits.
        """
        if changes:
            self._steps.append(_Step(number, str(rule), before, changes))

    def hint(self, rule: Rule, graph: ModelGraph) -> str:
        """Return which rule took away what another one would have matched, and what to do; or `""`.

        Args:
            rule: A rule that matches nothing.
            graph: The graph now.
        """
        if not self._steps or _matched(rule, graph):
            return ""
        for step in reversed(self._steps):
            found = _matched(rule, step.before)
            if found:
                return _told(step, found, graph)
        return ""


def _told(step: _Step, found: Sequence[Node], graph: ModelGraph) -> str:
    node, others = found[0], len({one.path for one in found}) - 1
    more = f" and {others} more" if others else ""
    until = f". Until rule {step.number}, {step.rule}, it matched {node.path!r} ({node.class_name}){more}"
    now = next((site.path for site in sites(graph) if node.op is not None and site.op is node.op), None)
    if now == node.path:
        return f"{until}, and nothing since: put this rule before that one"
    if now is not None:
        return f"{until}; that is {now!r} now: go by the new name, or put this rule before that one"
    said = [one for one in step.changes if one.path and covers(one.path, node.path)]
    # What goes only because nothing reads it any more is named by the first of its kind.
    said = said or [one for one in step.changes if one.kind == "dropped"]
    what = f"; that rule {change_text(said[0])}" if said else ", which is gone since"
    return f"{until}{what}. Leave this one out, or put it before that one"


def _matched(rule: Rule, graph: ModelGraph) -> list[Node]:
    """Return the nodes of a graph that a rule would be carried out on."""
    if isinstance(rule, Repeat):
        rule = rule.rules[0]
    try:
        if isinstance(rule, StructureRule):
            targets = find_targets(rule, World(graph))
            return [node for one in targets for node in ([one] if isinstance(one, Node) else one)]
        known = sites(graph)
        return [node for node in find_layers(rule, known, World(graph, known)) if variables_of(node)]
    except RuleError:
        return []
