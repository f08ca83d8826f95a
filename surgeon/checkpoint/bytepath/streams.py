"""One pass over a source's bytes and one over the output's, both with a running CRC.

A block of the source is read into one buffer, from which slices go to the output while the block is still
in the processor's cache. Files are read, not mapped: a mapped file that somebody cuts off kills the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from surgeon.checkpoint.bytepath.checksums import crc32

BLOCK = 1 << 20
_MOST_PIECES = 1000
"""`writev` takes 1024 at a time on Linux and macOS."""

Bytes = bytes | bytearray | memoryview


class Target:
    """A new file that is written from its start to its end.

    Args:
        descriptor: Open for writing; stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: list[Bytes] = []
        self.position = 0
        self.crc = 0

    def put(self, data: Bytes) -> None:
        """Append bytes. They must not change before the next `flush`."""
        self.crc = crc32(data, self.crc)
        self.position += len(data)
        self._waiting.append(data)
        if len(self._waiting) >= _MOST_PIECES:
            self.flush()

    def start_member(self) -> None:
        """Let the CRC start anew."""
        self.crc = 0

    def patch(self, data: bytes, position: int) -> None:
        """Overwrite bytes that were written before."""
        self.flush()
        _write_all(lambda rest: os.pwrite(self._descriptor, rest, position + len(data) - len(rest)), data)

    def flush(self) -> None:
        """Hand what waits to the system."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        total = sum(len(data) for data in waiting)
        written = os.writev(self._descriptor, waiting)
        if written < total:  # a full disk says so at the next attempt
            rest = b"".join(waiting)[written:]
            _write_all(lambda left: os.write(self._descriptor, left), rest)


def _write_all(write: Callable[[memoryview], int], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[write(rest) :]


class Origin:
    """A range of a file, read once from its start to its end, with a CRC over all of it.

    Args:
        descriptor: Open for reading.
        start: Where the range begins in the file, in bytes.
        size: How long it is, in bytes.
        before_reuse: Called before the buffer is filled anew.
        checked: Whether the CRC is wanted.

    Attributes:
        crc: Of all bytes from the start of the range up to where the pass has come.
    """

    def __init__(
        self,
        descriptor: int,
        start: int,
        size: int,
        before_reuse: Callable[[], None],
        *,
        checked: bool = True,
    ) -> None:
        self._descriptor, self._start, self.size, self._checked = descriptor, start, size, checked
        self._before_reuse = before_reuse
        self._buffer = memoryview(bytearray(min(BLOCK, max(size, 1))))
        self._begin = self._end = 0
        self.crc = 0

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
            yield self._aside(at, min(end, self._begin, at + BLOCK))
            at = min(end, self._begin, at + BLOCK)
        while at < end:
            while at >= self._end:
                self._advance()
            stop = min(end, self._end)
            yield self._buffer[at - self._begin : stop - self._begin]
            at = stop

    def finish(self) -> int:
        """Read what is left and return the CRC of the whole range."""
        while self._end < self.size:
            self._advance()
        return self.crc

    def _aside(self, begin: int, end: int) -> memoryview:
        return memoryview(read_exactly(self._descriptor, self._start + begin, end - begin))

    def _advance(self) -> None:
        self._before_reuse()
        wanted = min(len(self._buffer), self.size - self._end)
        view = self._buffer[:wanted]
        got = os.preadv(self._descriptor, [view], self._start + self._end)
        if got <= 0:
            raise ValueError("the file became shorter while it was read")
        self._begin, self._end = self._end, self._end + got
        if self._checked:
            self.crc = crc32(view[:got], self.crc)


def read_exactly(descriptor: int, offset: int, size: int) -> bytes:
    """Return bytes of a file.

    Raises:
        ValueError: If they are not all there.
    """
    data = os.pread(descriptor, size, offset)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            raise ValueError("the file became shorter while it was read")
        data += more
    return data
