"""Files of the layout of another, with numbers in them that are found again wherever they go."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.plan import Array
from surgeon.checkpoint.shards import shard_names
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.zip_check import CONFIG, WEIGHTS
from surgeon.paths import STATE

_RATE = re.compile(rb'"learning_rate": -?[0-9][0-9.eE+-]*')
_RATES = (b"0.0123", b"0.0456")
_EXPONENTS = {2: 13, 4: 60, 8: 60}


def write_synthetic(
    source: Path, kind: Kind, start: int, arrays: tuple[Array, ...], seed: int, to: Path
) -> None:
    """Write a file like `source`, but for its numbers.

    Args:
        source: A checkpoint whose members are stored.
        kind: Its kind.
        start: Where its HDF5 part begins.
        arrays: Its arrays.
        seed: 0 or 1; no array is the same for both.
        to: Where to write.
    """
    if kind is Kind.SHARDED:
        _write_shards(source, arrays, seed, to)
        return
    with source.open("rb") as old:
        if kind is not Kind.KERAS:
            with to.open("wb") as file:
                _write_part(old, start, source.stat().st_size, arrays, seed, file)
            return
        with zipfile.ZipFile(old) as archive, zipfile.ZipFile(to, "w") as new:
            for member in archive.infolist():
                info = zipfile.ZipInfo(member.filename)
                if member.filename == WEIGHTS:
                    with new.open(info, "w", force_zip64=True) as stream:
                        _write_part(old, start, member.file_size, arrays, seed, stream)
                    continue
                content = archive.read(member)
                if member.filename == CONFIG:
                    content = _RATE.sub(b'"learning_rate": ' + _RATES[seed], content)
                new.writestr(info, content)


def _write_shards(source: Path, arrays: tuple[Array, ...], seed: int, to: Path) -> None:
    """Write the map as it is, and beside it the shards, of which `arrays` lie one behind the other."""
    text = source.read_bytes()
    to.write_bytes(text)
    start = first = 0
    for name in shard_names(text, DEFAULT):
        size = source.with_name(name).stat().st_size
        inside = tuple(
            replace(array, offset=array.offset - start)
            for array in arrays
            if start <= array.offset < start + size
        )
        with source.with_name(name).open("rb") as old, to.with_name(name).open("wb") as new:
            _write_part(old, 0, size, inside, seed, new, first)
        start, first = start + size, first + len(inside)


def _write_part(
    source: BinaryIO,
    start: int,
    size: int,
    arrays: tuple[Array, ...],
    seed: int,
    to: IO[bytes],
    first: int = 0,
) -> None:
    """Write an HDF5 part, one array at a time: the whole of it may be gigabytes.

    No two arrays of one number, counted from `first`, are the same.
    """
    at = 0

    def copy(count: int) -> None:
        source.seek(start + at)
        to.write(source.read(count))

    for number, array in enumerate(arrays, first):
        copy(array.offset - at)
        at = array.offset
        # Where a partly trainable source keeps indices, other numbers would be no indices.
        if f"/{STATE}/" in f"/{array.path}/":
            copy(array.size)
        else:
            to.write(made_up(array, number, seed))
        at += array.size
    copy(size - at)


def made_up(array: Array, number: int, seed: int) -> bytes:
    """Return bytes for an array: finite numbers of all sizes, so that clipping or scaling would show."""
    rng = np.random.default_rng([number, 0 if array.dtype == "|b1" else seed])
    kind, count = np.dtype(array.dtype), int(np.prod(array.shape, dtype=np.int64))
    if array.dtype == "|b1":
        # Two values are few: the second file has the opposite of the first.
        return bytes((rng.integers(0, 2, count) ^ seed).astype("u1"))
    if kind.kind == "V" and kind.itemsize == 2:  # bfloat16 is the upper half of a float32
        return bytes((_floats(rng, count, 60).astype("<f4").view("<u4") >> 16).astype("<u2"))
    if kind.kind == "V":
        return bytes(rng.integers(1, 0x70, count, dtype="u1"))
    if kind.kind == "f":
        return bytes(_floats(rng, count, _EXPONENTS[kind.itemsize]).astype(kind))
    limits = np.iinfo(kind)
    return bytes(rng.integers(0, min(int(limits.max), 1 << 30), count, endpoint=True).astype(kind))


def _floats(rng: np.random.Generator, count: int, exponent: int) -> np.ndarray[Any, Any]:
    sign = rng.choice(np.array([-1.0, 1.0]), count)
    return sign * rng.uniform(1, 2, count) * np.exp2(rng.integers(-exponent, exponent, count, endpoint=True))
