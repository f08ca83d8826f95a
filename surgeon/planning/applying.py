"""Plan and model to model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from surgeon import _keras, paths
from surgeon.errors import PlanError, near_misses
from surgeon.graph import ModelGraph, Node
from surgeon.partial import Part, PartialVariable, Spec, attach
from surgeon.planning.architecture import Architecture
from surgeon.planning.asks import WeightSite, weight_sites, with_held
from surgeon.planning.carrying import fill
from surgeon.planning.flags import able_to_train, loosened, release, split_layers, still_layers
from surgeon.planning.keeping import keep
from surgeon.planning.plan import Plan
from surgeon.planning.replay import changed_paths, check_built, edited_paths, replay
from surgeon.planning.resolving import Resolver
from surgeon.roundtrip import to_graph
from surgeon.roundtrip.building import build
from surgeon.roundtrip.collection import without_collection
from surgeon.roundtrip.compiling import carry_compilation
from surgeon.scoring import Scorer
from surgeon.validation import Validate, check_mode, check_rewrite


def apply(
    plan: Plan,
    model: Any,
    *,
    validate: Validate = "outputs",
    share: bool = False,
    data: Any = None,
    compilation: bool = True,
) -> Any:
    """Return a rewritten copy of `model`, compiled as that is unless told not to; see `Plan.apply`."""
    check_mode(validate)
    graph = to_graph(model)
    plan.architecture.check(Architecture.of(graph))
    scorer = Scorer(model, data)
    return apply_to_graph(plan, graph, scorer, validate=validate, share=share, compilation=compilation)


@without_collection()
def apply_to_graph(
    plan: Plan,
    graph: ModelGraph,
    scorer: Scorer,
    *,
    validate: Validate,
    share: bool,
    compilation: bool = True,
) -> Any:
    """Return a rewritten copy of the model that a graph was just read from."""
    with _keras.strategy_scope(graph.model.variables):
        rewritten = _rewritten(plan, graph, scorer, share=share)
        if compilation:
            carry_compilation(graph.model, rewritten)
        replaced = edited_paths(plan, graph)
        check_rewrite(graph, rewritten, mode=validate, replaced=replaced, edited=bool(plan.journal))
        return rewritten


def _rewritten(plan: Plan, graph: ModelGraph, scorer: Scorer, *, share: bool) -> Any:
    editor = replay(plan.journal, plan.templates, graph)
    edited = editor.finish()
    weights, still = weight_sites(edited), still_layers(plan, edited)
    kept = keep(plan.journal, plan.templates, graph, still_layers(plan, graph))
    new = changed_paths(graph, edited) if plan.journal else frozenset()
    parts = parts_of(plan, edited, weights, still, scorer, new=new)
    parts = {path: part for path, part in parts.items() if path in plan.asks or path not in kept.new}
    touched = {id(weights[path].variable) for path in parts if path in weights}
    rewritten = build(edited, shared=lambda node: share and not _touches(node, touched))
    fill(editor.carried, plan.templates)
    held = kept.of(to_graph(rewritten)) if kept.parts else {}
    parts |= {path: part for path, part in held.items() if path not in plan.asks}
    _attach(rewritten, plan, parts, still | kept.still, split_layers(edited, parts), scorer, held)
    if new:
        release(rewritten, able_to_train(rewritten, new))
    _adapt(rewritten, plan, parts)
    if plan.journal:
        check_built(edited, rewritten)
    return rewritten


def parts_of(
    plan: Plan,
    graph: ModelGraph,
    weights: dict[str, WeightSite],
    still: frozenset[str],
    scorer: Scorer,
    *,
    new: Iterable[str] = (),
) -> dict[str, Part]:
    """Return what will train of each weight that a rule speaks of, or that is held in some way already.

    Args:
        plan: The plan.
        graph: The graph after its edits.
        weights: Its weights by path.
        still: Paths of all layers whose state holds still.
        scorer: What criteria ask.
        new: Paths of the layers that the edits put there.
    """
    parts = {
        path: site.current for path, site in weights.items() if isinstance(site.variable, PartialVariable)
    }
    resolver = Resolver(weights, plan.asks, scorer)
    asked = {path: resolver.part(path) for path in weights if path in plan.asks}
    wanted = [path for path, part in asked.items() if not part.is_none]
    wanted += [f"{path}/" for path in new]  # what they hold is not built yet
    loose = loosened(wanted, graph, weights)
    state = [path for path, site in weights.items() if site.layer in still and site.weight.role == "state"]
    held = {path: Part.none(weights[path].weight.shape) for path in [*loose, *state]}
    moving = {p for p, site in weights.items() if site.weight.role == "state" and site.layer not in still}
    found = {**held, **parts, **asked}
    return {path: part for path, part in found.items() if path not in moving}


def _touches(node: Node, touched: set[int]) -> bool:
    """Whether a layer has one of these variables, itself, inside, or tied to another layer's."""
    if not isinstance(node.op, keras.layers.Layer):
        return False
    return bool(touched) and any(id(variable) in touched for _, _, _, variable in paths.weights(node.op))


def _attach(
    model: Any,
    plan: Plan,
    parts: dict[str, Part],
    still: frozenset[str],
    split: frozenset[str],
    scorer: Scorer,
    held: Mapping[str, Part],
) -> None:
    if not (parts or still or plan.asks):
        return
    weights = {paths.join(path, name): variable for path, name, _, variable in paths.weights(model)}
    new = [path for path in plan.asks if path not in parts]  # of layers that a rule put here
    if new:
        sites = with_held(weight_sites(to_graph(model)), held)
        resolver = Resolver(sites, plan.asks, Scorer(model, scorer.data))
        for path in new:
            if path not in sites:  # a plan that was read from JSON may say anything
                raise PlanError(f"damaged plan: the model has no weight {path!r}{near_misses(path, sites)}")
            parts[path] = resolver.part(path)
    # What the model lists as its own is not found under its layer; `attach` refuses it.
    spec = {path: part for path, part in parts.items() if not isinstance(weights.get(path), PartialVariable)}
    attach(model, Spec(spec, still, split))
    release(model, [path for path in plan.asks if not parts[path].is_none])
    forget_functions(model)


def check_plan(plan: Plan, before: Any, after: Any) -> None:
    """Check, outputs included, that a model is what a plan makes of another one.

    Raises:
        ValidationError: Names every difference.
    """
    graph = to_graph(before)
    replaced, edited = edited_paths(plan, graph), bool(plan.journal)
    check_rewrite(graph, after, mode="outputs", replaced=replaced, edited=edited)


def _adapt(model: Any, plan: Plan, parts: Mapping[str, Part]) -> None:
    layers, adapted = dict(paths.walk(model)), {adapter.path for adapter in plan.adapters}
    for adapter in plan.adapters:
        layers[adapter.path].enable_lora(adapter.rank, lora_alpha=adapter.alpha)
    # It freezes the kernel by its flag, also one that a later rule lets train.
    release(model, [p for p in plan.asks if p.rpartition("/")[0] in adapted and not parts[p].is_none])


def forget_functions(model: Any) -> None:
    """Let a model trace anew what it does in a step: it was compiled before its weights were exchanged."""
    model.train_function = model.test_function = model.predict_function = None
