"""CRC-32, as zip archives use it, and its algebra: the CRC of a whole from the CRCs of its parts.

A CRC is a remainder modulo a polynomial over GF(2). So `crc(a + b) = shift(crc(a), len(b)) ^ crc(b)`, where
`shift` by n bytes multiplies with `x ** (8 * n)` (zlib's `crc32_combine` is the same thing). Multiplying is
linear: a table of 32 numbers for each part turns the CRCs of all parts into that of the whole at once. The
polynomial is primitive, so a shift can be undone, too. Bits are reflected: the highest one is `x ** 0`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine; the same numbers, more slowly
    crc32 = zlib.crc32

__all__ = ["Shifts", "crc32", "shift"]

_POLYNOMIAL = 0xEDB88320
_ORDER = 0xFFFFFFFF
"""`x ** _ORDER` is 1."""

_ONE, _X = 1 << 31, 1 << 30
_BITS = np.arange(32, dtype=np.uint32)

Words = np.ndarray[Any, np.dtype[np.uint32]]


class Shifts:
    """Linear maps that add up the CRCs of parts, each shifted by the bytes that follow it.

    Args:
        tables: What each bit of each part's CRC adds, of shape `(parts, 32)`.

    Example:
        >>> parts = [b"one, ", b"two, ", b"three"]
        >>> whole = Shifts.of([len(b"two, three"), len(b"three"), 0])
        >>> whole([zlib.crc32(part) for part in parts]) == zlib.crc32(b"one, two, three")
        True
    """

    def __init__(self, tables: Words) -> None:
        self.tables = tables

    @classmethod
    def of(cls, following: Sequence[int]) -> Shifts:
        """Make the maps from the number of bytes after each part."""
        column = _powers(np.array([8 * count % _ORDER for count in following], np.uint64))
        tables = np.empty((len(following), 32), np.uint32)
        for power in range(32):
            tables[:, 31 - power] = column
            column = _times_x(column)
        return cls(tables)

    def gathered(self, places: Sequence[Sequence[int]]) -> Shifts:
        """Return maps for parts that stand in several places, or in none: `places` are rows of this."""
        rows = [np.bitwise_xor.reduce(self.tables[list(place)], axis=0) for place in places]
        return Shifts(np.array(rows, np.uint32).reshape(len(places), 32))

    def __call__(self, crcs: Sequence[int]) -> int:
        """Return the CRC of the whole, or what these parts contribute to it."""
        bits = (np.array(crcs, np.uint32)[:, None] >> _BITS) & np.uint32(1)
        return int(np.bitwise_xor.reduce(self.tables * bits, axis=None))


def shift(crc: int, count: int) -> int:
    """Return a CRC's contribution with `count` bytes more behind it; fewer if negative.

    Example:
        >>> shift(zlib.crc32(b"one"), 3) ^ zlib.crc32(b"two") == zlib.crc32(b"onetwo")
        True
        >>> shift(shift(1234, 99), -99)
        1234
    """
    return Shifts.of([count])([crc])


def _powers(exponents: np.ndarray[Any, np.dtype[np.uint64]]) -> Words:
    """Return `x ** exponent` for each exponent, by repeated squaring."""
    found = np.full(exponents.shape, _ONE, np.uint32)
    square = np.uint32(_X)
    while exponents.any():
        odd = (exponents & np.uint64(1)).astype(bool)
        found[odd] = _multiply(found[odd], square)
        square = _multiply(np.array([square]), square)[0]
        exponents = exponents >> np.uint64(1)
    return found


def _multiply(factors: Words, by: np.uint32) -> Words:
    product = np.zeros_like(factors)
    for power in range(32):
        if int(by) >> (31 - power) & 1:
            product ^= factors
        factors = _times_x(factors)
    return product


def _times_x(values: Words) -> Words:
    carry = np.where(values & np.uint32(1), np.uint32(_POLYNOMIAL), np.uint32(0))
    return (values >> np.uint32(1)) ^ carry
