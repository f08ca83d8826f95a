"""Plans as JSON, both ways. Only data: no code, no values of weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import keras

from surgeon.errors import PlanError, RuleError
from surgeon.graph import Change
from surgeon.planning.architecture import Architecture
from surgeon.planning.asks import Ask
from surgeon.planning.plan import Outcome, Plan, WeightChange
from surgeon.select import selection_from_data

FORMAT = 1


def plan_to_json(plan: Plan, *, indent: int | None = None) -> str:
    """Return a plan as JSON; see `Plan.to_json`."""
    asks = {
        path: [
            {
                "verb": a.verb,
                "rule": a.rule,
                "selection": a.selection and a.selection.to_data(),
                "pool": list(a.pool),
                "number": a.number,
            }
            for a in asks
        ]
        for path, asks in plan.asks.items()
    }
    data = {
        "surgeon_plan": FORMAT,
        "layers": plan.architecture.layers,
        "edges": plan.architecture.edges,
        "outcomes": [asdict(outcome) for outcome in plan.outcomes],
        "asks": asks,
        "still": plan.still,
        "totals": [plan.trainable_before, plan.trainable_after, plan.size],
        "replacements": {path: _describe(path, layer) for path, layer in plan.replacements.items()},
    }
    return json.dumps(data, indent=indent, ensure_ascii=False)


def _describe(path: str, layer: Any) -> Any:
    if layer.built and layer.weights:
        raise PlanError(
            f"the layer that replaces {path!r} has weights of its own, and a plan holds no values: "
            "replace it by a layer that was not built yet"
        )
    try:
        described = keras.saving.serialize_keras_object(layer)
        json.dumps(described)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise PlanError(
            f"{type(layer).__name__} {layer.name!r} cannot be written as JSON: {error}"
        ) from error
    return described


def plan_from_json(text: str) -> Plan:
    """Return the plan that `plan_to_json` wrote; see `Plan.from_json`."""
    try:
        data = json.loads(text)
        if data.get("surgeon_plan") != FORMAT:
            raise PlanError(
                f"this is no plan of format {FORMAT}: surgeon_plan is {data.get('surgeon_plan')!r}"
            )
        return Plan(
            architecture=Architecture(data["layers"], data["edges"]),
            outcomes=tuple(_outcome(outcome) for outcome in data["outcomes"]),
            asks={path: tuple(_ask(ask) for ask in asks) for path, asks in data["asks"].items()},
            still=data["still"],
            **dict(zip(("trainable_before", "trainable_after", "size"), data["totals"], strict=True)),
            replacements={
                path: keras.saving.deserialize_keras_object(layer)
                for path, layer in data["replacements"].items()
            },
        )
    except (AttributeError, KeyError, TypeError, ValueError, RuleError) as error:
        raise PlanError(f"damaged plan: {type(error).__name__}: {error}") from error


def _ask(data: Any) -> Ask:
    if data["verb"] not in ("freeze", "train"):
        raise ValueError(f"unknown verb {data['verb']!r}")
    selection = data["selection"]
    chosen = None if selection is None else selection_from_data(selection)
    return Ask(data["verb"], chosen, data["rule"], tuple(data.get("pool", ())), int(data.get("number", 0)))


def _outcome(data: Any) -> Outcome:
    return Outcome(
        rule=data["rule"],
        origin=data["origin"],
        matched=tuple(data["matched"]),
        weights=tuple(WeightChange(**change) for change in data["weights"]),
        skipped=tuple((path, reason) for path, reason in data["skipped"]),
        changes=tuple(Change(**change) for change in data["changes"]),
        held=tuple(data["held"]),
    )
