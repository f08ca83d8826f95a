"""What tells one state of a file from another, and its content from another's."""

from __future__ import annotations

import os
from dataclasses import dataclass


def is_url(location: str | os.PathLike[str]) -> bool:
    """Whether a place is on a store, like `s3://bucket/key`, not on this machine's file systems.

    Example:
        >>> is_url("s3://bucket/a.keras"), is_url("a.keras"), is_url("C://a.keras")
        (True, False, False)
    """
    scheme, found, _ = os.fspath(location).partition("://")
    return bool(found) and len(scheme) > 1 and scheme.replace("+", "").replace(":", "").isalnum()


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

    def named(self, digest: str) -> Fingerprint:
        """Return this state with a name for its content."""
        return Fingerprint(self.size, self.mtime_ns, self.inode, digest)

    def still_holds(self, location: str | os.PathLike[str]) -> bool:
        """Whether a file still has this size, time and inode (which costs no reading)."""
        try:
            if is_url(location):
                from surgeon.checkpoint.stores import stamp_of

                now = stamp_of(os.fspath(location))
            else:
                now = Stamp.of_file(os.stat(location))  # noqa: PTH116 - `Path.stat` costs as much again
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
