"""Bytes of a file, with bounds."""

from __future__ import annotations

from typing import BinaryIO

UNDEFINED = 0xFFFFFFFFFFFFFFFF
_BLOCK = 1 << 16


class Window:
    """A part of a file that is read at addresses which nobody vouches for.

    What was asked for is counted, since two objects that lie on each other can make a small file a long read.

    Args:
        file: Open for reading.
        start: Where the part begins in the file, in bytes.
        size: How long it is, in bytes.
        budget: How many bytes may be asked for in all.

    Example:
        >>> import io
        >>> window = Window(io.BytesIO(b"..abcdef"), start=2, size=6, budget=100)
        >>> window.read(1, 3)
        b'bcd'
    """

    def __init__(self, file: BinaryIO, start: int, size: int, budget: int) -> None:
        self._file, self._start, self.size, self._left = file, start, size, budget
        self._blocks: dict[int, bytes] = {}

    def read(self, address: int, count: int) -> bytes:
        """Return `count` bytes at an address.

        Raises:
            ValueError: If they are not all there, or if more was asked for than the budget allows.
        """
        if count < 0 or address < 0 or address + count > self.size:
            raise ValueError(f"damaged HDF5: {count:,} bytes at {address:,} are outside of the file")
        self._left -= count + 16
        if self._left < 0:
            raise ValueError("HDF5 whose description takes more bytes than are allowed")
        block, offset = divmod(address, _BLOCK)
        if offset + count <= _BLOCK:
            return self._block(block)[offset : offset + count]
        self._file.seek(self._start + address)
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("the file became shorter while it was read")
        return data

    def integer(self, address: int, width: int = 8) -> int:
        """Return a little-endian number."""
        return int.from_bytes(self.read(address, width), "little")

    def _block(self, number: int) -> bytes:
        found = self._blocks.get(number)
        if found is None:
            if len(self._blocks) >= 64:  # 4 MiB
                self._blocks.clear()
            begin = number * _BLOCK
            wanted = min(_BLOCK, self.size - begin)
            self._file.seek(self._start + begin)
            found = self._file.read(wanted)
            if len(found) != wanted:
                raise ValueError("the file became shorter while it was read")
            self._blocks[number] = found
        return found
