"""The quick look at a file: just enough to know which plan it may fit."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.bytepath.joined import Joined
from surgeon.checkpoint.bytepath.streams import FileInput, Input
from surgeon.checkpoint.config_text import digest_parts, plain_config
from surgeon.checkpoint.front_door import open_regular, refuser
from surgeon.checkpoint.ranges import Ranges, open_remote
from surgeon.checkpoint.shards import shard_names
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.stamp import Stamp, is_url
from surgeon.checkpoint.zip_check import CONFIG, METADATA, WEIGHTS, Member, Refuse, read_directory


@dataclass(frozen=True)
class Opened:
    """A source that is open, and where things lie in it.

    Attributes:
        file: What it is read from.
        start: Where the HDF5 part begins in the file.
        size: Its bytes.
        crc: Its CRC, if the file says it.
        members: The members of the archive; empty for HDF5 files.
        config: Text of `config.json`; empty for HDF5 files.
        date: When the source was saved, as it says.
    """

    file: Input
    start: int
    size: int
    crc: int | None
    members: Mapping[str, Member]
    config: bytes = b""
    date: str = ""

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the HDF5 part."""
        return self.file.read_at(self.start + offset, size)

    @property
    def is_remote(self) -> bool:
        """Whether it lies on a store, so that each range that is read must be asked for."""
        return isinstance(self.file, Ranges)

    def keep(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Ask for many small ranges of the HDF5 part at a time: `(offset, size)` each."""
        if isinstance(self.file, Ranges):
            self.file.keep([(self.start + at, self.start + at + size) for at, size in ranges])

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Say which bytes of the HDF5 part will be read, and no others: `(begin, end)` each."""
        if isinstance(self.file, Ranges):
            self.file.expect([(self.start + begin, self.start + end) for begin, end in ranges])


@contextmanager
def _open(location: str | Path, root: Path | None, refuse: Refuse) -> Iterator[tuple[Stamp, BinaryIO, Input]]:
    if is_url(location):
        stamp, remote = open_remote(str(location))
        yield stamp, cast("BinaryIO", remote), remote
        return
    with open_regular(Path(location), root, refuse) as file:
        yield Stamp.of_file(os.fstat(file.fileno())), file, FileInput(file.fileno())


@contextmanager
def _open_shards(
    path: Path, root: Path | None, budgets: Budgets, refuse: Refuse
) -> Iterator[tuple[Stamp, Opened]]:
    """Open sharded weights as one HDF5 part: shard behind shard. The map stands where a config would."""
    with ExitStack() as stack:
        file = stack.enter_context(open_regular(path, root, refuse))
        stamp, text = Stamp.at(path), file.read(budgets.json_size + 1)
        try:
            names = shard_names(text, budgets)
        except ValueError as error:
            raise refuse(None, str(error)) from error
        shards = [
            stack.enter_context(open_regular(path.with_name(name), root or path.parent, refuse))
            for name in names
        ]
        states = [os.fstat(shard.fileno()) for shard in shards]
        joined = Joined([shard.fileno() for shard in shards], [state.st_size for state in states])
        yield stamp, Opened(joined, 0, sum(joined.sizes), None, {}, text)
        for name, state in zip(names, states, strict=True):
            if not Stamp.of_file(state).still_holds(path.with_name(name)):
                raise refuse(None, f"shard {name} changed while it was read")


@contextmanager
def opened(
    path: str | Path, kind: Kind, root: Path | None, budgets: Budgets
) -> Iterator[tuple[Stamp, Opened | None]]:
    """Open a file and yield its state, and where things lie in it.

    The second is `None` where bytes cannot be moved as they lie (deflated members, several files).

    Raises:
        RefusedError: If it is no regular file, or its directory is refused.
    """
    refuse = refuser(path)
    if kind is Kind.SHARDED and not is_url(path):
        with _open_shards(Path(path), root, budgets, refuse) as found:
            yield found
        return
    with _open(path, root, refuse) as (stamp, file, data):
        if kind is Kind.SHARDED:  # on a store: copied to this machine first
            yield stamp, None
            return
        if kind is not Kind.KERAS:
            yield stamp, Opened(data, 0, stamp.size, None, {})
            return
        if stamp.size == 0:
            raise refuse(None, "the file is empty")
        members = read_directory(file, stamp.size, budgets, refuse)
        if not all(member.is_stored for member in members.values()):
            yield stamp, None
            return
        try:
            config, metadata = (_checked(data, members[name]) for name in (CONFIG, METADATA))
        except ValueError as error:
            raise refuse(None, str(error)) from error
        weights = members[WEIGHTS]
        yield (
            stamp,
            Opened(data, weights.offset, weights.size, weights.crc, members, config, _date(metadata)),
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


def _checked(file: Input, member: Member) -> bytes:
    data = file.read_at(member.offset, member.size)
    if zlib.crc32(data) != member.crc:
        raise ValueError(f"member {member.name!r} is damaged: Bad CRC-32")
    return data


def _date(metadata: bytes) -> str:
    try:
        return str(json.loads(metadata)["date_saved"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
