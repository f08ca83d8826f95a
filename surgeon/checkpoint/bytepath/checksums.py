"""CRC-32, as zip archives use it."""

from __future__ import annotations

import zlib

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine; the same numbers, more slowly
    crc32 = zlib.crc32

__all__ = ["crc32"]
