"""Text of variable length, which lies in collections of its own (specification, section III.E)."""

from __future__ import annotations

import struct

from surgeon.checkpoint.hdf5.messages import Attribute
from surgeon.checkpoint.hdf5.window import Window

_HEAD = 16
_REFERENCE = struct.Struct("<IQI")


def read_texts(window: Window, attribute: Attribute, longest: int) -> list[str]:
    """Return the text, or the texts, that an attribute holds.

    Args:
        window: The file.
        attribute: Text, of fixed or of variable length.
        longest: How many bytes one text may have.

    Raises:
        ValueError: If it is no text, is over budget, or damaged.
    """
    if attribute.type.is_reference and attribute.type.size == _REFERENCE.size:
        raw = [
            _look_up(window, address, index, length, longest)
            for length, address, index in _REFERENCE.iter_unpack(attribute.data)
        ]
    elif attribute.type.name == "text" and attribute.type.size and not attribute.type.is_reference:
        size = attribute.type.size
        raw = [attribute.data[at : at + size] for at in range(0, len(attribute.data), size)]
    else:
        raise ValueError(f"the attribute {attribute.name!r} is no text")
    try:
        return [text.rstrip(b"\0").decode("utf-8") for text in raw]
    except UnicodeDecodeError as error:
        raise ValueError(f"the attribute {attribute.name!r} is not UTF-8") from error


def _look_up(window: Window, address: int, wanted: int, length: int, longest: int) -> bytes:
    if length == 0:
        return b""
    if length > longest:
        raise ValueError(f"text of {length:,} bytes, more than the {longest:,} allowed")
    head = window.read(address, _HEAD)
    if head[:4] != b"GCOL":
        raise ValueError("damaged HDF5: text that is not where it should be")
    at, end = address + _HEAD, address + int.from_bytes(head[8:16], "little")
    while at + _HEAD <= end:
        index, _, size = struct.unpack("<HH4xQ", window.read(at, _HEAD))
        if index == wanted:
            if size < length:
                raise ValueError("damaged HDF5: text that is cut off")
            return window.read(at + _HEAD, length)
        if index == 0:
            break
        at += _HEAD + size + (-size % 8)
    raise ValueError("damaged HDF5: text that is missing")
