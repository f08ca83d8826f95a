"""Writing a zip archive of stored members in one pass, the sizes known before and the CRCs after.

Layouts: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16
(its end).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from surgeon.checkpoint.bytepath.streams import Target

_LIMIT = 0xFFFFFFFF
_DAY_ONE = 0x21  # 1980-01-01, the first day that there is: outputs do not depend on when they were made
_MODE = 0o600 << 16  # what zipfile gives to members that it writes
_VERSION, _VERSION_64 = 20, 45


@dataclass
class NewMember:
    """A member that is being written.

    Attributes:
        name: Its name.
        size: Bytes of its content.
        position: Where its header lies.
        crc: CRC-32 of its content; whoever knows it without the target's help sets it.
    """

    name: bytes
    size: int
    position: int
    crc: int | None = None


class ArchiveWriter:
    """Members one after the other, then the directory.

    Args:
        target: Where the archive goes.

    Example:
        >>> import io, os, tempfile, zipfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     archive = ArchiveWriter(Target(file.fileno()))
        ...     with archive.member("a.txt", 5):
        ...         archive.target.put(b"hello")
        ...     archive.close()
        ...     zipfile.ZipFile(file.name).read("a.txt")
        b'hello'
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._members: list[NewMember] = []

    @contextmanager
    def member(self, name: str, size: int) -> Iterator[NewMember]:
        """Write a member; what the block puts into the target is its content, and its CRC unless it sets one.

        Raises:
            ValueError: If that is not `size` bytes.
        """
        target = self.target
        member = NewMember(name.encode(), size, target.position)
        # Both sizes in an extra field, where they do not fit into the header.
        extra = struct.pack("<HHQQ", 1, 16, size, size) if size >= _LIMIT else b""
        said = _LIMIT if extra else size
        version = _VERSION_64 if extra else _VERSION
        head = (b"PK\x03\x04", version, _flags(member.name), 0, 0, _DAY_ONE, 0, said, said, len(member.name))
        target.put(struct.pack("<4s5H3I2H", *head, len(extra)) + member.name + extra)
        begin = target.position
        target.start_member()
        yield member
        if target.position - begin != size:
            raise ValueError(f"{name}: {target.position - begin} bytes where {size} were announced")
        if member.crc is None:
            member.crc = target.crc
        target.patch(struct.pack("<I", member.crc), member.position + 14)
        self._members.append(member)

    def listed(self) -> tuple[tuple[str, int, int], ...]:
        """Return name, size and CRC of the members that were written."""
        return tuple((member.name.decode(), member.size, member.crc or 0) for member in self._members)

    def close(self) -> None:
        """Write the directory."""
        begin = self.target.position
        for member in self._members:
            self.target.put(_entry(member))
        size, count = self.target.position - begin, len(self._members)
        if begin >= _LIMIT or count >= 0xFFFF:
            end = self.target.position
            self.target.put(
                struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, begin)
                + struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
            )
        self.target.put(
            struct.pack(
                "<4s4H2IH",
                *(b"PK\x05\x06", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF)),
                *(size, min(begin, _LIMIT), 0),
            )
        )
        self.target.flush()


def _entry(member: NewMember) -> bytes:
    extra = b""
    if member.size >= _LIMIT:
        extra += struct.pack("<QQ", member.size, member.size)
    if member.position >= _LIMIT:
        extra += struct.pack("<Q", member.position)
    if extra:
        extra = struct.pack("<HH", 1, len(extra)) + extra
    version = _VERSION_64 if extra else _VERSION
    size = min(member.size, _LIMIT)
    return (
        struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\x01\x02", 0x0300 | version, version, _flags(member.name), 0, 0, _DAY_ONE),
            *(member.crc, size, size, len(member.name), len(extra), 0, 0, 0),
            *(_MODE, min(member.position, _LIMIT)),
        )
        + member.name
        + extra
    )


def _flags(name: bytes) -> int:
    return 0 if name.isascii() else 0x800
