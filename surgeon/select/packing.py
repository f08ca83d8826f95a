"""Boolean masks as short text."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surgeon.errors import SelectionError

# More elements than any weight that a computer could hold: refuses sizes made to exhaust memory.
_MOST = 2**36


def pack_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask as JSON data: about a bit an element, less where it is regular.

    Example:
        >>> unpack_mask(pack_mask(np.array([[True, False]]))).tolist()
        [[True, False]]
    """
    bits = zlib.compress(np.packbits(mask).tobytes(), 9)
    return {"shape": list(mask.shape), "bits": base64.b85encode(bits).decode()}


def unpack_mask(data: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the mask that `pack_mask` described. Never unpacks to more than the shape says.

    Raises:
        SelectionError: If the data is damaged.
    """
    try:
        shape = tuple(int(size) for size in data["shape"])
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count > _MOST:
            raise SelectionError(f"no mask has the shape {shape}")
        size = (count + 7) // 8
        unpacker = zlib.decompressobj()
        # One byte more than there should be, so that a longer stream is noticed.
        packed = unpacker.decompress(base64.b85decode(data["bits"]), size + 1)
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise SelectionError(f"a mask is damaged: {type(error).__name__}: {error}") from error
    if len(packed) != size:
        raise SelectionError(f"a mask is damaged: {len(packed)} bytes where its shape {shape} needs {size}")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool).reshape(shape)
