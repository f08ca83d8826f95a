"""Several files as one, one behind the other: the shards of sharded weights."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from surgeon.checkpoint.bytepath.streams import FileInput


class Joined:
    """Files that are read as one.

    Args:
        descriptors: Of the files, open for reading, in order.
        sizes: Their bytes.
    """

    descriptor: int | None = None

    def __init__(self, descriptors: Sequence[int], sizes: Sequence[int]) -> None:
        self._files = [FileInput(descriptor) for descriptor in descriptors]
        self.descriptors, self.sizes = tuple(descriptors), tuple(sizes)
        self.starts = tuple(sum(sizes[:number]) for number in range(len(sizes)))

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes; see `Input`."""
        return b"".join(self._files[n].read_at(at, count) for n, at, count in self._places(offset, size))

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer; see `Input`."""
        done = 0
        for number, at, count in self._places(offset, len(view)):
            self._files[number].read_into(view[done : done + count], at)
            done += count

    def _places(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Yield `(file, offset in it, bytes)` for each part of a range."""
        while size:
            number = bisect_right(self.starts, offset) - 1
            at = offset - self.starts[number]
            count = min(size, self.sizes[number] - at)
            if count <= 0:
                raise ValueError("the file became shorter while it was read")
            yield number, at, count
            offset, size = offset + count, size - count
