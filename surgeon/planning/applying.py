"""Plan and model to model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from surgeon import _keras, paths
from surgeon.errors import PlanError, near_misses
from surgeon.graph import GraphEditor, ModelGraph, Node
from surgeon.partial import Part, PartialVariable, Spec, attach
from surgeon.planning.architecture import Architecture
from surgeon.planning.asks import WeightSite, weight_sites
from surgeon.planning.flags import loosened, release, still_layers
from surgeon.planning.plan import Plan
from surgeon.roundtrip import to_graph
from surgeon.roundtrip.building import build
from surgeon.roundtrip.compiling import carry_compilation
from surgeon.roundtrip.copying import copy_op
from surgeon.validation import Validate, check_mode, check_rewrite


def apply(plan: Plan, model: Any, *, validate: Validate = "outputs", share: bool = False) -> Any:
    """Return a rewritten copy of `model`; see `Plan.apply`."""
    check_mode(validate)
    graph = to_graph(model)
    plan.architecture.check(Architecture.of(graph))
    return apply_to_graph(plan, graph, validate=validate, share=share)


def apply_to_graph(plan: Plan, graph: ModelGraph, *, validate: Validate, share: bool) -> Any:
    """Return a rewritten copy of the model that a graph was just read from."""
    with _keras.strategy_scope(graph.model.variables):
        return _apply_to_graph(plan, graph, validate, share=share)


def _apply_to_graph(plan: Plan, graph: ModelGraph, validate: Validate, *, share: bool) -> Any:
    model = graph.model
    edited, templates = _edited(plan, graph)
    weights, still = weight_sites(graph), still_layers(plan, graph)
    parts = _parts(plan, graph, weights, still)
    touched = {id(weights[path].variable) for path in parts}
    rewritten = build(edited, shared=lambda node: share and not _touches(node, touched))
    _carry_into_replacements(plan, graph, templates)
    _attach(rewritten, plan, parts, still)
    carry_compilation(model, rewritten)
    check_rewrite(graph, rewritten, mode=validate, replaced=frozenset(plan.replacements))
    return rewritten


def _edited(plan: Plan, graph: ModelGraph) -> tuple[ModelGraph, dict[str, Any]]:
    editor = GraphEditor(graph)
    layers = {path: copy_op(layer) for path, layer in plan.replacements.items()}
    for path, layer in layers.items():
        if layer.built:
            layer.set_weights(plan.replacements[path].get_weights())
        editor.replace(path, layer)
    return editor.finish(), layers


def _parts(
    plan: Plan, graph: ModelGraph, weights: dict[str, WeightSite], still: frozenset[str]
) -> dict[str, Part]:
    """Return what will train of each weight that a rule speaks of, or that is held in some way already."""
    parts = {
        path: site.current for path, site in weights.items() if isinstance(site.variable, PartialVariable)
    }
    asked = {path: site.part_after(plan.asks[path]) for path, site in weights.items() if path in plan.asks}
    wanted = [path for path, part in asked.items() if not part.is_none]
    loose = loosened(wanted, graph, weights)
    state = [path for path, site in weights.items() if site.layer in still and site.weight.role == "state"]
    held = {path: Part.none(weights[path].weight.shape) for path in [*loose, *state]}
    moving = {p for p, site in weights.items() if site.weight.role == "state" and site.layer not in still}
    found = {**held, **parts, **asked}
    return {p: part for p, part in found.items() if p not in moving and not _inside(p, plan.replacements)}


def _inside(path: str, outer: Collection[str]) -> bool:
    return any(path.startswith(layer + "/") for layer in outer)


def _touches(node: Node, touched: set[int]) -> bool:
    """Whether a layer has one of these variables, itself, inside, or tied to another layer's."""
    if node.is_input or not isinstance(node.op, keras.layers.Layer):
        return node.is_input
    return bool(touched) and any(id(variable) in touched for _, _, _, variable in paths.weights(node.op))


def _carry_into_replacements(plan: Plan, graph: ModelGraph, layers: dict[str, Any]) -> None:
    """Let a replacement that has no weights of its own yet take over those that fit."""
    for path, layer in layers.items():
        if plan.replacements[path].built:
            continue
        old = {(where, name): variable for where, name, _, variable in paths.weights(_op_at(graph, path))}
        for where, name, _, variable in paths.weights(layer):
            source = old.get((where, name))
            if source is not None and tuple(source.shape) == tuple(variable.shape):
                variable.assign(np.array(keras.ops.convert_to_numpy(source.value)))


def _op_at(graph: ModelGraph, path: str) -> Any:
    for node in graph:
        if node.path == path:
            return node.op
        if node.inner is not None and path.startswith(node.path + "/"):
            return _op_at(node.inner, path)
    raise LookupError(path)


def _attach(model: Any, plan: Plan, parts: dict[str, Part], still: frozenset[str]) -> None:
    if not (parts or still or plan.asks):
        return
    weights = {paths.join(path, name): variable for path, name, _, variable in paths.weights(model)}
    new = [path for path in plan.asks if path not in parts]  # of layers that a rule put here
    sites = weight_sites(to_graph(model)) if new else {}
    for path in new:
        if path not in sites:  # a plan that was read from JSON may say anything
            raise PlanError(f"damaged plan: the model has no weight {path!r}{near_misses(path, sites)}")
    parts |= {path: sites[path].part_after(plan.asks[path]) for path in new}
    spec = {path: part for path, part in parts.items() if not isinstance(weights[path], PartialVariable)}
    attach(model, Spec(spec, still))
    release(model, [path for path in plan.asks if not parts[path].is_none])
    _forget_functions(model)


def _forget_functions(model: keras.Model) -> None:
    model.train_function = model.test_function = model.predict_function = None
