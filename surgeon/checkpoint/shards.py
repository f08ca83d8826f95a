"""Sharded weights: a map in JSON, and HDF5 files beside it that hold the arrays.

`model.save_weights("x.weights.json", max_shard_size=…)` writes them. `weight_map` says for each group of
arrays in which file, or files, it lies. A map is refused unless it names plain files of its own folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Any

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.hdf5 import HEAD, Dataset, Layout, Window, check_hdf5, read_layout
from surgeon.checkpoint.json_check import bounded_json

SUFFIX = ".weights.json"
_SHARD = re.compile(r"[^/\\:\0]+_\d{5}\.weights\.h5")
_MOST = 10_000

Open = Callable[[Path], BufferedReader]


def is_shard_of(name: str, map_name: str) -> bool:
    """Whether a file's name is one that Keras gives to a shard of a map.

    Example:
        >>> is_shard_of("big_00001.weights.h5", "big.weights.json")
        True
    """
    return re.fullmatch(re.escape(map_name[: -len(SUFFIX)]) + r"_\d{5}\.weights\.h5", name) is not None


def shard_names(data: bytes, budgets: Budgets) -> tuple[str, ...]:
    """Return the files that a map names.

    Args:
        data: Its text.
        budgets: What it may ask for.

    Raises:
        ValueError: If it is no map, or names something else than plain files of its folder.
    """
    parsed = bounded_json(data, budgets)
    groups = parsed.get("weight_map") if isinstance(parsed, dict) else None
    if not isinstance(groups, dict) or not groups:
        raise ValueError("not a map of sharded weights: it has no 'weight_map'")
    names: dict[str, None] = {}
    for group, value in groups.items():
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not _SHARD.fullmatch(name):
                raise ValueError(f"{group!r} is said to be in {name!r}, which is no shard beside this file")
            names[name] = None
    if len(names) > _MOST:
        raise ValueError(f"{len(names):,} shards, more than the {_MOST:,} allowed")
    return tuple(sorted(names))


def read_shards(paths: Sequence[Path], open_shard: Open, budgets: Budgets) -> tuple[Layout, int, Any]:
    """Return the arrays of all shards, their bytes, and a SHA-256 over them.

    Args:
        paths: The shards.
        open_shard: Opens one; refuses what is no regular file of the folder.
        budgets: What each may ask for.

    Raises:
        ValueError: If one is no sound HDF5 file, or if an array is in two of them.
    """
    datasets: dict[str, Dataset] = {}
    total, digest = 0, hashlib.sha256()
    for path in paths:
        with open_shard(path) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                check_hdf5(file.read(HEAD), size)
                layout = read_layout(Window(file, 0, size, budgets.description), budgets)
            except ValueError as error:
                raise ValueError(f"shard {path.name}: {error}") from error
            twice = datasets.keys() & layout.datasets.keys()
            if twice:
                raise ValueError(f"shard {path.name}: {min(twice)} is in another shard, too")
            # Where they lie in which shard is of no use to whoever reads the map.
            datasets |= {name: replace(array, offset=None) for name, array in layout.datasets.items()}
            total += size
            file.seek(0)
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Layout(datasets), total, digest
