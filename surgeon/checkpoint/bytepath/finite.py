"""Looking for NaN and infinity among the numbers of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from surgeon.checkpoint.front_door import Admitted
from surgeon.checkpoint.zip_check import WEIGHTS

_FAST = (np.dtype("<f4"), np.dtype("<f8"))
_CHUNK = 1 << 20


def not_finite(path: Path, admitted: Admitted) -> tuple[str, ...]:
    """Return the arrays of a file that have NaN or infinite values; deflated members are not looked at."""
    weights = admitted.members.get(WEIGHTS)
    if weights is not None and not weights.is_stored:
        return ()
    start = weights.offset if weights else 0
    found = []
    with path.open("rb") as file:
        for dataset in admitted.layout.datasets.values():
            if dataset.offset is None or np.dtype(dataset.dtype).kind not in "fV":
                continue
            file.seek(start + dataset.offset)
            left = dataset.size
            while left > 0 and (data := file.read(min(_CHUNK, left))):
                left -= len(data)
                if not is_finite(memoryview(data), dataset.dtype):
                    found.append(dataset.path)
                    break
    return tuple(found)


def is_finite(view: memoryview, dtype: str) -> bool:
    """Whether there is no NaN and no infinity among values; slices that cut a value are looked at in part."""
    kind = np.dtype(dtype)
    if kind.kind not in "fV":
        return True
    whole = len(view) - len(view) % kind.itemsize
    if kind.kind == "V":  # bfloat16: all bits of the exponent set
        if kind.itemsize != 2:
            return True
        bits = np.frombuffer(view[:whole], "<u2") & 0x7F80
        return not bool((bits == 0x7F80).any())
    values = np.frombuffer(view[:whole], kind)
    if kind in _FAST:
        # One pass at the speed of memory. The square of a large value overflows: then look again.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(values, values)):
                return True
    return bool(np.isfinite(values).all())
