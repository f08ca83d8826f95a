"""What tells one state of a file from another, and its content from another's."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.shards import SUFFIX, shard_names


def is_url(location: str | os.PathLike[str]) -> bool:
    """Whether a place is on a store, like `s3://bucket/key`, not on this machine's file systems.

    Example:
        >>> is_url("s3://bucket/a.keras"), is_url("a.keras"), is_url("C://a.keras")
        (True, False, False)
    """
    scheme, found, _ = os.fspath(location).partition("://")
    return bool(found) and len(scheme) > 1 and scheme.replace("+", "").replace(":", "").isalnum()


_OTHER_NAMES = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs"}


def same_url(url: str) -> str:
    """Return one name for a place on a store, whichever of its names it is called by.

    Example:
        >>> same_url("s3a://bucket/in/"), same_url("memory:///in"), same_url("folder")
        ('s3://bucket/in', 'memory://in', 'folder')
    """
    scheme, found, rest = url.partition("://")
    return f"{_OTHER_NAMES.get(scheme, scheme)}://{rest.strip('/')}" if found else url


def is_map(location: str) -> bool:
    """Whether a place has the name of a map of sharded weights."""
    return location.lower().endswith(SUFFIX)


def named_shards(data: bytes) -> tuple[str, ...]:
    """Return the shards that the text of a map names; none of one that will be refused."""
    try:
        return shard_names(data, DEFAULT)
    except ValueError:
        return ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another at no cost.

    Attributes:
        size: Bytes.
        mtime_ns: Time of the last modification, in nanoseconds; 0 where a store has a tag.
        inode: Number of the file in its file system; a number made of the tag that a store gives a content.
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of_file(cls, state: os.stat_result) -> Stamp:
        """Return the stamp of a file of this machine."""
        return cls(state.st_size, state.st_mtime_ns, state.st_ino)

    @classmethod
    def at(cls, location: str | os.PathLike[str]) -> Stamp:
        """Return the stamp of what is at a place; of sharded weights, one for the map and all shards.

        A map is the same, byte for byte, whatever the numbers in the shards are.

        Raises:
            OSError: If there is nothing, or it cannot be asked for.
        """
        place = os.fspath(location)
        if is_url(place):
            from surgeon.checkpoint.stores import stamp_of

            return stamp_of(place)
        state = os.stat(place)  # noqa: PTH116 - `Path.stat` costs as much again
        if not is_map(place) or not stat.S_ISREG(state.st_mode):
            return cls.of_file(state)
        with open(place, "rb") as file:  # noqa: PTH123 - likewise
            data = file.read(DEFAULT.json_size + 1)
        beside = (os.path.join(os.path.dirname(place), name) for name in named_shards(data))  # noqa: PTH118, PTH120
        return cls.of_file(state).with_shards(
            cls.of_file(os.stat(shard))  # noqa: PTH116 - likewise
            for shard in beside
            if os.path.exists(shard)  # noqa: PTH110 - likewise
        )

    def with_shards(self, shards: Iterable[Stamp]) -> Stamp:
        """Return the stamp of a map, of which this is one, and of its shards, in order."""
        text = repr((self.inode, *map(astuple, shards))).encode()
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return replace(self, inode=number)

    def named(self, digest: str) -> Fingerprint:
        """Return this state with a name for its content."""
        return Fingerprint(self.size, self.mtime_ns, self.inode, digest)

    def still_holds(self, location: str | os.PathLike[str]) -> bool:
        """Whether a file still has this size, time and inode (which costs no reading)."""
        try:
            now = Stamp.at(location)
        except OSError:
            return False
        return (now.size, now.mtime_ns, now.inode) == (self.size, self.mtime_ns, self.inode)


@dataclass(frozen=True, slots=True)
class Fingerprint(Stamp):
    """A state of a file, and its content.

    Attributes:
        digest: A name for the content; see `identity`.
    """

    digest: str
