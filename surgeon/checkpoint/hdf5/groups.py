"""The names in a group: by B-tree and heap, as h5py writes them, or by link messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from surgeon.checkpoint.hdf5.messages import Message
from surgeon.checkpoint.hdf5.window import UNDEFINED, Window

_LONGEST_NAME = 1024
_ENTRY = struct.Struct("<QQI4x16s")
_SOFT = 2


def read_links(window: Window, messages: list[tuple[int, bytes]]) -> Iterator[tuple[str, int]]:
    """Yield `(name, address of the object's header)` of what a group holds.

    Raises:
        ValueError: If one is a soft or external link, or the group is damaged.
    """
    for kind, body in messages:
        if kind == Message.SYMBOL_TABLE:
            if len(body) < 16:
                raise ValueError("damaged HDF5: a group that is cut off")
            tree, heap = struct.unpack_from("<QQ", body)
            yield from _read_table(window, tree, heap)
        elif kind == Message.LINK:
            yield _read_link(body)
        elif kind == Message.LINK_INFO:
            start = 2 + (8 if body[1:2] and body[1] & 1 else 0)
            if int.from_bytes(body[start : start + 8].ljust(8, b"\xff"), "little") != UNDEFINED:
                raise ValueError("HDF5 with a group in a fractal heap, which Keras does not write")


def _read_table(window: Window, tree: int, heap: int) -> Iterator[tuple[str, int]]:
    if window.read(heap, 4) != b"HEAP":
        raise ValueError("damaged HDF5: a group without a heap for its names")
    size, names = window.integer(heap + 8), window.integer(heap + 24)
    for address in _leaves(window, tree):
        if window.read(address, 4) != b"SNOD":
            raise ValueError("damaged HDF5: a group without its table")
        count = window.integer(address + 6, 2)
        table = window.read(address + 8, count * _ENTRY.size)
        for offset, header, cached, _ in _ENTRY.iter_unpack(table):
            name = _read_name(window, names, size, offset)
            if cached == _SOFT:
                raise ValueError(f"{name!r} is a soft link; Keras writes none")
            yield name, header


def _leaves(window: Window, address: int) -> Iterator[int]:
    """Yield the addresses of the tables below a node of a B-tree (version 1)."""
    level: int | None = None
    waiting = [(address, level)]
    seen = set()
    while waiting:
        address, level = waiting.pop()
        if address in seen:
            raise ValueError("damaged HDF5: a tree with a cycle")
        seen.add(address)
        head = window.read(address, 24)
        if head[:4] != b"TREE" or head[4] != 0 or (level is not None and head[5] != level):
            raise ValueError("damaged HDF5: a group without its tree")
        count = int.from_bytes(head[6:8], "little")
        # Keys and children take turns; the first key comes first.
        pairs = window.read(address + 24, 16 * count)
        children = [child for _, child in struct.iter_unpack("<QQ", pairs)]
        if head[5] == 0:
            yield from children
        else:
            waiting += [(child, head[5] - 1) for child in reversed(children)]


def _read_name(window: Window, names: int, size: int, offset: int) -> str:
    if offset >= size:
        raise ValueError("damaged HDF5: a name outside of its heap")
    start = names + offset
    raw = window.read(start, min(_LONGEST_NAME, size - offset, max(0, window.size - start)))
    name, end, _ = raw.partition(b"\0")
    return _checked(name if end else b"")


def _read_link(body: bytes) -> tuple[str, int]:
    if len(body) < 2 or body[0] != 1:
        raise ValueError("damaged HDF5: no link")
    flags, at, kind = body[1], 2, 0
    if flags & 0x08:
        kind, at = int.from_bytes(body[2:3], "little"), 3
    at += (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[at : at + width], "little")
    at += width
    if length > _LONGEST_NAME:
        raise ValueError("HDF5 with a name that is too long")
    name = _checked(body[at : at + length])
    if kind != 0:
        what = {1: "a soft link", 64: "an external link, to another file"}.get(kind, "an unknown link")
        raise ValueError(f"{name!r} is {what}; Keras writes none")
    return name, int.from_bytes(body[at + length : at + length + 8].ljust(8, b"\xff"), "little")


def _checked(name: bytes) -> str:
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"HDF5 with a name that is not UTF-8: {name[:40]!r}") from error
    if not text or "/" in text or "\0" in text or text in (".", ".."):
        raise ValueError(f"HDF5 with {text!r} for a name")
    return text
