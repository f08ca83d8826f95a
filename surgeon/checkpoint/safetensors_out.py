"""The weights of a checkpoint as a safetensors file.

The library's own writer wants all tensors in memory at a time; here they are copied as they lie.
Layout: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.opened import opened
from surgeon.checkpoint.bytepath.streams import Origin, Target
from surgeon.checkpoint.hdf5 import Dataset, Window, read_layout
from surgeon.checkpoint.identity import name_crc
from surgeon.checkpoint.sources import Kind

SUFFIX = ".safetensors"
_STATE = "surgeon_state"
"""`surgeon.paths.STATE`, which cannot be imported without Keras."""


def write_safetensors(
    source: Path, kind: Kind, names: Mapping[str, str], target: Path, *, sync: bool
) -> tuple[int, str]:
    """Write the weights of a checkpoint into a new file; return its size and a name for its content.

    Left out are the optimizer, and which elements train; all values are in the weights themselves.

    Args:
        source: A checkpoint that this program has written.
        kind: Its kind.
        names: What its arrays are called, by their path in the HDF5 file; others keep that path.
        target: The new file.
        sync: Whether it is on the disk on return.

    Raises:
        ValueError: If an array has a dtype that there is no name for.
        OSError: If something cannot be read or written.
    """
    with opened(source, kind, None, DEFAULT) as (_, found), source.open("rb") as file:
        if found is None:
            raise ValueError("its members are deflated")
        layout = read_layout(Window(file, found.start, found.size, DEFAULT.description), DEFAULT)
        arrays = [d for d in layout.datasets.values() if not _is_left_out(d.path)]
        head: dict[str, Any] = {"__metadata__": {"format": "keras"}}
        at = 0
        for array in arrays:
            name = names.get(array.path, array.path)
            if name in head:
                raise ValueError(f"two arrays would be called {name!r}")
            head[name] = {
                "dtype": _dtype(array),
                "shape": array.shape,
                "data_offsets": [at, at + array.size],
            }
            at += array.size
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            output = Target(descriptor)
            output.put(len(text).to_bytes(8, "little") + text)
            for array in arrays:
                origin = Origin(found.file, found.start + (array.offset or 0), array.size, output.release)
                for view in origin.range(0, array.size):
                    output.put(view)
                origin.finish()
            output.flush()
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return output.position, name_crc(output.crc, output.position)


def _is_left_out(path: str) -> bool:
    return path.startswith("optimizer/") or f"/{_STATE}/" in f"/{path}/"


def _dtype(array: Dataset) -> str:
    kind = np.dtype(array.dtype)
    letter = {"f": "F", "i": "I", "u": "U"}.get(kind.kind)
    if array.offset is None and array.size:
        raise ValueError(f"{array.path} is not one range of bytes")
    if kind.kind == "V" and kind.itemsize == 2:
        return "BF16"
    if kind.kind == "b":
        return "BOOL"
    if letter is None or kind.byteorder == ">":
        raise ValueError(f"{array.path} is {array.dtype}, for which safetensors has no name")
    return f"{letter}{8 * kind.itemsize}"
