"""What an HDF5 object says of itself (specification, section IV.A): its header, taken apart."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum

from surgeon.checkpoint.hdf5.window import Window

_MOST_MESSAGES = 4096
_MOST_AXES = 32


class Message(IntEnum):
    """Types of messages that are looked at; section IV.A.2."""

    DATASPACE = 0x01
    LINK_INFO = 0x02
    DATATYPE = 0x03
    LINK = 0x06
    EXTERNAL = 0x07
    LAYOUT = 0x08
    FILTERS = 0x0B
    ATTRIBUTE = 0x0C
    CONTINUATION = 0x10
    SYMBOL_TABLE = 0x11
    ATTRIBUTE_INFO = 0x15


_KNOWN = {0x00, 0x04, 0x05, 0x0A, 0x0D, 0x0E, 0x12, 0x16, *Message}
"""Nothing; fill values; group info; comment; times; reference count; and those above."""


def read_messages(window: Window, address: int) -> list[tuple[int, bytes]]:
    """Return the messages `(type, body)` of the object header at an address, in order.

    Raises:
        ValueError: If it is damaged, refers to what lies elsewhere, or says what Keras never says.
    """
    if window.read(address, 4) == b"OHDR":
        return _read_version_2(window, address)
    version, _, count, _, size = struct.unpack("<BBHII", window.read(address, 12))
    if version != 1:
        raise ValueError(f"damaged HDF5: no object header at {address:,}")
    return _checked(_walk(window, [(address + 16, size)], count, lead=8, tail=0))


def _read_version_2(window: Window, address: int) -> list[tuple[int, bytes]]:
    version, flags = window.read(address + 4, 2)
    if version != 2:
        raise ValueError(f"HDF5 with an object header of unknown version {version}")
    start = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = window.integer(start, width)
    lead = 6 if flags & 0x04 else 4
    return _checked(_walk(window, [(start + width, size)], _MOST_MESSAGES + 1, lead=lead, tail=4))


def _walk(
    window: Window, blocks: list[tuple[int, int]], most: int, *, lead: int, tail: int
) -> list[tuple[int, int, bytes]]:
    """Return `(type, flags, body)` of every message in a chain of blocks.

    Args:
        window: The file.
        blocks: `(address, bytes)` of the first block; the others are appended as they are found.
        most: How many messages there may be.
        lead: Bytes before each body: 8 in version 1, 4 or 6 in version 2.
        tail: Bytes of checksum after each further block, which then starts with a signature.
    """
    found: list[tuple[int, int, bytes]] = []
    seen: set[int] = set()
    for number, (address, size) in enumerate(blocks):
        if address in seen:
            raise ValueError("damaged HDF5: an object header without an end")
        seen.add(address)
        begin = address + (4 if tail and number else 0)
        end = address + size - (tail if number else 0)
        data = window.read(begin, max(0, end - begin))
        at = 0
        while at + lead <= len(data) and len(found) < most:
            if len(found) == _MOST_MESSAGES:
                raise ValueError(f"HDF5 with an object of more than {_MOST_MESSAGES:,} messages")
            if lead == 8:
                kind, length, flags = struct.unpack_from("<HHB", data, at)
            else:
                kind, length, flags = struct.unpack_from("<BHB", data, at)
            body = data[at + lead : at + lead + length]
            if len(body) != length:
                raise ValueError("damaged HDF5: a message that does not fit its object header")
            found.append((kind, flags, body))
            if kind == Message.CONTINUATION:
                blocks.append(struct.unpack("<QQ", body[:16].ljust(16, b"\0")))
            at += lead + length
    return found


def _checked(messages: list[tuple[int, int, bytes]]) -> list[tuple[int, bytes]]:
    for kind, flags, _ in messages:
        if kind not in _KNOWN:
            raise ValueError(f"HDF5 with a message of type {kind:#x}, which Keras does not write")
        if flags & 0x02:
            raise ValueError("HDF5 that keeps a type in a place of its own, which Keras does not write")
    return [(kind, body) for kind, _, body in messages]


def read_shape(body: bytes) -> tuple[int, ...] | None:
    """Return the shape that a dataspace message says, or `None` for one without elements.

    Raises:
        ValueError: If it is damaged, or has more axes than numpy knows.
    """
    version, rank, _ = body[:3].ljust(3, b"\xff")
    if version not in (1, 2) or rank > _MOST_AXES:
        raise ValueError("damaged HDF5: no shape")
    if version == 2 and body[3:4] == b"\x02":
        return None
    start = 8 if version == 1 else 4
    if len(body) < start + 8 * rank:
        raise ValueError("damaged HDF5: a shape that is cut off")
    return struct.unpack_from(f"<{rank}Q", body, start)


@dataclass(frozen=True, slots=True)
class Type:
    """The type of one element.

    Attributes:
        name: As numpy writes it (`<f4`); or a word (`text`, `compound`) for what no weight is made of.
        size: Bytes.
        is_number: Whether a weight can be made of it.
        is_reference: Whether it is text of variable length, kept elsewhere in the file.
    """

    name: str
    size: int
    is_number: bool = False
    is_reference: bool = False


_WORDS = {2: "time", 3: "text", 4: "bits", 6: "compound", 7: "reference", 9: "sequence", 10: "array"}
_FLOATS = {
    # size: (precision, exponent at, bits of it, bits of mantissa, bias)
    2: (16, 10, 5, 10, 15),
    4: (32, 23, 8, 23, 127),
    8: (64, 52, 11, 52, 1023),
}


def read_type(body: bytes) -> Type:
    """Return the element type that a datatype message says.

    Raises:
        ValueError: If it is cut off.
    """
    if len(body) < 8:
        raise ValueError("damaged HDF5: a type that is cut off")
    kind, bits, size = body[0] & 0x0F, body[1], int.from_bytes(body[4:8], "little")
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8) and body[8:12] == struct.pack("<HH", 0, 8 * size):
        sign = "i" if bits & 8 else "u"
        return Type(f"{'|' if size == 1 else order}{sign}{size}", size, is_number=True)
    if kind == 1 and size in _FLOATS and len(body) >= 20 and not bits & 0x40:
        precision, at, width, mantissa, bias = _FLOATS[size]
        if struct.unpack_from("<HHBBBBI", body, 8) == (0, precision, at, width, 0, mantissa, bias):
            return Type(f"{order}f{size}", size, is_number=True)
    if kind == 5 and size in (1, 2):  # bfloat16 and float8: numpy has no name for them
        return Type(f"|V{size}", size, is_number=True)
    if kind == 8 and size == 1 and b"FALSE\0" in body and b"TRUE\0" in body:
        return Type("|b1", 1, is_number=True)
    if kind == 9 and bits & 0x0F == 1:
        return Type("text", size, is_reference=True)
    return Type(_WORDS.get(kind, "unknown"), size)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the elements of a dataset lie.

    Attributes:
        kind: `contiguous`, `compact` (in the header itself) or `chunked`.
        address: Of the first byte, for `contiguous`.
        size: Bytes.
    """

    kind: str
    address: int
    size: int


def read_place(body: bytes) -> Place:
    """Return the place that a layout message says.

    Raises:
        ValueError: If the data are virtual (in other files), or the message is damaged.
    """
    version, kind = body[:2].ljust(2, b"\xff")
    if version not in (3, 4):
        raise ValueError(f"HDF5 with a data layout of version {version}, which Keras does not write")
    if kind == 0 and len(body) >= 4:
        return Place("compact", 0, int.from_bytes(body[2:4], "little"))
    if kind == 1 and len(body) >= 18:
        return Place("contiguous", *struct.unpack_from("<QQ", body, 2))
    if kind == 2:
        return Place("chunked", 0, 0)
    if kind == 3:
        raise ValueError("virtual: its values lie in other files")
    raise ValueError("damaged HDF5: a data layout that is cut off")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A value that is attached to a group or dataset."""

    name: str
    type: Type
    shape: tuple[int, ...]
    data: bytes


def read_attribute(body: bytes) -> Attribute:
    """Return the attribute in a message.

    Raises:
        ValueError: If it is damaged.
    """
    if len(body) < 8 or body[0] not in (1, 2, 3):
        raise ValueError("damaged HDF5: no attribute")
    version = body[0]
    sizes = struct.unpack_from("<HHH", body, 2)
    at = 9 if version == 3 else 8
    parts = []
    for size in sizes:
        parts.append(body[at : at + size])
        # Version 1 pads each of them to eight bytes.
        at += size + (-size % 8 if version == 1 else 0)
    name, described, space = parts
    element, shape = read_type(described), read_shape(space)
    length = 0 if shape is None else element.size * math.prod(shape)
    data = body[at : at + length]
    if len(data) != length:
        raise ValueError("damaged HDF5: an attribute that is cut off")
    return Attribute(name.rstrip(b"\0").decode("utf-8", "replace"), element, shape or (), data)
