"""The model that bare weights belong to, as a file: checked before Keras reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.front_door import admit
from surgeon.checkpoint.hdf5 import Layout
from surgeon.checkpoint.json_check import bounded_json
from surgeon.checkpoint.sources import Kind
from surgeon.errors import RefusedError


def admit_architecture(path: Path, allowed: Collection[str] = ()) -> str:
    """Check the file of an architecture and return a digest of it.

    Args:
        path: The file.
        allowed: Modules whose classes the user vouches for.

    Raises:
        RefusedError: If it is neither a sound `.keras` archive nor the JSON that `model.to_json()` gives.
    """
    if Kind.of(path) is Kind.KERAS:
        return admit(path, Kind.KERAS, allowed=allowed).digest
    return digest_config(read_config(path))


def read_config(path: Path) -> Any:
    """Return the config in a `.json` file.

    Raises:
        RefusedError: If it is no such file, not JSON, or over budget.
    """
    if path.suffix.lower() != ".json" or not path.is_file():
        raise RefusedError(
            f"{path}: an architecture is a .keras file, or a .json file as model.to_json() gives it"
        )
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to be refused.
            config = bounded_json(file.read(DEFAULT.json_size + 1), DEFAULT)
    except (ValueError, OSError) as error:
        raise RefusedError(f"{path}: {error}") from error
    if not isinstance(config, dict):
        raise RefusedError(f"{path}: not the config of a model but a JSON {type(config).__name__}")
    return config


def name_of(layout: Layout) -> str:
    """Return a short name for what files of one architecture have in common: their model's arrays."""
    arrays = sorted(
        (path, array.shape, array.dtype)
        for path, array in layout.datasets.items()
        if not path.startswith("optimizer")
    )
    return hashlib.sha256(json.dumps(arrays).encode()).hexdigest()[:12]


def digest_config(config: Any) -> str:
    """Return a digest of a model's config that is the same in every process."""
    return hashlib.sha256(json.dumps(_canonical(config), sort_keys=True).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    # `shared_object_id` is an address in memory.
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items() if key != "shared_object_id"}
    return [_canonical(item) for item in value] if isinstance(value, (list, tuple)) else value
