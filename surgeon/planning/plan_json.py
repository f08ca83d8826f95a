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
from surgeon.planning.plan import Adapter, Outcome, Plan, WeightChange
from surgeon.planning.templates import Template
from surgeon.select import selection_from_data
from surgeon.select.code import code_place

FORMAT = 2


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
        "journal": [asdict(change) for change in plan.journal],
        "adapters": [asdict(adapter) for adapter in plan.adapters],
        "templates": [_template(made) for made in plan.templates],
    }
    return json.dumps(data, indent=indent, ensure_ascii=False)


def _template(made: Template) -> dict[str, Any]:
    layer, how = made.layer, made.how
    if how == "own":
        raise PlanError(
            f"the new layer {layer.name!r} has weights of its own, and a plan holds no values: "
            "use a layer that was not built yet"
        )
    if callable(how):
        raise PlanError(
            f"the weights of the new layer {layer.name!r} are computed by {code_place(how)}, and a plan "
            "holds no code: keep the rules in a script"
        )
    return {"layer": _describe(layer), "how": how, "details": dict(made.details)}


def _describe(layer: Any) -> Any:
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
            journal=tuple(_change(change) for change in data["journal"]),
            adapters=tuple(Adapter(**adapter) for adapter in data["adapters"]),
            templates=tuple(_read_template(made) for made in data["templates"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RuleError) as error:
        raise PlanError(f"damaged plan: {type(error).__name__}: {error}") from error


def _read_template(data: Any) -> Template:
    return Template(keras.saving.deserialize_keras_object(data["layer"]), data["how"], data["details"])


def _change(data: Any) -> Change:
    return Change(**{**data, "slots": tuple(data["slots"])})


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
        changes=tuple(_change(change) for change in data["changes"]),
        held=tuple(data["held"]),
    )
