"""An object on a store as a file of which only the ranges that are needed are read."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence

from surgeon.checkpoint.stamp import Stamp
from surgeon.checkpoint.stores import read_ranges, stamp_of

_SMALL = 1 << 20
"""An object of up to so many bytes is asked for as a whole: asking takes longer than sending."""

_ENDS = 1 << 17
"""Bytes at both ends: there lie the members' headers, a small config, and the directory of an archive."""

_NEAR = 1 << 16
"""Ranges that are closer to each other are one."""

_AHEAD = 8 << 20
"""What is asked for at a time where bytes are needed one after the other."""

Range = tuple[int, int]
Read = Callable[[list[Range]], list[bytes]]


class Ranges(io.RawIOBase):
    """A read-only file over ranges.

    Args:
        read: Returns the bytes of each `(begin, end)`.
        size: Bytes of the file.

    Example:
        >>> asked = []
        >>> def read(ranges):
        ...     asked.extend(ranges)
        ...     return [bytes(end - begin) for begin, end in ranges]
        >>> file = Ranges(read, 100_000_000)
        >>> file.expect([(50_000_000, 50_000_100), (50_002_000, 50_002_100)])
        >>> len(file.read_at(50_000_000, 100)), asked
        (100, [(0, 131072), (99868928, 100000000), (50000000, 50002100)])
    """

    descriptor: int | None = None

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size, self._at = read, size, 0
        ends = [(0, size)] if size <= _SMALL else [(0, _ENDS), (size - _ENDS, size)]
        self._kept = self._fetch([each for each in ends if each[1] > each[0]])
        self._window: tuple[int, bytes] = (0, b"")
        self._expected: list[Range] = [(0, size)]

    def expect(self, ranges: Sequence[Range]) -> None:
        """Say which ranges will be read, so that nothing beyond them is asked for in advance."""
        self._expected = _joined(ranges)

    def keep(self, ranges: Sequence[Range]) -> None:
        """Ask for many small ranges at a time, and keep them."""
        wanted = [each for each in _joined(ranges) if self._find(*each) is None]
        if wanted:
            self._kept = sorted([*self._kept, *self._fetch(wanted)])

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes.

        Raises:
            OSError: If they cannot be read.
            ValueError: If they are not all there.
        """
        if not size:
            return b""  # not to be asked for: stores take no empty range
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError("the file became shorter while it was read")
        found = self._find(offset, offset + size)
        if found is None:
            found = self._advance(offset, offset + size)
        return found

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer; see `read_at`."""
        view[:] = self.read_at(offset, len(view))

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def seekable(self) -> bool:
        """Whether there is a place in it: there is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: object) -> int:
        """Read on from the place that was gone to."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = max(0, min(len(view), self._size - self._at))
        view[:count] = self.read_at(self._at, count)
        self._at += count
        return count

    def _find(self, begin: int, end: int) -> bytes | None:
        place = bisect_right(self._kept, begin, key=lambda kept: kept[0]) - 1
        for start, data in (self._kept[place] if place >= 0 else (0, b""), self._window):
            if start <= begin and end <= start + len(data):
                return data[begin - start : end - start]
        return None

    def _advance(self, begin: int, end: int) -> bytes:
        """Ask for some bytes, and in advance for those behind them that will be needed, too."""
        start, data = self._window
        known = data[begin - start :] if start <= begin < start + len(data) else b""
        at = begin + len(known)
        limit = next((stop for first, stop in self._expected if first <= at < stop), end)
        fetched = self._fetch([(at, max(end, min(limit, at + _AHEAD)))])[0][1]
        self._window = (begin, known + fetched)
        return self._window[1][: end - begin]

    def _fetch(self, ranges: list[Range]) -> list[tuple[int, bytes]]:
        found = self._read(ranges) if ranges else []
        for (begin, end), data in zip(ranges, found, strict=True):
            if len(data) != end - begin:
                raise ValueError("the file became shorter while it was read")
        return [(begin, data) for (begin, _), data in zip(ranges, found, strict=True)]


def open_remote(url: str) -> tuple[Stamp, Ranges]:
    """Return the state of an object, and the object as a file.

    Raises:
        OSError: If it cannot be asked for.
    """
    stamp = stamp_of(url)
    return stamp, Ranges(lambda ranges: read_ranges(url, ranges), stamp.size)


def _joined(ranges: Sequence[Range]) -> list[Range]:
    joined: list[Range] = []
    for begin, end in sorted(ranges):
        if joined and begin - joined[-1][1] <= _NEAR:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
