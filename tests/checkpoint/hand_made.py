"""HDF5 files made byte by byte: what h5py would not write, one wrong field at a time."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping

from surgeon.checkpoint.budgets import DEFAULT, Budgets
from surgeon.checkpoint.hdf5 import Layout, Window, read_layout
from surgeon.checkpoint.hdf5.messages import Message

UNDEFINED = 0xFFFFFFFFFFFFFFFF
ROOT, FIRST, ARRAY = 0x100, 0x200, 0x300
SIZE = 0x1000
FLOAT = struct.pack("<B3BIHHBBBBI", 0x11, 0x20, 0x1F, 0, 4, 0, 32, 23, 8, 0, 23, 127)

Messages = tuple[tuple[int, bytes], ...]


def header(*messages: tuple[int, bytes]) -> bytes:
    """Return an object header (version 2) of `(type, body)`."""
    body = b"".join(struct.pack("<BHB", kind, len(data), 0) + data for kind, data in messages)
    return b"OHDR\x02\x02" + struct.pack("<I", len(body)) + body + bytes(4)


def link(name: bytes, address: int) -> tuple[int, bytes]:
    """Return a message that says which object has a name."""
    return Message.LINK, struct.pack("<BBH", 1, 1, len(name)) + name + struct.pack("<Q", address)


def shape(*sizes: int) -> bytes:
    """Return the body of a dataspace message."""
    return struct.pack(f"<BBBB{len(sizes)}Q", 2, len(sizes), 0, 1, *sizes)


def array(address: int = ARRAY, space: bytes | None = None) -> Messages:
    """Return what an array of four float32 says of itself."""
    place = struct.pack("<BBQQ", 3, 1, address, 16)
    return (
        (Message.DATASPACE, shape(4) if space is None else space),
        (Message.DATATYPE, FLOAT),
        (Message.LAYOUT, place),
    )


def attribute(
    name: bytes, described: bytes, data: bytes, space: bytes = b"\x02\0\0\0", version: int = 3
) -> tuple[int, bytes]:
    """Return an attribute (of one value, if nothing else is said)."""
    sizes = struct.pack("<BBHHHB", version, 0, len(name), len(described), len(space), 0)
    return Message.ATTRIBUTE, sizes + name + described + space + data


def hdf5_of(objects: Mapping[int, bytes], size: int = SIZE) -> bytes:
    """Return a file of objects at addresses; the root group is the one at `ROOT`."""
    data = bytearray(size)
    data[:48] = b"\x89HDF\r\n\x1a\n\x02\x08\x08\0" + struct.pack("<QQQQI", 0, UNDEFINED, size, ROOT, 0)
    for address, content in objects.items():
        data[address : address + len(content)] = content
    return bytes(data[:size])


def layout_of(
    objects: Mapping[int, bytes], budgets: Budgets = DEFAULT, *, with_texts: bool = False, size: int = SIZE
) -> Layout:
    """Read such a file."""
    return read_bytes(hdf5_of(objects, size), budgets, with_texts=with_texts)


def read_bytes(data: bytes, budgets: Budgets = DEFAULT, *, with_texts: bool = False) -> Layout:
    """Read an HDF5 file that is in memory."""
    window = Window(io.BytesIO(data), 0, len(data), budgets.description)
    return read_layout(window, budgets, with_texts=with_texts)
