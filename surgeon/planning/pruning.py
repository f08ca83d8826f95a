"""Remove channels and heads for real: which go, and what that makes of every layer that has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from surgeon import paths
from surgeon.errors import RuleError
from surgeon.graph import GraphEditor, Node
from surgeon.planning.channel_uses import Uses, makes_channels, scored_kernel
from surgeon.planning.coupling import Coupling, couple
from surgeon.planning.heads import check_heads, heads_gone, picked, sums_of_squares
from surgeon.planning.templates import Template
from surgeon.planning.verbs import Skipped
from surgeon.roundtrip.copying import stock_class
from surgeon.roundtrip.reading import stock_config
from surgeon.rules import StructureRule


class Pruning:
    """The channels, or heads, that a rule removes.

    Args:
        rule: A `prune` rule.
        nodes: The layers that it is about.
        graph: The graph that they are in.
        weights: Returns the weights of a layer, those of new ones as they will be.
    """

    def __init__(
        self, rule: StructureRule, nodes: list[Node], graph: Any, weights: Callable[[Any], Mapping[str, Any]]
    ) -> None:
        self.rule = rule
        self.word = "head" if "heads" in rule.options else "channel"
        self.weights = weights
        self.coupling: Coupling = couple(graph)
        self.skipped: list[tuple[str, str]] = []
        self.chosen: dict[str, Uses] = {}
        for node in nodes:
            try:
                self.chosen[node.path] = self._prunable(node)
            except Skipped as skip:
                self.skipped.append((node.path, str(skip)))
        if not self.chosen:
            some = "; ".join(f"{path!r}: {reason}" for path, reason in self.skipped[:3])
            raise RuleError(f"{rule.origin}: {rule}: no {self.word} can be removed. {some}")
        self.gone = self._gone()
        self._leave_some()

    def _prunable(self, node: Node) -> Uses:
        if "/" in node.path:
            raise Skipped("it lies in a nested model: inline(...) takes that apart")
        uses = self.coupling.uses.get(node.path)
        if self.word == "head":
            return check_heads(uses, node.class_name, self.coupling.why_closed(node))
        if uses is None or not makes_channels(uses):
            closed = self.coupling.why_closed(node)
            raise Skipped(f"it {closed}" if closed else _why_none(node))
        free = [one for one in self.coupling.roots(uses.makes) if one not in self.coupling.pinned]
        if not free:
            reason = self.coupling.pinned[int(self.coupling.roots(uses.makes)[0])]
            raise Skipped(f"its channels must stay: {reason}")
        return uses

    def _gone(self) -> set[int]:
        try:
            if self.word == "head":
                return self._heads(self.rule.options["heads"])
            which = self.rule.options["channels"]
            return self._weakest(which) if isinstance(which, float) else self._named(which)
        except RuleError as error:
            raise RuleError(f"{self.rule.origin}: {self.rule}: {error}") from error

    def _heads(self, which: Any) -> set[int]:
        gone: set[int] = set()
        for uses in self.chosen.values():
            gone |= heads_gone(which, uses, self.weights(uses.node.op))
        if not gone:
            raise RuleError(
                f"{which:.0%} of so few heads is none" if isinstance(which, float) else "that is no head"
            )
        return {int(one) for one in self.coupling.roots(np.array(sorted(gone)))}

    def _named(self, which: Any) -> set[int]:
        gone = set()
        for path, uses in self.chosen.items():
            places = sorted(picked(which, len(uses.makes), path, "channel"))
            roots = {int(one) for one in self.coupling.roots(uses.makes[places])}
            stays = next((self.coupling.pinned[one] for one in roots if one in self.coupling.pinned), None)
            if stays is not None:
                raise RuleError(f"channels of {path!r} must stay: {stays}")
            gone |= roots
        if not gone:
            have = [f"{path!r} has {len(uses.makes)}" for path, uses in self.chosen.items()]
            raise RuleError(f"that is no channel: {', '.join(have[:3])}")
        return gone

    def _weakest(self, fraction: float) -> set[int]:
        """Return, for each set of layers with common channels, those with the smallest kernels."""
        makers: dict[int, list[str]] = defaultdict(list)
        scores: dict[int, float] = defaultdict(float)
        for path, uses in self.coupling.uses.items():
            if makes_channels(uses):
                squares = _squares(uses, self.weights(uses.node.op))
                for one, square in zip(self.coupling.roots(uses.makes), squares, strict=True):
                    makers[int(one)].append(path)
                    scores[int(one)] += float(square)
        together: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for uses in self.chosen.values():
            for one in self.coupling.roots(uses.makes):
                if int(one) not in self.coupling.pinned:
                    together[tuple(sorted(set(makers[int(one)])))].add(int(one))
        gone: set[int] = set()
        for group in together.values():
            ordered = sorted(group, key=lambda one: (scores[one], one))
            gone |= set(ordered[: min(round(fraction * len(group)), len(group) - 1)])
        if not gone:
            raise RuleError(f"{fraction:.0%} of so few channels is none")
        return gone

    def _leave_some(self) -> None:
        for path, uses in self.coupling.uses.items():
            if len(uses.makes) and all(int(one) in self.gone for one in self.coupling.roots(uses.makes)):
                raise RuleError(f"{self.rule.origin}: {self.rule}: {path!r} would have no channel left")

    def kept(self, ids: Any) -> list[int]:
        """Return the positions of the channels that stay."""
        return [number for number, one in enumerate(self.coupling.roots(ids)) if int(one) not in self.gone]

    def _number(self, ids: Any) -> int:
        return len(self.kept(ids))

    def edit(self, editor: GraphEditor, templates: list[Template]) -> list[str]:
        """Put smaller layers in the place of all that have channels which go; return their paths."""
        changed = []
        for path, uses in self.coupling.uses.items():
            takes: dict[str, list[Any]] = defaultdict(list)
            for one in uses.along:
                takes[one.weight].append([one.axis, self.kept(one.ids)])
            if all(len(self.kept(one.ids)) == len(one.ids) for one in uses.along):
                continue
            config = stock_config(uses.node.op) | uses.settings(self._number)
            layer = stock_class(uses.node.op).from_config(config)
            details = {"takes": dict(takes)}
            templates.append(Template(layer, "take", details))
            note = _counts(uses, self._number)
            editor.replace(path, templates[-1].make(), slot=len(templates) - 1, kind="pruned", note=note)
            changed.append(path)
        return changed


def _why_none(node: Node) -> str:
    why = f"{node.class_name} makes no channels that can be followed"
    if isinstance(node.op, keras.layers.Layer) and paths.children(node.op):
        why += ": it calls the layers inside of it in plain Python. replace(...) puts a smaller one there"
    return why


def _counts(uses: Uses, number: Callable[[Any], int]) -> str:
    """Return what a layer had and has, in words."""
    words = [("channels", uses.makes)] + ([("heads", uses.heads)] if len(uses.heads) else [])
    changed = [(word, ids) for word, ids in words if number(ids) != len(ids)] or words[:1]
    return ", ".join(f"{len(ids)} → {number(ids)} {word}" for word, ids in changed)


def _squares(uses: Uses, weights: Mapping[str, Any]) -> Any:
    """Return the sum of squares of the kernel that makes each channel."""
    name = scored_kernel(uses)
    return sums_of_squares(weights[name], uses.axis(name))
