"""One pass over a source's bytes and one over the output's.

A block of the source is read into one buffer, from which slices go to the output while the block is still
in the processor's cache. Files are read, not mapped: a mapped file that somebody cuts off kills the process.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from typing import Protocol

from surgeon.checkpoint.bytepath.checksums import crc32
from surgeon.checkpoint.bytepath.reserving import reserve

BLOCK = 1 << 20
"""Bytes: with a quarter of it, reading and writing cost a fifth more."""

_MOST_PIECES = 1000
"""`writev` takes 1024 at a time on Linux and macOS."""

_MOST_WAITING = 4 << 20
_ALIGNED = 1 << 20
"""Writes that end at a multiple of it are a tenth cheaper: the system keeps large pieces as such."""

Bytes = bytes | bytearray | memoryview


class Target:
    """A new file that is written from its start to its end.

    Args:
        descriptor: Open for writing; stays open.

    Attributes:
        position: Where the next byte goes.
        crc: CRC-32 of what was `put` since the last `start_member`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: list[Bytes] = []
        self._held = 0
        self.position = 0
        self.crc = 0

    def put(self, data: Bytes) -> None:
        """Append bytes and count them into the CRC. They must not change before the next `release`."""
        self.crc = crc32(data, self.crc)
        self.append(data)

    def append(self, data: Bytes) -> None:
        """Append bytes whose CRC is known otherwise. They must not change before the next `release`."""
        size = len(data)
        self.position += size
        self._held += size
        waiting = self._waiting
        waiting.append(data)
        if len(waiting) >= _MOST_PIECES:
            self.flush()
        elif self._held >= _MOST_WAITING:
            self.release()

    def start_member(self) -> None:
        """Let the CRC start anew."""
        self.crc = 0

    def reserve(self, size: int) -> None:
        """Let the system find room for the next `size` bytes: a full disk shows before it is written to.

        Raises:
            OSError: If there is no room.
        """
        if size >= BLOCK:
            reserve(self._descriptor, self.position, size)

    def patch(self, data: bytes, position: int) -> None:
        """Overwrite bytes that were written before."""
        self.flush()
        _write_all(lambda rest: os.pwrite(self._descriptor, rest, position + len(data) - len(rest)), data)

    def flush(self) -> None:
        """Hand what waits to the system."""
        waiting, self._waiting, self._held = self._waiting, [], 0
        self._write(waiting)

    def release(self, buffer: memoryview | None = None) -> None:
        """Hand what waits to the system, up to a boundary, and let go of a buffer that is filled anew."""
        keep = left = min(self.position % _ALIGNED, self._held)
        tail: list[Bytes] = []
        while left:
            last = memoryview(self._waiting.pop())
            if len(last) > left:
                self._waiting.append(last[:-left])
                last = last[-left:]
            left -= len(last)
            tail.append(bytes(last) if buffer is not None and last.obj is buffer.obj else last)
        self.flush()
        self._waiting, self._held = tail[::-1], keep

    def _write(self, waiting: list[Bytes]) -> None:
        total = sum(map(len, waiting))
        if not total:
            return
        written = os.writev(self._descriptor, waiting)
        if written < total:  # a full disk says so at the next attempt
            rest = b"".join(waiting)[written:]
            _write_all(lambda left: os.write(self._descriptor, left), rest)


def _write_all(write: Callable[[memoryview], int], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[write(rest) :]


class Input(Protocol):
    """What bytes are read from, at any place.

    Attributes:
        descriptor: Of a file that the system can copy from by itself; `None` if it is none.
    """

    descriptor: int | None

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes.

        Raises:
            OSError: If they cannot be read.
            ValueError: If they are not all there.
        """

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer; see `read_at`."""


class FileInput:
    """A file of this machine.

    Args:
        descriptor: Open for reading.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor: int | None = descriptor
        self._file = descriptor

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes; see `Input`."""
        data = os.pread(self._file, size, offset)
        while len(data) < size:
            more = os.pread(self._file, size - len(data), offset + len(data))
            if not more:
                raise ValueError("the file became shorter while it was read")
            data += more
        return data

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer; see `Input`."""
        got, wanted = 0, len(view)
        while got < wanted:
            more = os.preadv(self._file, [view[got:]], offset + got)
            if more <= 0:
                raise ValueError("the file became shorter while it was read")
            got += more


class Origin:
    """A range of a file, read once from its start to its end.

    Args:
        file: What is read.
        start: Where the range begins in the file, in bytes.
        size: How long it is, in bytes.
        before_reuse: Called with a buffer before it is filled anew.
        look: Called as `look(offset, block)` for each block, in order; together they are the whole range.
    """

    def __init__(
        self,
        file: Input,
        start: int,
        size: int,
        before_reuse: Callable[[memoryview], None],
        look: Callable[[int, memoryview], None] | None = None,
    ) -> None:
        self._file, self._start, self.size, self._look = file, start, size, look
        self._before_reuse = before_reuse
        self._buffers: list[memoryview] = []  # two, so that slices of one can wait while the other is filled
        self._block = memoryview(b"")
        self._begin = self._end = 0

    def at_hand(self, begin: int, end: int) -> memoryview | None:
        """Return the bytes from `begin` to `end` if they lie in the block that was read last."""
        if self._begin <= begin and end <= self._end:
            return self._block[begin - self._begin : end - self._begin]
        return None

    def range(self, offset: int, size: int) -> Iterator[memoryview]:
        """Yield the bytes at `offset`, in slices that are good until the next one is asked for.

        Bytes before the block that the pass has come to are read once more, outside of it.

        Raises:
            OSError: If they cannot be read.
            ValueError: If the file has become shorter.
        """
        at, end = offset, offset + size
        if end > self.size:
            raise ValueError("a plan that reaches beyond the end of the file")
        while at < end and at < self._begin:
            stop = min(end, self._begin, at + BLOCK)
            yield memoryview(self._file.read_at(self._start + at, stop - at))
            at = stop
        while at < end:
            while at >= self._end:
                self._advance()
            stop = min(end, self._end)
            yield self._block[at - self._begin : stop - self._begin]
            at = stop

    def finish(self) -> None:
        """Read what is left."""
        while self._end < self.size:
            self._advance()
        for buffer in self._buffers:
            self._before_reuse(buffer)
        _spare.extend(self._buffers)
        self._buffers = []

    def _advance(self) -> None:
        if len(self._buffers) < 2:
            buffer = _spare_buffer()
        else:
            buffer = self._buffers.pop(0)
            self._before_reuse(buffer)
        self._buffers.append(buffer)
        # As far into a page as the bytes are in the file: copies between aligned places are quicker.
        wanted, skew = min(BLOCK, self.size - self._end), self._start % mmap.PAGESIZE
        self._block = buffer[skew : skew + wanted]
        self._file.read_into(self._block, self._start + self._end)  # whole: no value is cut in two
        self._begin, self._end = self._end, self._end + wanted
        if self._look is not None:
            self._look(self._begin, self._block)


def _spare_buffer() -> memoryview:
    try:
        return _spare.pop()  # another thread may take the last one at any moment
    except IndexError:
        return memoryview(mmap.mmap(-1, BLOCK + mmap.PAGESIZE))


_spare: list[memoryview] = []
"""Buffers that nobody uses: making one for each file costs as much as copying a third of it."""
