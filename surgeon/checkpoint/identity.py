"""Names for the content of a file, from which a later run knows it again.

`sha256:…`   of every byte; what the Keras path writes, and the byte path if it is asked to.
`members:…`  of the names, sizes and CRCs of an archive's members, each CRC checked against the bytes. It
             costs nothing where the bytes are moved and checked anyway. Whoever wants to fool it can.
`crc32:…`    of an HDF5 file, which has no checksums of its own.
`sharded:…`  of sharded weights, over all files; likewise.
`unread:…`   of a source that was trusted: it is not known again once its time has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.checksums import crc32
from surgeon.checkpoint.config_text import digest_parts
from surgeon.checkpoint.front_door import open_regular, refuser
from surgeon.checkpoint.hdf5 import HEAD, Window, check_hdf5, read_layout
from surgeon.checkpoint.ranges import open_remote
from surgeon.checkpoint.stamp import is_url
from surgeon.checkpoint.zip_check import Member, read_directory
from surgeon.errors import RefusedError

_CHUNK = 1 << 20


def name_sha256(location: str | Path) -> str:
    """Return the `sha256:` name of a file."""
    with _opened(location) as file:
        digest = hashlib.sha256()
        while data := file.read(_CHUNK):
            digest.update(data)
        return f"sha256:{digest.hexdigest()}"


def name_members(members: Collection[tuple[str, int, int]]) -> str:
    """Return the `members:` name of an archive with members of these `(name, size, CRC)`."""
    return "members:" + digest_parts(*(f"{name}\0{size}\0{crc:08x}" for name, size, crc in sorted(members)))


def name_crc(crc: int, size: int) -> str:
    """Return the `crc32:` name of a file."""
    return f"crc32:{crc:08x}-{size}"


def is_read_again(name: str) -> bool:
    """Whether it can be found out by reading that a file still has the content of this name."""
    return name.partition(":")[0] in ("sha256", "crc32", "members")


def still_is(location: str | Path, name: str) -> bool:
    """Whether a file has the content of this name; reads all of it."""
    scheme = name.partition(":")[0]
    try:
        if scheme == "sha256":
            return name_sha256(location) == name
        if scheme == "crc32":
            with _opened(location) as file:
                size = file.seek(0, os.SEEK_END)
                return name_crc(_crc(file, 0, size), size) == name
        if scheme == "members":
            return _name_members_of(location) == name
    except (OSError, ValueError, RefusedError):
        return False
    return False


def is_damaged(location: str | Path) -> bool:
    """Whether a file begins like a checkpoint and is none: cut off, or, in an archive, with a wrong checksum.

    Of an HDF5 file only what describes its arrays is looked at: it has no checksums. What cannot be opened
    (a folder, a link to nothing) is not damaged, but something else.
    """
    try:
        with _opened(location) as file:
            return _is_damaged(location, file)
    except (OSError, RefusedError):
        return False


def _is_damaged(location: str | Path, file: BinaryIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD)
    if head and not head.startswith((b"PK\x03\x04", b"\x89HDF")):
        return False
    try:
        if head.startswith(b"PK"):
            return _name_members_of(location) is None
        check_hdf5(head, size)
        read_layout(Window(file, 0, size, DEFAULT.description), DEFAULT, with_texts=False)
    except (ValueError, RefusedError):
        return True
    return False


@contextmanager
def _opened(location: str | Path) -> Iterator[BinaryIO]:
    if is_url(location):
        with open_remote(str(location))[1] as remote:
            yield cast(BinaryIO, remote)
    else:
        with open_regular(Path(location), None, refuser(location)) as file:
            yield file


def _name_members_of(location: str | Path) -> str | None:
    with _opened(location) as file:
        members = read_directory(file, file.seek(0, os.SEEK_END), DEFAULT, refuser(location))
        if any(_crc(file, m.offset, m.size) != m.crc for m in members.values()):
            return None
    return name_members(listed(members.values()))


def listed(members: Collection[Member]) -> list[tuple[str, int, int]]:
    """Return name, size and CRC of members."""
    return [(member.name, member.size, member.crc) for member in members]


def _crc(file: BinaryIO, begin: int, size: int) -> int:
    crc, left = 0, size
    file.seek(begin)
    while left and (data := file.read(min(_CHUNK, left))):
        crc = crc32(data, crc)
        left -= len(data)
    return int(crc)
