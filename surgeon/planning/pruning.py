"""Remove channels for real: which go, and what that makes of every layer that has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from surgeon.errors import RuleError
from surgeon.graph import GraphEditor, Node
from surgeon.planning.coupling import KERNELS, Coupling, Uses, couple
from surgeon.planning.templates import Template
from surgeon.planning.verbs import Skipped
from surgeon.roundtrip.copying import stock_class
from surgeon.roundtrip.reading import stock_config
from surgeon.rules import StructureRule


class Pruning:
    """The channels that a rule removes.

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
            raise RuleError(f"{rule.origin}: {rule}: no channel can be removed. {some}")
        self.gone = self._gone()

    def _prunable(self, node: Node) -> Uses:
        if "/" in node.path:
            raise Skipped("it lies in a nested model: inline(...) takes that apart")
        uses = self.coupling.uses.get(node.path)
        if uses is None or node.class_name not in KERNELS:
            raise Skipped(f"{node.class_name} makes no channels that can be followed")
        free = [one for one in self.coupling.roots(uses.makes) if one not in self.coupling.pinned]
        if not free:
            reason = self.coupling.pinned[int(self.coupling.roots(uses.makes)[0])]
            raise Skipped(f"its channels must stay: {reason}")
        return uses

    def _gone(self) -> set[int]:
        which = self.rule.options["channels"]
        return self._weakest(which) if isinstance(which, float) else self._named(which)

    def _named(self, which: Any) -> set[int]:
        gone = set()
        for path, uses in self.chosen.items():
            try:
                picked = np.arange(len(uses.makes))[np.array(which) if isinstance(which, list) else which]
            except IndexError as error:
                raise RuleError(
                    f"{self.rule.origin}: {self.rule}: {path!r} has {len(uses.makes)} channels: {error}"
                ) from error
            roots = {int(one) for one in self.coupling.roots(np.atleast_1d(uses.makes[picked]))}
            stays = next((self.coupling.pinned[one] for one in roots if one in self.coupling.pinned), None)
            if stays is not None:
                raise RuleError(f"{self.rule.origin}: {self.rule}: channels of {path!r} must stay: {stays}")
            gone |= roots
        self._leave_some(gone)
        return gone

    def _weakest(self, fraction: float) -> set[int]:
        """Return, for each set of layers with common channels, those with the smallest kernels."""
        makers: dict[int, list[str]] = defaultdict(list)
        scores: dict[int, float] = defaultdict(float)
        for path, uses in self.coupling.uses.items():
            if uses.node.class_name in KERNELS:
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
            raise RuleError(f"{self.rule.origin}: {self.rule}: {fraction:.0%} of so few channels is none")
        return gone

    def _leave_some(self, gone: set[int]) -> None:
        for path, uses in self.coupling.uses.items():
            if all(int(one) in gone for one in self.coupling.roots(uses.makes)):
                raise RuleError(f"{self.rule.origin}: {self.rule}: {path!r} would have no channel left")

    def kept(self, ids: Any) -> list[int]:
        """Return the positions of the channels that stay."""
        return [number for number, one in enumerate(self.coupling.roots(ids)) if int(one) not in self.gone]

    def edit(self, editor: GraphEditor, templates: list[Template]) -> list[str]:
        """Put smaller layers in the place of all that have channels which go; return their paths."""
        changed = []
        for path, uses in self.coupling.uses.items():
            reads, makes = self.kept(uses.reads), self.kept(uses.makes)
            if len(reads) == len(uses.reads) and len(makes) == len(uses.makes):
                continue
            config = stock_config(uses.node.op)
            if uses.node.class_name in KERNELS:
                config[KERNELS[uses.node.class_name][0]] = len(makes)
            layer = stock_class(uses.node.op).from_config(config)
            details = {"takes": _takes(uses, reads, makes)}
            templates.append(Template(layer, "take", details))
            note = f"{len(uses.makes)} → {len(makes)} channels"
            editor.replace(path, templates[-1].make(), slot=len(templates) - 1, kind="pruned", note=note)
            changed.append(path)
        return changed


def _squares(uses: Uses, weights: Mapping[str, Any]) -> Any:
    """Return the sum of squares of the kernel that makes each channel."""
    name = "pointwise_kernel" if "Separable" in uses.node.class_name else "kernel"
    kernel = np.array(keras.ops.convert_to_numpy(weights[name]), "float64")
    axis = KERNELS[uses.node.class_name][1] % kernel.ndim
    return np.square(kernel).sum(tuple(a for a in range(kernel.ndim) if a != axis))


def _takes(uses: Uses, reads: list[int], makes: list[int]) -> dict[str, list[Any]]:
    """Return, for each weight of a layer, which positions stay along which axes."""
    kind = uses.node.class_name
    if kind in KERNELS and "Separable" not in kind:
        _, out, into = KERNELS[kind]
        return {"kernel": [[into, reads], [out, makes]], "bias": [[0, makes]]}
    if kind in KERNELS:
        multiplier = uses.node.config["depth_multiplier"]
        middle = [one * multiplier + j for one in reads for j in range(multiplier)]
        return {
            "depthwise_kernel": [[-2, reads]],
            "pointwise_kernel": [[-2, middle], [-1, makes]],
            "bias": [[0, makes]],
        }
    if kind.startswith("Depthwise"):
        return {"kernel": [[-2, reads]], "bias": [[0, makes]]}
    return {name: [[0, makes]] for name in ("gamma", "beta", "moving_mean", "moving_variance")}
