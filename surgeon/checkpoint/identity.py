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
from collections.abc import Collection
from pathlib import Path

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.checksums import crc32
from surgeon.checkpoint.config_text import digest_parts
from surgeon.checkpoint.front_door import open_regular, refuser
from surgeon.checkpoint.zip_check import Member, read_directory
from surgeon.errors import RefusedError

_CHUNK = 1 << 20


def name_sha256(path: Path) -> str:
    """Return the `sha256:` name of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def name_members(members: Collection[tuple[str, int, int]]) -> str:
    """Return the `members:` name of an archive with members of these `(name, size, CRC)`."""
    return "members:" + digest_parts(*(f"{name}\0{size}\0{crc:08x}" for name, size, crc in sorted(members)))


def name_crc(crc: int, size: int) -> str:
    """Return the `crc32:` name of a file."""
    return f"crc32:{crc:08x}-{size}"


def still_is(path: Path, name: str) -> bool:
    """Whether a file has the content of this name; reads all of it."""
    scheme = name.partition(":")[0]
    try:
        if scheme == "sha256":
            return name_sha256(path) == name
        if scheme == "crc32":
            with path.open("rb") as file:
                crc = _crc(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            return name_crc(crc, path.stat().st_size) == name
        if scheme == "members":
            return _name_members_of(path) == name
    except (OSError, RefusedError):
        return False
    return False


def _name_members_of(path: Path) -> str | None:
    refuse = refuser(path)
    with open_regular(path, None, refuse) as file:
        members = read_directory(file, os.fstat(file.fileno()).st_size, DEFAULT, refuse)
        if any(_crc(file.fileno(), m.offset, m.size) != m.crc for m in members.values()):
            return None
    return name_members(listed(members.values()))


def listed(members: Collection[Member]) -> list[tuple[str, int, int]]:
    """Return name, size and CRC of members."""
    return [(member.name, member.size, member.crc) for member in members]


def _crc(descriptor: int, begin: int, size: int) -> int:
    crc, end = 0, begin + size
    while begin < end:
        data = os.pread(descriptor, min(_CHUNK, end - begin), begin)
        if not data:
            break
        crc = crc32(data, crc)
        begin += len(data)
    return int(crc)
