"""Byte plans made without Keras: the output has the source's arrays, behind a head of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.opened import file_key, opened
from surgeon.checkpoint.bytepath.plan import (
    Array,
    BytePlan,
    Piece,
    crc_of_rest,
    digest_rest,
    gaps_between,
)
from surgeon.checkpoint.bytepath.store import PlanStore
from surgeon.checkpoint.conversion import common_key
from surgeon.checkpoint.hdf5 import Window, read_layout
from surgeon.checkpoint.sources import Kind


def copying_plan(path: Path, rules: Any = ()) -> BytePlan:
    """Return a plan after which the weights of the output are those of the source."""
    with opened(path, Kind.KERAS, None, DEFAULT) as (_, found), path.open("rb") as file:
        assert found is not None
        layout = read_layout(Window(file, found.start, found.size, DEFAULT.description), DEFAULT)
        arrays = tuple(
            Array(d.path, d.shape, d.dtype, d.offset)
            for d in layout.datasets.values()
            if d.offset is not None
        )
        pieces, at = [], 0
        for array in arrays:
            pieces.append(Piece("raw", array.offset - at, found.read(at, array.offset - at)))
            pieces.append(Piece("copy", array.size, array=array.path))
            at = array.offset + array.size
        pieces.append(Piece("raw", found.size - at, found.read(at, found.size - at)))
        gaps = gaps_between(arrays, found.size)
        return BytePlan(
            key=file_key(found, Kind.KERAS, common_key(rules)),
            size=found.size,
            rest=digest_rest(found.read, gaps),
            rest_crc=crc_of_rest(found.read, gaps, found.size),
            arrays=arrays,
            recipes=(),
            pieces=tuple(pieces),
            output_size=found.size,
            config=(found.config.decode(),),
            assets=tuple(sorted(name for name in found.members if name.startswith("assets/"))),
            version="3.15.1",
        )


def keep_plan(path: Path, plans: Path) -> Path:
    """Write the copying plan of a file into a folder of plans and return the folder."""
    PlanStore(plans).add(copying_plan(path))
    return plans
