"""An object on a store as a file of this machine, for what must see all of it: the front door, and Keras."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.shards import shard_names
from surgeon.checkpoint.sources import Kind, Source
from surgeon.checkpoint.stamp import Stamp
from surgeon.checkpoint.stores import download, stamp_of
from surgeon.errors import RefusedError


@contextmanager
def at_hand(source: Source, folder: Path | None) -> Iterator[tuple[Source, Stamp | None]]:
    """Yield a source that is on this machine, itself or a copy, and the state of what was copied.

    Args:
        source: A source.
        folder: Where a copy may lie; `None` for the system's folder for temporary files.

    Raises:
        RefusedError: If it names shards that are none, or changed while it was copied.
        OSError: If it cannot be copied.
    """
    if not source.is_remote:
        yield source, None
        return
    with tempfile.TemporaryDirectory(dir=folder) as place:
        name = source.location.rpartition("/")[2]
        copy = Path(place, name)
        before = stamp_of(source.location)
        free = shutil.disk_usage(place).free
        if before.size > free:
            raise OSError(f"{before.size:,} bytes, and {free:,} are free in {place}")
        download(source.location, copy)
        if source.kind is Kind.SHARDED:
            _fetch_shards(source, copy)
        if not before.still_holds(source.location) or copy.stat().st_size != before.size:
            raise RefusedError(f"{source.location}: changed while it was copied")
        yield Source.of(str(copy), Path(place), name, source.kind), before


def _fetch_shards(source: Source, copy: Path) -> None:
    with copy.open("rb") as file:
        data = file.read(DEFAULT.json_size + 1)
    try:
        names = shard_names(data, DEFAULT)
    except ValueError as error:
        raise RefusedError(f"{source.location}: {error}") from error
    folder = source.location.rpartition("/")[0]
    for name in names:
        download(f"{folder}/{name}", copy.with_name(name))
