"""Where the weights of new layers come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from surgeon import paths
from surgeon.errors import PlanError, RuleError
from surgeon.graph import Carrying
from surgeon.planning.templates import Template

Values = dict[str, Any]

COMPUTATIONS: dict[str, Callable[..., Values]] = {}
"""Computations that a plan's JSON may name: only these, so that a plan stays data."""


def computation(function: Callable[..., Values]) -> Callable[..., Values]:
    """Register a function of the sources' weights under its own name, for plans to refer to."""
    COMPUTATIONS[function.__name__] = function
    return function


def fill(carried: Sequence[Carrying], templates: Sequence[Template]) -> None:
    """Give new layers, in the model that was built, the weights that they are to have.

    Args:
        carried: What each new layer takes from which layers, as the editor noted it.
        templates: How, by slot.

    Raises:
        RuleError: If a computation failed, or its result does not fit.
    """
    values = reader(carried, templates)
    for each in carried:
        own = {paths.join(path, name): variable for path, name, _, variable in paths.weights_of(each.op)}
        for path, value in values(each.op).items():
            if path in own and value is not own[path]:
                own[path].assign(np.array(keras.ops.convert_to_numpy(value)))
        if hasattr(each.op, "finalize_state") and own:
            each.op.finalize_state()  # a Normalization computes with what is derived from its weights


def reader(carried: Sequence[Carrying], templates: Sequence[Template]) -> Callable[[Any], Values]:
    """Return a function that says which weights a layer has, or will have once it is filled.

    Args:
        carried: What each new layer takes from which layers, as the editor noted it.
        templates: How, by slot.
    """
    by_op = {id(each.op): each for each in carried}
    known: dict[int, Values] = {}

    def values(op: Any) -> Values:
        if id(op) not in known:
            each = by_op.get(id(op))
            known[id(op)] = _read(op) if each is None else computed(each)
        return known[id(op)]

    def computed(each: Carrying) -> Values:
        template = templates[each.slot]
        # A layer that was put in and replaced again was never built: what it would have carried goes on.
        own = _read(each.op)
        found = _carried(template, [values(source) for source in each.sources])
        fitting = {p: v for p, v in found.items() if not own or _is_like(own.get(p), v)}
        if callable(template.how) or template.how in COMPUTATIONS:
            _check(each, own, found)
        return own | fitting

    return values


def _read(op: Any) -> Values:
    """Return a layer's weights, as variables: most are never converted."""
    return {paths.join(path, name): variable for path, name, _, variable in paths.weights_of(op)}


def _carried(template: Template, sources: list[Values]) -> Values:
    if template.how == "own" or not sources:
        return {}
    if template.how == "same":
        return dict(sources[0])
    if template.how == "inner":
        return {paths.join(template.details["at"], path): value for path, value in sources[0].items()}
    compute = template.how if callable(template.how) else COMPUTATIONS.get(template.how)
    if compute is None:
        raise PlanError(f"this Surgeon does not know the computation {template.how!r} that the plan names")
    arrays = [{path: _array(value) for path, value in source.items()} for source in sources]
    try:
        return compute(*arrays, **template.details)
    except Exception as error:
        name = getattr(compute, "__name__", repr(compute))
        raise RuleError(
            f"computing the weights of {template.layer.name!r} by {name} failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def _check(each: Carrying, own: Values, found: Values) -> None:
    for path, value in found.items():
        if own and (path not in own or _shape(own[path]) != _shape(value)):
            has = f"{path} of shape {_shape(own[path])}" if path in own else "no such weight"
            raise RuleError(f"{each.op.name!r} was to get {path} of shape {_shape(value)}; it has {has}")


def _is_like(variable: Any, value: Any) -> bool:
    return variable is not None and _shape(variable) == _shape(value)


def _array(value: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(value.value if isinstance(value, keras.Variable) else value))


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


def carried_names(
    template: Template, op: Any, sources: Sequence[Any]
) -> tuple[list[str], dict[str, tuple[int, ...]]]:
    """Return which weights of a new layer are carried, and which have new values, with their shapes.

    Args:
        template: How the layer gets its weights.
        op: The layer, built.
        sources: The layers that it takes them from.
    """
    own = _read(op)
    if template.how == "own":
        return [], {}
    if template.how not in ("same", "inner"):
        return list(own), {}
    found = _carried(template, [_read(source) for source in sources])
    fits = [path for path in own if path in found and _shape(found[path]) == _shape(own[path])]
    return fits, {path: _shape(variable) for path, variable in own.items() if path not in fits}
