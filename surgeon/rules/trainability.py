"""Rules that say what trains: `freeze` and `train`."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from surgeon.errors import RuleError, near_misses
from surgeon.rules.origin import caller
from surgeon.select import Selection, Selector, as_selector

Verb = Literal["freeze", "train"]


@dataclass(frozen=True)
class TrainabilityRule:
    """What `freeze(...)` and `train(...)` return; later rules win, weight by weight.

    Attributes:
        verb: `"freeze"` or `"train"`.
        selector: Which layers.
        weights: Names of the weights that are meant as a whole.
        selections: Names of the weights of which only a part is meant, each with that part.
            With neither, the layer is meant as a whole.
        stats: Whether the layers' state (moving statistics) is meant beside the named weights.
        origin: `file:line` where the rule was written.
    """

    verb: Verb
    selector: Selector
    weights: tuple[str, ...] = ()
    selections: Mapping[str, Selection] = field(default_factory=dict, hash=False)
    origin: str = field(default="unknown:0", compare=False)
    stats: bool = False

    @property
    def whole_layer(self) -> bool:
        """Whether the layer as such is meant: its weights and, for `freeze`, its state."""
        return not self.weights and not self.selections

    def speaks_of(self, weight: str) -> bool:
        """Whether the rule says anything about a weight of this name."""
        return self.whole_layer or weight in self.weights or weight in self.selections

    def __str__(self) -> str:
        parts = [str(self.selector), *map(repr, self.weights)]
        odd = {weight: part for weight, part in self.selections.items() if not _is_keyword_argument(weight)}
        parts += [f"{weight}={part}" for weight, part in self.selections.items() if weight not in odd]
        if odd:
            parts.append("**{" + ", ".join(f"{weight!r}: {part}" for weight, part in odd.items()) + "}")
        parts += ["stats=True"] if self.stats else []
        return f"{self.verb}({', '.join(parts)})"

    __repr__ = __str__


def _is_keyword_argument(name: str) -> bool:
    """Whether `f(name=...)` passes exactly this name: Python would turn `º` into `o`."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def freeze(
    selector: Selector | str, /, *weights: str, stats: bool = False, **selections: Selection
) -> TrainabilityRule:
    """Freeze layers, weights, or parts of weights.

    Args:
        selector: Which layers: a glob over the path, or a selector.
        *weights: Names of weights to freeze whole. With neither weights nor selections, the
            layer freezes as a whole, with what training updates besides its weights (moving
            statistics of BatchNormalization).
        stats: Hold moving statistics still too, where weights or selections are named. The layer
            then computes with them as under Keras's own flag. Without weights or selections they
            hold still anyway.
        **selections: Parts of weights to freeze; what is outside stays as it was.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> print(freeze("dense_1"), freeze("dense_1", "kernel"))
        freeze('dense_1') freeze('dense_1', 'kernel')
    """
    rule = make_rule("freeze", selector, weights, selections, caller())
    if not isinstance(stats, bool):
        raise RuleError(f"freeze({rule.selector}, ...): stats is True or False, not {stats!r}")
    return replace(rule, stats=stats and not rule.whole_layer)


def train(selector: Selector | str, /, *weights: str, **selections: Selection) -> TrainabilityRule:
    """Train layers, weights, or only parts of weights.

    Args:
        selector: Which layers: a glob over the path, or a selector.
        *weights: Names of weights to train whole. With neither weights nor selections, all.
        **selections: Of these weights only these parts train, the rest of them freezes. The
            layer's other weights stay as they were.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> from surgeon.select import channels
        >>> print(train("head", kernel=channels(0.1, by="magnitude")))
        train('head', kernel=channels(0.1, by='magnitude'))
    """
    return make_rule("train", selector, weights, selections, caller())


def make_rule(
    verb: Verb,
    selector: Selector | str,
    weights: tuple[str, ...],
    selections: Mapping[str, Selection],
    origin: str,
) -> TrainabilityRule:
    """Return a checked rule.

    Raises:
        RuleError: If an argument makes no sense.
    """
    try:
        chosen = as_selector(selector)
    except RuleError as error:
        raise RuleError(f"{verb}(...): {error}") from error
    typed = f"{verb}({chosen}, ...)"
    seen: set[str] = set()
    for weight in weights:
        if not isinstance(weight, str) or not weight:
            raise RuleError(
                f"{typed}: {weight!r} is not the name of a weight{_named_weight(verb, chosen, weight)}"
            )
        if weight in seen or weight in selections:
            raise RuleError(f"{typed} names the weight {weight!r} twice: whole or in part, but once")
        seen.add(weight)
    for weight, part in selections.items():
        if not isinstance(part, Selection):
            raise RuleError(
                f"{typed}: {weight}={part!r} is not a selection{_as_selection(verb, chosen, weight, part)}"
            )
    return TrainabilityRule(verb, chosen, tuple(weights), dict(selections), origin)


def _named_weight(verb: Verb, selector: Selector, value: Any) -> str:
    if isinstance(value, bool):
        return f": name the weights that are meant. {verb}({selector}) alone means all of them"
    if isinstance(value, Selection):
        return f": say of which weight it is a part: {verb}({selector}, kernel={value})"
    if isinstance(value, list | tuple | set) and value and all(isinstance(one, str) for one in value):
        return f": write {verb}({selector}, {', '.join(map(repr, value))})"
    return f": write {verb}({selector}, 'kernel')"


def _as_selection(verb: Verb, selector: Selector, weight: str, value: Any) -> str:
    if weight == "stats" and isinstance(value, bool):
        return f": moving statistics do not train, and freeze({selector}, stats=True) holds them still"
    if isinstance(value, bool) and near_misses(weight, ["stats"]):
        return near_misses(weight, ["stats"])
    if isinstance(value, bool):
        other = "train" if (verb == "freeze") != value else "freeze"
        return f": write {other}({selector}, {weight!r})"
    if isinstance(value, int | float):
        return f": write {weight}=channels({value!r}, by='magnitude')"
    if isinstance(value, list | tuple | slice):
        return f": write {weight}=channels({value!r})"
    return f": write {weight}=channels(...), rows(...) or elements(...)"
