"""From rules and a model to a plan."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from surgeon import paths
from surgeon.errors import NoMatchError, RuleError, SelectionError
from surgeon.graph import Change, ModelGraph, Node, Weight
from surgeon.planning.after import after_graph, lora_weights
from surgeon.planning.architecture import Architecture
from surgeon.planning.asks import Ask, WeightSite, other_path, shrunk, weight_sites, with_held
from surgeon.planning.history import History
from surgeon.planning.keeping import apart, covers, keep, where_to
from surgeon.planning.matching import find_layers, variables_of, what_it_means
from surgeon.planning.models_own import check_models_own, models_own
from surgeon.planning.plan import Adapter, Outcome, Plan, WeightChange
from surgeon.planning.resolving import Resolver
from surgeon.planning.surgery import Performed, Surgery
from surgeon.roundtrip import sites, to_graph
from surgeon.rules import LoraRule, Repeat, StructureRule, TrainabilityRule, as_rules
from surgeon.scoring import Scorer
from surgeon.select import Selection, World


def make_plan(model: Any, rules: Any, *, data: Any = None) -> Plan:
    """Return what rules will do to a model, without doing it.

    Args:
        model: A built functional or Sequential `keras.Model`.
        rules: A rule, or a list of rules in order; later ones win, weight by weight.
        data: For criteria that look at data and bring none of their own, if how much of a weight trains
            depends on them (`over="model"`). Otherwise they are not looked at before the plan is carried out.

    Raises:
        NoMatchError: If a rule matches nothing; names near misses.
        WeightNameError: If a named weight is in none of the matched layers.
        RuleError: If something that is no rule is among them.
        NoGraphError: If the model has no graph.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> plan = surgeon.plan(model, [surgeon.freeze("head", "kernel")])
        >>> print(plan)  # doctest: +ELLIPSIS
        1. ...freeze('head', 'kernel')...
           matches 1 layer: head
           head/kernel: 8 → 0 of 8 train
        <BLANKLINE>
        trainable: 10 → 2 of 10 parameters (20.00%)
    """
    return plan_for_graph(to_graph(model), rules, Scorer(model, data))


def plan_for_graph(graph: ModelGraph, rules: Any, scorer: Scorer) -> Plan:
    """Return what rules will do to the model that a graph was just read from; see `make_plan`.

    The scores that this takes are kept by the scorer, and are there when the plan is carried out.
    """
    maker = _Maker(graph, scorer)
    outcomes = tuple(maker.outcome(rule) for rule in as_rules(rules))
    return maker.plan(outcomes)


_QUANTIZED = ("int8", "uint8")
"""What Keras's quantized layers hold; counters, which are no such thing, have more bits."""


class _Maker:
    """Goes through the rules in order and keeps what has been decided so far."""

    def __init__(self, graph: ModelGraph, scorer: Scorer) -> None:
        self.before = graph
        self.surgery = Surgery(graph)
        self.sites = sites(graph)
        self.weights = weight_sites(graph)
        self.models_own = models_own(graph)
        self.trainable_before = sum(site.weight.trainable for site in self.weights.values())
        self.asks: defaultdict[str, list[Ask]] = defaultdict(list)
        self.scorer = scorer
        self.resolver = Resolver(self.weights, self.asks, scorer)
        self.number = 0
        self.still: dict[str, bool] = {}
        self.adapters: list[Adapter] = []
        self.lora: dict[str, tuple[Weight, ...]] = {}
        self.history = History()

    def outcome(self, rule: Any) -> Outcome:
        self.number += 1
        before = self.surgery.graph
        try:
            outcome = self._outcome(rule)
        except NoMatchError as error:
            hint = self.history.hint(rule, self.surgery.graph)
            if not hint:
                raise
            raise NoMatchError(f"{error}{hint}") from error
        self.history.note(self.number, rule, before, outcome.changes)
        return outcome

    def _outcome(self, rule: Any) -> Outcome:
        if isinstance(rule, Repeat):
            return self._repeat(rule)
        if isinstance(rule, LoraRule):
            return self._lora(rule)
        return self._structure(rule) if isinstance(rule, StructureRule) else self._trainability(rule)

    def plan(self, outcomes: tuple[Outcome, ...]) -> Plan:
        asks = {path: tuple(asks) for path, asks in self.asks.items()}
        sizes = {path: site.held.size for path, site in self.weights.items() if site.held is not None}
        sizes |= {path: self.resolver.size(path) for path in asks}
        added = sum(adapter.size for adapter in self.adapters)
        of_models = sum(own.size for own in self.models_own)
        return Plan(
            architecture=Architecture.of(self.before),
            outcomes=outcomes,
            asks=asks,
            still=dict(self.still),
            journal=tuple(self.surgery.journal),
            templates=tuple(self.surgery.templates),
            adapters=tuple(self.adapters),
            trainable_before=of_models + self.trainable_before,
            trainable_after=of_models
            + added
            + sum(sizes.get(path, site.weight.trainable) for path, site in self.weights.items()),
            size=of_models
            + added
            + sum(site.weight.size for site in self.weights.values() if site.weight.role == "parameter"),
            before=self.before,
            after=after_graph(self.surgery.graph, sizes, self.still, self.lora),
        )

    def _trainability(self, rule: TrainabilityRule) -> Outcome:
        world = World(self.surgery.graph, self.sites)
        matched, spoken = what_it_means(rule, self.sites, world, self.weights.values())
        check_models_own(rule, self.models_own, matched, self.sites)
        held = self._hold_state(rule, spoken)
        try:
            changes = self._ask(rule, [w for w in spoken if w.weight.role == "parameter"])
        except RuleError as error:  # it names the rule, not where it was written
            raise type(error)(f"{rule.origin}: {error}") from error
        skipped = [(node.path, "no weights") for node in matched if not variables_of(node)]
        skipped += _without_named(rule, matched, spoken)
        skipped += [
            (change.path, "already so") for change in changes if _no_change(self.asks[change.path], change)
        ]
        return Outcome(
            str(rule), rule.origin, tuple(n.path for n in matched), tuple(changes), tuple(skipped), held=held
        )

    def _ask(self, rule: TrainabilityRule, spoken: list[WeightSite]) -> list[WeightChange]:
        before = [self.resolver.size(site.path) for site in spoken]
        for site in spoken:
            selection = rule.selections.get(site.name)
            pool = () if selection is None else _pool(rule, selection, site, spoken)
            self.asks[site.path].append(Ask(rule.verb, selection, str(rule), pool, self.number))
        return [
            WeightChange(site.path, site.weight.size, size, self.resolver.size(site.path))
            for site, size in zip(spoken, before, strict=True)
        ]

    def _hold_state(self, rule: TrainabilityRule, spoken: list[WeightSite]) -> tuple[str, ...]:
        """Note which layers are frozen as a whole, by name of the layer or of its state.

        A layer updates all of its state or none of it, so naming one statistic holds all of them.
        """
        layers, of = set(), {weight.layer for weight in spoken}
        if rule.stats and not any(w.weight.role == "state" and w.layer in of for w in self.weights.values()):
            raise RuleError(
                f"{rule.origin}: {rule}: none of the matched layers has statistics: leave stats=True out"
            )
        for weight in spoken:
            named = weight.name in rule.selections or weight.name in rule.weights
            if named and rule.verb == "train" and weight.weight.dtype in _QUANTIZED:
                raise SelectionError(
                    f"{rule.origin}: {rule}: {weight.path!r} holds whole numbers ({weight.weight.dtype}), as "
                    "that of a quantized layer does, and cannot train: train it before quantize(...), or add "
                    f"lora({weight.layer!r}, rank=4)"
                )
            if weight.weight.role == "state" and weight.name in rule.selections:
                raise SelectionError(
                    f"{rule.origin}: {rule}: {weight.path!r} is state, which training updates as a whole or "
                    f"not at all: write {rule.verb}({rule.selector}, {weight.name!r})"
                )
            if rule.whole_layer or rule.stats or weight.weight.role == "state":
                self.still[weight.layer] = rule.verb == "freeze"
                layers.add(weight.layer)
        return tuple(w.path for w in self.weights.values() if w.weight.role == "state" and w.layer in layers)

    def _lora(self, rule: LoraRule) -> Outcome:
        matched = find_layers(rule, self.sites, World(self.surgery.graph, self.sites))
        changes, skipped = [], []
        for node in matched:
            if not hasattr(node.op, "enable_lora") or node.inner is not None:
                skipped.append((node.path, f"{node.class_name} takes no adapter"))
                continue
            named = {w.path.rpartition("/")[2]: w for w in self.weights.values() if w.layer == node.path}
            adapted = named.get("kernel") or named.get("embeddings")
            has_one = getattr(node.op, "lora_enabled", False) or node.path in {a.path for a in self.adapters}
            if adapted is None or has_one:
                skipped.append((node.path, "it has an adapter already" if adapted else "it has no kernel"))
                continue
            if adapted.variable.constraint is not None:
                why = (
                    f"its {adapted.path.rpartition('/')[2]} has a constraint, and then Keras adds no adapter"
                )
                skipped.append((node.path, why))
                continue
            before = self.resolver.size(adapted.path)
            self.asks[adapted.path].append(Ask("freeze", None, str(rule), (), self.number))
            shape = adapted.weight.shape
            size = rule.rank * (math.prod(shape[:-1]) + shape[-1])
            self.adapters.append(Adapter(node.path, rule.rank, rule.alpha, size))
            self.lora[node.path] = lora_weights(adapted.weight, rule.rank)
            changes.append(WeightChange(adapted.path, adapted.weight.size, before, 0))
        if not changes:
            raise NoMatchError(
                f"{rule.origin}: {rule} matches no layer that takes an adapter: "
                f"{skipped[0][0]!r}: {skipped[0][1]}"
            )
        paths = tuple(node.path for node in matched)
        return Outcome(str(rule), rule.origin, paths, tuple(changes), tuple(skipped))

    def _structure(self, rule: StructureRule) -> Outcome:
        done = self.surgery.perform(rule)
        self._look_again(done.changes)
        return _outcome(rule, done)

    def _repeat(self, rule: Repeat) -> Outcome:
        """Run rules until they find nothing more.

        Raises:
            RuleError: If a rule still changes something after the last pass; names it.
        """
        total = Performed()
        busy: StructureRule | None = None
        for number in range(rule.at_most + 1):
            busy = None
            for one in rule.rules:
                try:
                    done = self.surgery.perform(one)
                except NoMatchError:
                    if number == 0 and one is rule.rules[0]:
                        raise
                    continue
                if done.changes:
                    busy = one
                    self._look_again(done.changes)
                    total.matched += done.matched
                    total.changes += done.changes
            if busy is None:
                return _outcome(rule, total)
        raise RuleError(
            f"{rule.origin}: {busy} still finds something to change after {rule.at_most} passes: it would "
            "loop. Let it leave alone what it has made, or allow more passes with at_most="
        )

    def _look_again(self, changes: Sequence[Change]) -> None:
        """Take note of layers that are new, gone, or have another name."""
        for change in changes:
            self._reshape_asks(change)
        surgery = self.surgery
        held = keep(surgery.journal, surgery.templates, self.before, frozenset()).of(surgery.graph)
        self.sites, self.weights = sites(surgery.graph), with_held(weight_sites(surgery.graph), held)
        self.resolver = Resolver(self.weights, self.asks, self.scorer)
        for change in changes:
            moved = where_to(change, surgery.templates)
            if moved is not None:
                self._move_asks(change.path, moved)
            if change.kind == "unshared":
                self._copy_asks(change.path, apart(change, surgery.templates))
            if change.kind in ("inserted", "replaced", "shared", "removed"):
                self._drop_asks(change.path)
        for path in [p for p in self.asks if p not in self.weights]:
            asks, known = self.asks.pop(path), other_path(path, surgery.graph)
            if known is not None:
                self.asks[known] = asks
        alive = {site.path for site in self.sites}
        for path in [p for p in self.still if p not in alive]:
            del self.still[path]

    def _reshape_asks(self, change: Change) -> None:
        """Let what was asked of weights fit the shapes that an edit gives them."""
        if change.kind == "pruned":
            self._shrink_asks(change)
        elif change.kind in ("configured", "refitted"):
            self._free_new_values(change)

    def _shrink_asks(self, change: Change) -> None:
        """Let what was asked of channels by their positions be asked of those that stay."""
        takes = self.surgery.templates[change.slots[0]].details["takes"]
        for name, positions in takes.items():
            site = self.weights.get(paths.join(change.path, name))
            if site is not None and site.path in self.asks:
                asks = [shrunk(ask, site, positions) for ask in self.asks.pop(site.path)]
                if any(asks):
                    self.asks[site.path] = [ask for ask in asks if ask is not None]

    def _free_new_values(self, change: Change) -> None:
        """Forget what was asked of weights whose values are new: those that it was asked of are gone."""
        for name in self.surgery.templates[change.slots[0]].details.get("new", ()):
            path = paths.join(change.path, name)
            self.asks.pop(path, None)
            if path in self.weights and self.weights[path].weight.role == "state":
                self.still.pop(self.weights[path].layer, None)

    def _drop_asks(self, layer: str) -> None:
        for path in [p for p in self.asks if covers(layer, p)]:
            del self.asks[path]
        for path in [p for p in self.still if covers(layer, p)]:
            del self.still[path]

    def _copy_asks(self, layer: str, others: Sequence[str]) -> None:
        """Let what was asked of a layer be asked of those that were it until now."""
        for path in [p for p in self.asks if covers(layer, p)]:
            for other in others:
                now = paths.join(other, path[len(layer) + 1 :])
                pools = [tuple(now if one == path else one for one in ask.pool) for ask in self.asks[path]]
                asked = zip(self.asks[path], pools, strict=True)
                self.asks[now] = [replace(ask, pool=pool) for ask, pool in asked]
        for path in [p for p in self.still if covers(layer, p)]:
            for other in others:
                self.still[paths.join(other, path[len(layer) + 1 :])] = self.still[path]

    def _move_asks(self, old: str, new: str) -> None:
        for path in [p for p in self.asks if covers(old, p)]:
            self.asks[paths.join(new, path[len(old) + 1 :])] = self.asks.pop(path)
        for path in [p for p in self.still if covers(old, p)]:
            self.still[paths.join(new, path[len(old) + 1 :])] = self.still.pop(path)


def _outcome(rule: StructureRule | Repeat, done: Performed) -> Outcome:
    return Outcome(str(rule), rule.origin, tuple(done.matched), (), tuple(done.skipped), tuple(done.changes))


def _without_named(
    rule: TrainabilityRule, matched: list[Node], spoken: list[WeightSite]
) -> list[tuple[str, str]]:
    """Return the layers that have weights, but none of those that the rule names."""
    named = {id(weight.variable) for weight in spoken}
    what = " or ".join([*rule.weights, *rule.selections])
    others = [(node.path, [id(v) for v in variables_of(node)]) for node in matched]
    return [(path, f"no {what}") for path, own in others if own and not named.intersection(own)]


def _pool(
    rule: TrainabilityRule, selection: Selection, site: WeightSite, spoken: list[WeightSite]
) -> tuple[str, ...]:
    """Return the weights that share the budget of a selection with this one."""
    if selection.over == "weight":
        return ()
    return tuple(
        other.path
        for other in spoken
        if rule.selections.get(other.name) == selection
        and (selection.over == "model" or other.layer == site.layer)
    )


def _no_change(asks: list[Ask], change: WeightChange) -> bool:
    return change.before == change.after and asks[-1].selection is None
