"""From rules and a model to a plan."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import keras

from surgeon import paths
from surgeon.errors import NoMatchError, SelectionError, WeightNameError, near_misses
from surgeon.graph import GraphEditor, ModelGraph, Node
from surgeon.planning.after import after_graph
from surgeon.planning.architecture import Architecture
from surgeon.planning.asks import Ask, WeightSite, weight_sites
from surgeon.planning.plan import Outcome, Plan, WeightChange
from surgeon.planning.replacing import template, try_layer
from surgeon.roundtrip import sites, to_graph
from surgeon.roundtrip.reading import layer_weights
from surgeon.rules import ReplaceRule, TrainabilityRule, as_rules


def make_plan(model: Any, rules: Any) -> Plan:
    """Return what rules will do to a model, without doing it.

    Args:
        model: A built functional or Sequential `keras.Model`.
        rules: A rule, or a list of rules in order; later ones win, weight by weight.

    Raises:
        NoMatchError: If a rule matches nothing; names near misses.
        WeightNameError: If a named weight is in none of the matched layers.
        RuleError: If something that is no rule is among them.
        NoGraphError: If the model has no graph.
    """
    return plan_for_graph(to_graph(model), rules)


def plan_for_graph(graph: ModelGraph, rules: Any) -> Plan:
    """Return what rules will do to the model that a graph was just read from; see `make_plan`."""
    maker = _Maker(graph)
    outcomes = tuple(maker.outcome(rule) for rule in as_rules(rules))
    return maker.plan(outcomes)


class _Maker:
    """Goes through the rules in order and keeps what has been decided so far."""

    def __init__(self, graph: ModelGraph) -> None:
        self.before = self.graph = graph
        self.sites = sites(graph)
        self.weights = weight_sites(graph)
        self.trainable_before = sum(site.weight.trainable for site in self.weights.values())
        self.asks: defaultdict[str, list[Ask]] = defaultdict(list)
        self.still: dict[str, bool] = {}
        self.replacements: dict[str, Any] = {}

    def outcome(self, rule: Any) -> Outcome:
        return self._replace(rule) if isinstance(rule, ReplaceRule) else self._trainability(rule)

    def plan(self, outcomes: tuple[Outcome, ...]) -> Plan:
        asks = {path: tuple(asks) for path, asks in self.asks.items()}
        parts = {path: self.weights[path].part_after(asks[path]) for path in asks}
        return Plan(
            architecture=Architecture.of(self.before),
            outcomes=outcomes,
            asks=asks,
            still=dict(self.still),
            replacements=dict(self.replacements),
            trainable_before=self.trainable_before,
            trainable_after=sum(
                parts[path].size if path in parts else site.weight.trainable
                for path, site in self.weights.items()
            ),
            size=sum(site.weight.size for site in self.weights.values() if site.weight.role == "parameter"),
            before=self.before,
            after=after_graph(self.graph, parts),
        )

    def _trainability(self, rule: TrainabilityRule) -> Outcome:
        matched = _find(rule, self.sites)
        reached = {id(variable) for node in matched for variable in _variables(node)}
        covered = [w for w in self.weights.values() if id(w.variable) in reached]
        spoken = [w for w in covered if rule.speaks_of(w.name)]
        if not covered:
            some = ", ".join(node.path for node in matched[:3])
            raise NoMatchError(f"{rule.origin}: {rule} matches only layers without weights: {some}")
        _check_names(rule, covered)
        held = self._hold_state(rule, spoken)
        changes = [self._ask(rule, w) for w in spoken if w.weight.role == "parameter"]
        skipped = [(node.path, "no weights") for node in matched if not _variables(node)]
        skipped += [
            (change.path, "already so") for change in changes if _no_change(self.asks[change.path], change)
        ]
        return Outcome(
            str(rule), rule.origin, tuple(n.path for n in matched), tuple(changes), tuple(skipped), held=held
        )

    def _ask(self, rule: TrainabilityRule, site: WeightSite) -> WeightChange:
        asks = self.asks[site.path]
        before = site.part_after(asks).size
        asks.append(Ask(rule.verb, rule.selections.get(site.name), str(rule)))
        return WeightChange(site.path, site.weight.size, before, site.part_after(asks).size)

    def _hold_state(self, rule: TrainabilityRule, spoken: list[WeightSite]) -> tuple[str, ...]:
        """Note which layers are frozen as a whole, by name of the layer or of its state.

        A layer updates all of its state or none of it, so naming one statistic holds all of them.
        """
        for weight in spoken:
            if weight.weight.role == "state" and weight.name in rule.selections:
                raise SelectionError(
                    f"{rule.origin}: {rule}: {weight.path!r} is state, which training updates as a whole or "
                    f"not at all: write {rule.verb}({rule.selector}, {weight.name!r})"
                )
            if rule.whole_layer or rule.stats or weight.weight.role == "state":
                self.still[weight.layer] = rule.verb == "freeze"
        layers = {weight.layer for weight in spoken if weight.layer in self.still}
        return tuple(w.path for w in self.weights.values() if w.weight.role == "state" and w.layer in layers)

    def _replace(self, rule: ReplaceRule) -> Outcome:
        matched = [node for node in _find(rule, _graph_nodes(self.graph)) if not node.is_input]
        if not matched:
            raise NoMatchError(
                f"{rule.origin}: {rule} matches only inputs of the model, which cannot be replaced"
            )
        editor = GraphEditor(self.graph)
        skipped = []
        for node in matched:
            made = rule.make_layer(node)
            if made is None:
                skipped.append((node.path, "the function returned None"))
                continue
            self.replacements[node.path] = template(made, node)
            layer, outputs = try_layer(self.replacements[node.path], node, self.graph)
            editor.replace(node.path, layer, str(rule), layer_weights(layer), outputs)
            for path in [p for p in self.asks if _covers(node.path, p)]:
                del self.asks[path]
            for path in [p for p in self.still if _covers(node.path, p)]:
                del self.still[path]
        self.graph = editor.finish()
        self.sites, self.weights = sites(self.graph), weight_sites(self.graph)
        paths = tuple(node.path for node in matched)
        return Outcome(str(rule), rule.origin, paths, (), tuple(skipped), tuple(editor.journal))


def _find(rule: Any, nodes: list[Node]) -> list[Node]:
    try:
        return list(rule.selector.find(nodes))
    except NoMatchError as error:
        raise NoMatchError(f"{rule.origin}: {rule}: {error}") from error


def _graph_nodes(graph: ModelGraph) -> list[Node]:
    """Return the first call of every node of a graph and the graphs nested in it."""
    found = []
    for node in graph:
        if node.call_index == 0:
            found.append(node)
            found += _graph_nodes(node.inner) if node.inner is not None else []
    return found


def _variables(node: Node) -> list[Any]:
    """Return the weights of a layer and of all that is inside of it, tied and shared ones included."""
    if not isinstance(node.op, keras.layers.Layer):
        return []
    return [variable for _, _, _, variable in paths.weights(node.op)]


def _covers(outer: str, path: str) -> bool:
    return path == outer or path.startswith(outer + "/")


def _check_names(rule: TrainabilityRule, covered: list[WeightSite]) -> None:
    known = sorted({weight.name for weight in covered})
    for name in [*rule.weights, *rule.selections]:
        if name not in known:
            close = near_misses(name, known)
            raise WeightNameError(
                f"{rule.origin}: {rule}: none of the matched layers has a weight {name!r}{close}; "
                f"they have: {', '.join(known)}"
            )


def _no_change(asks: list[Ask], change: WeightChange) -> bool:
    return change.before == change.after and asks[-1].selection is None
