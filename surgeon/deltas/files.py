"""Deltas as safetensors files. Data only: nothing in such a file is ever run.

A weight `conv/kernel` of which a part is held is two tensors: `conv/kernel`, the values, and
`conv/kernel:index`, their positions, coded by `gaps`. The metadata has one entry, `surgeon_delta`: JSON with
the shape, dtype, axis and digests of every weight, and a digest of all that the file holds. Files that were
written before there was one are read as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from surgeon.checkpoint import atomic_output
from surgeon.deltas.delta import Array, Delta, DeltaWeight, bits, delta_of
from surgeon.deltas.gaps import decode, encode
from surgeon.errors import DeltaError, SelectionError
from surgeon.partial import Part

KEY, FORMAT = "surgeon_delta", 1
_INDEX = ":index"
_PLAIN = {f"{kind}{size}" for kind in ("int", "uint") for size in (8, 16, 32, 64)} | {
    "bool",
    "float16",
    "float32",
    "float64",
}


def save_delta(
    model: Any, path: str | os.PathLike[str], *, base: Any = None, overwrite: bool = False
) -> Delta:
    """Save only what of a model has trained, with a digest of everything else.

    The file is about as large as the elements in it: four bytes for a value, one for its position.

    Args:
        model: A built model, rewritten or not.
        path: Where to write the file, by custom `.safetensors`.
        base: The model that it was before training. With it, the delta holds exactly the elements whose bits
            differ, and fits that base alone. Without it, the delta holds all that can train, moving
            statistics included, and fits every model that has the same frozen elements.
        overwrite: Whether an existing file may be replaced.

    Returns:
        What was written.

    Raises:
        DeltaError: If nothing trains, or the base has other weights.
        CheckpointError: If the file exists and `overwrite` is off.

    Example:
        >>> import pathlib, tempfile, keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("d", "kernel"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_delta(tuned, pathlib.Path(folder, "d.safetensors"))
        <Delta of 2 elements in 1 of 2 weights>
    """
    delta = delta_of(model, base)
    write_delta(delta, path, overwrite=overwrite)
    return delta


def write_delta(delta: Delta, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a delta to a file; see `save_delta`."""
    tensors: dict[str, Array] = {}
    for name, weight in delta.weights.items():
        if weight.values is not None:
            tensors[name] = weight.values if weight.dtype in _PLAIN else bits(weight.values)
            if not weight.part.is_all:
                tensors[name + _INDEX] = encode(weight.part.index)
    table = {name: _row(weight) for name, weight in delta.weights.items()}
    data = {"format": FORMAT, "weights": table, "digest": _digest(table, tensors)}
    metadata = {KEY: json.dumps(data, ensure_ascii=False)}
    with atomic_output(Path(path), force=overwrite) as temp:
        save_file(tensors, temp, metadata)


def _digest(table: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """Return a digest of all that a file holds: which elements, and their bits."""
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _check_digest(data: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    # An entry that is not known may be the digest, of whose name a bit flipped.
    unknown = data.keys() - {"format", "weights", "digest"}
    if unknown:
        raise ValueError(f"an entry {min(unknown)!r} that no delta has")
    if "digest" in data and data["digest"] != _digest(data["weights"], tensors):
        raise ValueError("its content is not what was written; get the file again from where it was saved")


def _row(weight: DeltaWeight) -> dict[str, Any]:
    row: dict[str, Any] = {"shape": list(weight.part.shape), "dtype": weight.dtype, "holds": weight.part.kind}
    more = {"axis": weight.part.axis, "frozen": weight.frozen, "base": weight.base}
    return row | {key: value for key, value in more.items() if value is not None}


def read_delta(path: str | os.PathLike[str]) -> Delta:
    """Read a delta that `save_delta` wrote, without putting it on a model.

    Args:
        path: The file.

    Raises:
        DeltaError: If there is no such file, or it is no delta, or damaged. Any bit that changed is noticed,
            but not in files of versions that wrote no digest.
    """
    file = os.fspath(path)
    try:
        with safe_open(file, framework="numpy") as opened:
            data = json.loads((opened.metadata() or {}).get(KEY, "null"))
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise DeltaError(f"{file} is no delta of format {FORMAT}: save_delta(model, path) writes one")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        _check_digest(data, tensors)
        return Delta({name: _weight(name, row, tensors) for name, row in data["weights"].items()})
    except FileNotFoundError as error:
        raise DeltaError(f"there is no file {file}") from error
    except (
        OSError,
        SafetensorError,
        SelectionError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise DeltaError(f"{file} is damaged, or no delta: {type(error).__name__}: {error}") from error


def _weight(name: str, row: Mapping[str, Any], tensors: Mapping[str, Array]) -> DeltaWeight:
    shape, dtype, holds = tuple(map(int, row["shape"])), str(row["dtype"]), row["holds"]
    if holds == "none":
        part = Part.none(shape)
    elif holds == "all":
        part = Part.all(shape)
    else:
        index = decode(tensors[name + _INDEX])
        part = Part.elements(shape, index) if holds == "elements" else Part.slices(shape, row["axis"], index)
        if len(part.index) != len(index):
            raise ValueError(f"positions of {name!r} are there twice")
    values = None if part.is_none else _values(tensors[name], dtype)
    if values is not None and values.shape != part.compact_shape:
        raise ValueError(f"{name!r} has {values.shape} values for {part.compact_shape} positions")
    return DeltaWeight(part, dtype, values, row.get("frozen"), row.get("base"))


def _values(stored: Array, dtype: str) -> Array:
    if dtype in _PLAIN:
        if str(stored.dtype) != dtype:
            raise ValueError(f"{stored.dtype} values where there should be {dtype}")
        return stored
    return stored.view(np.dtype(getattr(ml_dtypes, dtype)))
