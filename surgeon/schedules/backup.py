"""Everything that a run needs to go on from, in one safetensors file.

Beside values, optimizer slots and seeds it holds what no checkpoint of the model has: which elements train,
and where they were when their selection last changed, which decides what a regrowth lets go.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from surgeon import _keras, paths
from surgeon.checkpoint import atomic_output
from surgeon.errors import RuleError, SurgeonError, near_misses
from surgeon.partial import Part, PartialVariable
from surgeon.partial.layer import STILL
from surgeon.planning import train_parts
from surgeon.roundtrip.compiling import stored

KEY, FORMAT = "surgeon_backup", 2

Array = NDArray[Any]


def write_backup(path: str | os.PathLike[str], model: Any, schedule: str, done: int) -> None:
    """Write how far a run has come.

    Args:
        path: The file; one that is there is replaced, in one step.
        model: The model that trains.
        schedule: Digest of the schedule.
        done: How many epochs, or phases, have ended.
    """
    variables = dict(_variables(model))
    arrays = {name: _array(variable) for name, variable in variables.items()}
    data = {
        "format": FORMAT,
        "schedule": schedule,
        "done": done,
        "parts": {
            p: v.part.to_config() for p, v in _weights(model).items() if isinstance(v, PartialVariable)
        },
        "still": [where for where, layer in _layers(model) if vars(layer).get(STILL)],
        "dtypes": {name: str(array.dtype) for name, array in arrays.items()},
    }
    bits = {name: array.reshape(-1).view(np.uint8) for name, array in arrays.items()}
    with atomic_output(Path(path), force=True) as temp:
        save_file(bits, temp, {KEY: json.dumps(data)})


def read_backup(path: str | os.PathLike[str], model: Any, schedule: str) -> int:
    """Bring a model to where a run had come, and return how many epochs, or phases, had ended.

    Raises:
        RuleError: If the backup is of another schedule or another model, or damaged. The model
            stays as it was unless its variables do not fit.
    """
    file = os.fspath(path)
    try:
        with safe_open(file, framework="numpy") as opened:
            data = json.loads((opened.metadata() or {}).get(KEY, "null"))
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise RuleError(f"{file} is no backup of format {FORMAT}: remove it to begin anew")
            bits = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        parts = {weight: Part.from_config(part) for weight, part in data["parts"].items()}
        done, still = int(data["done"]), frozenset(data["still"])
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RuleError(
            f"{file} is damaged, or no backup: {type(error).__name__}: {error}. Remove it to begin anew"
        ) from error
    if data["schedule"] != schedule:
        raise RuleError(f"{file} is of another schedule: remove it to begin anew, or name another file")
    _take_up(model, parts, still, bits, file)
    return done


def _take_up(
    model: Any, parts: dict[str, Part], still: frozenset[str], bits: dict[str, Array], file: str
) -> None:
    weights = _weights(model)
    odd = next((path for path, part in parts.items() if path not in weights), None)
    if odd is not None:
        raise RuleError(f"{file} is of another model: it has {odd!r}{near_misses(odd, weights)}")
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    every = {path: parts.get(path, Part.all(tuple(v.shape))) for path, v in weights.items()}
    state = {id(v) for _, layer in _layers(model) for v in _keras.own_variables(layer)[1]}
    every = {p: part for p, part in every.items() if p in parts or id(weights[p]) not in state}
    try:
        train_parts(model, every, still, [path for path, part in every.items() if not part.is_none])
    except SurgeonError as error:
        raise RuleError(f"{file} is of another model: {error}") from error
    variables = dict(_variables(model))
    if variables.keys() != bits.keys():
        name = min(variables.keys() ^ bits.keys())
        raise RuleError(f"{file} is of another model, or another optimizer: {name!r} is in one of them only")
    # Whole weights first: setting one sets its base, too, which the entry of the base then sets right.
    for name in sorted(variables, key=lambda name: not name.startswith("weight")):
        variable = variables[name]
        value = bits[name].view(_array(variable).dtype)
        if value.size != int(np.prod(variable.shape)):
            raise RuleError(f"{file} is of another model: {name!r} has another size")
        variable.assign(value.reshape(tuple(variable.shape)))


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield everything that training changes, each under a name that does not depend on any order."""
    for path, variable in _weights(model).items():
        yield f"weight {path}", variable
        if isinstance(variable, PartialVariable) and variable.compact is not None:
            yield f"start {path}", variable.base if variable.start is None else variable.start
    for where, layer in _layers(model):
        for number, seed in enumerate(_keras.seed_states(layer)):
            yield f"seed {where} {number}", seed
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        for path, (variable, _) in stored(model).items():
            for slot, value in _keras.slots_of(optimizer, variable).items():
                yield f"slot {path} {slot}", value
        for number, shared in enumerate(_keras.shared_slots(optimizer)):
            yield f"optimizer {number}", shared


def _weights(model: Any) -> dict[str, Any]:
    return {paths.join(where, name): variable for where, name, _, variable in paths.weights(model)}


def _layers(model: Any) -> list[tuple[str, Any]]:
    return [("", model), *paths.walk(model)]


def _array(variable: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(variable), order="C")
