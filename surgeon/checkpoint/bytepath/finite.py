"""Looking for NaN and infinity among the numbers of a file."""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

from surgeon.checkpoint.front_door import Admitted
from surgeon.checkpoint.zip_check import WEIGHTS

_CHUNK = 1 << 20

Check = Callable[[memoryview], bool]


def not_finite(path: Path, admitted: Admitted) -> tuple[str, ...]:
    """Return the arrays of a file that have NaN or infinite values; of one that `is_open` all."""
    found = []
    with _weights(path, admitted) as (file, start), np.errstate(over="ignore", invalid="ignore"):
        for dataset in admitted.layout.datasets.values():
            check = finite_check(dataset.dtype)
            if dataset.offset is None or check is None:
                continue
            file.seek(start + dataset.offset)
            left = dataset.size
            while left > 0 and (data := file.read(min(_CHUNK, left))):
                left -= len(data)
                if not check(memoryview(data)):
                    found.append(dataset.path)
                    break
    return tuple(found)


def is_open(admitted: Admitted) -> bool:
    """Whether the numbers of all arrays lie as they are, neither in chunks nor compressed nor elsewhere."""
    return all(array.offset is not None for array in admitted.layout.datasets.values())


@contextmanager
def _weights(path: Path, admitted: Admitted) -> Iterator[tuple[IO[bytes], int]]:
    """Yield a file with the arrays, and where in it they begin."""
    member = admitted.members.get(WEIGHTS)
    if member is None or member.is_stored:
        with path.open("rb") as file:
            yield file, member.offset if member else 0
        return
    with tempfile.TemporaryFile() as unpacked:
        with zipfile.ZipFile(path) as archive, archive.open(WEIGHTS) as stream:
            shutil.copyfileobj(stream, unpacked, _CHUNK)
        yield unpacked, 0


@cache
def finite_check(dtype: str) -> Check | None:
    """Return what tells whether bytes of a dtype hold no NaN and no infinity; `None` if they never do.

    A value that is cut off at the end is not looked at. To be called where numpy does not warn of NaN.
    """
    kind = np.dtype(dtype)
    size = kind.itemsize
    if kind.kind == "V" and size == 2:  # bfloat16: all bits of the exponent set
        return lambda view: not bool((np.frombuffer(view, "<u2", len(view) // 2) & 0x7F80 == 0x7F80).any())
    if kind.kind != "f":
        return None

    def check(view: memoryview) -> bool:
        values = np.frombuffer(view, kind, len(view) // size)
        # A sum in one pass and one thread: a scalar product, which BLAS hands to several threads that wait
        # for each other actively, costs more on a busy machine. Large numbers can overflow it: then a closer
        # look.
        return math.isfinite(np.einsum("i->", values)) or (
            math.isfinite(np.maximum.reduce(values)) and math.isfinite(np.minimum.reduce(values))
        )

    return check
