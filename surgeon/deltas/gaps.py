"""Sorted positions as their gaps: about a byte for each, where an integer takes four.

A code is a list of unsigned integers. Its running sum visits the positions; the largest value
that the type can hold means "go on, there is no position here". So decoding is one line in any
language with arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Code = NDArray[np.unsignedinteger]

TYPES = (np.uint8, np.uint16, np.uint32)


def encode(positions: Positions) -> Code:
    """Return the shortest code of sorted, unique positions.

    Example:
        >>> encode(np.array([3, 4, 300])).tolist()
        [3, 1, 255, 41]
    """
    gaps = np.diff(positions, prepend=0)
    codes = (
        _encode(gaps, dtype) for dtype in TYPES if _length(gaps, dtype) * dtype().itemsize == _best(gaps)
    )
    return next(codes)


def _length(gaps: Positions, dtype: type) -> int:
    return len(gaps) + int((gaps // np.iinfo(dtype).max).sum())


def _best(gaps: Positions) -> int:
    return min(_length(gaps, dtype) * dtype().itemsize for dtype in TYPES)


def _encode(gaps: Positions, dtype: type) -> Code:
    go_on = np.iinfo(dtype).max
    code: Code = np.full(_length(gaps, dtype), go_on, dtype)
    ends = np.cumsum(gaps // go_on + 1) - 1
    code[ends] = gaps % go_on
    return code


def decode(code: Code) -> Positions:
    """Inverse of `encode`. What it returns is sorted; nothing else is promised for a damaged code.

    Example:
        >>> decode(encode(np.array([3, 4, 300]))).tolist()
        [3, 4, 300]
    """
    return np.cumsum(code, dtype=np.int64)[code < np.iinfo(code.dtype).max]
