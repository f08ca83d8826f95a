"""The quick look at a file: just enough to know which plan it may fit."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.bytepath.streams import read_exactly
from surgeon.checkpoint.config_text import digest_parts, plain_config
from surgeon.checkpoint.front_door import Stamp, open_regular, refuser
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.zip_check import CONFIG, METADATA, WEIGHTS, Member, read_directory


@dataclass(frozen=True)
class Opened:
    """A source that is open, and where things lie in it.

    Attributes:
        descriptor: Open for reading.
        start: Where the HDF5 part begins in the file.
        size: Its bytes.
        crc: Its CRC, if the file says it.
        members: The members of the archive; empty for HDF5 files.
        config: Text of `config.json`; empty for HDF5 files.
        date: When the source was saved, as it says.
    """

    descriptor: int
    start: int
    size: int
    crc: int | None
    members: Mapping[str, Member]
    config: bytes = b""
    date: str = ""

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the HDF5 part."""
        return read_exactly(self.descriptor, self.start + offset, size)


@contextmanager
def opened(
    path: Path, kind: Kind, root: Path | None, budgets: Budgets
) -> Iterator[tuple[Stamp, Opened | None]]:
    """Open a file and yield its state, and where things lie in it.

    The second is `None` where bytes cannot be moved as they lie (deflated members, several files).

    Raises:
        RefusedError: If it is no regular file, or its directory is refused.
    """
    refuse = refuser(path)
    with open_regular(path, root, refuse) as file:
        descriptor = file.fileno()
        state = os.fstat(descriptor)
        stamp = Stamp(state.st_size, state.st_mtime_ns, state.st_ino)
        if kind is Kind.SHARDED:
            yield stamp, None
            return
        if kind is not Kind.KERAS:
            yield stamp, Opened(descriptor, 0, state.st_size, None, {})
            return
        if state.st_size == 0:
            raise refuse(None, "the file is empty")
        members = read_directory(file, state.st_size, budgets, refuse)
        if not all(member.is_stored for member in members.values()):
            yield stamp, None
            return
        try:
            config, metadata = (_checked(descriptor, members[name]) for name in (CONFIG, METADATA))
        except ValueError as error:
            raise refuse(None, str(error)) from error
        weights = members[WEIGHTS]
        yield (
            stamp,
            Opened(descriptor, weights.offset, weights.size, weights.crc, members, config, _date(metadata)),
        )


def file_key(source: Opened, kind: Kind, common: str) -> str:
    """Return what files of one architecture have in common.

    Args:
        source: The file.
        kind: Its kind.
        common: What all files of a run have in common: rules, versions.
    """
    assets = sorted((m.name, m.size, m.crc) for m in source.members.values() if m.name.startswith("assets/"))
    return digest_parts(common, kind.value, str(source.size), json.dumps(assets), plain_config(source.config))


def _checked(descriptor: int, member: Member) -> bytes:
    data = read_exactly(descriptor, member.offset, member.size)
    if zlib.crc32(data) != member.crc:
        raise ValueError(f"member {member.name!r} is damaged: Bad CRC-32")
    return data


def _date(metadata: bytes) -> str:
    try:
        return str(json.loads(metadata)["date_saved"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
