"""The arrays of a source on their way to the output, looked at in passing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from surgeon.checkpoint.bytepath.checksums import crc32
from surgeon.checkpoint.bytepath.finite import finite_check
from surgeon.checkpoint.bytepath.opened import Opened
from surgeon.checkpoint.bytepath.plan import BytePlan
from surgeon.checkpoint.bytepath.streams import BLOCK, Origin, Target
from surgeon.checkpoint.zip_check import WEIGHTS


class Reader(Protocol):
    """Copies arrays to the target, and knows the checksums of source and output in the end.

    Attributes:
        not_finite: Paths of the arrays in which NaN or infinite values were met.
        source_crc: CRC-32 of the source's HDF5 part, once `finish` was called; `None` if not all was read.
    """

    not_finite: tuple[str, ...]
    source_crc: int | None

    def copy(self, number: int) -> None:
        """Append an array, by its number in the plan, to the target."""

    def finish(self, made: Sequence[int]) -> int:
        """Return the CRC of the output.

        Args:
            made: CRCs of the pieces that are neither constant nor copied, in order.

        Raises:
            ValueError: If the source's CRC is not what it says.
        """


def reader_of(plan: BytePlan, source: Opened, target: Target, *, trust: bool) -> Reader:
    """Return what reads a source: all of it, unless it is trusted and that saves something."""
    if trust and source.is_remote:
        return PassingReader(plan, source, target)
    return CheckingReader(plan, source, target, trust=trust)


class CheckingReader:
    """Reads all of a source once, block by block, and takes each array's CRC while the block is in the cache.

    Of a source that is trusted the arrays whose CRCs need not be known are only copied. Letting the system
    copy them (`copy_file_range`) costs more: they are many, and do not lie on its boundaries.

    Args:
        plan: A plan that fits.
        source: The source.
        target: Where arrays go.
        trust: Believe what the source says of itself where that saves something, and look for no NaN.
    """

    def __init__(self, plan: BytePlan, source: Opened, target: Target, *, trust: bool) -> None:
        self._plan, self._source, self._target = plan, source, target
        copied = set() if trust else {piece.array for piece in plan.pieces if piece.kind == "copy"}
        self._checks = [finite_check(a.dtype) if a.path in copied else None for a in plan.arrays]
        self._crcs = [0] * len(plan.arrays)
        self._believed = plan.derivation.unread if trust and source.crc is not None else frozenset()
        self._bad: set[int] = set()
        self._next = 0
        self._origin = Origin(source.file, source.start, source.size, target.release, self._look)
        self.not_finite: tuple[str, ...] = ()
        self.source_crc: int | None = None

    def copy(self, number: int) -> None:
        """Append an array to the target."""
        begin, end = self._plan.bounds[number]
        view = self._origin.at_hand(begin, end)
        if view is not None:
            self._target.append(view)
            return
        for view in self._origin.range(begin, end - begin):
            self._target.append(view)

    def finish(self, made: Sequence[int]) -> int:
        """Read what was not copied, check the source, and return the CRC of the output."""
        self._origin.finish()
        if self._believed and self._source.crc is not None:
            return self._plan.derivation.output_crc_believing(self._source.crc, self._crcs, made)
        self.source_crc = self._plan.derivation.source_crc(self._crcs)
        if self._source.crc not in (None, self.source_crc):
            raise ValueError(f"member {WEIGHTS!r} is damaged: Bad CRC-32")
        self.not_finite = tuple(self._plan.arrays[number].path for number in sorted(self._bad))
        return self._plan.derivation.output_crc(self._crcs, made)

    def _look(self, begin: int, block: memoryview) -> None:
        """Look at the arrays, or parts of them, in a block."""
        arrays, bounds, crcs = self._plan.arrays, self._plan.bounds, self._crcs
        end, number = begin + len(block), self._next
        while number < len(bounds) and bounds[number][0] < end:
            first, last = bounds[number]
            view = block[max(first - begin, 0) : last - begin]
            if number not in self._believed:
                crcs[number] = crc32(view, crcs[number])
            check = self._checks[number]
            if check is not None and number not in self._bad:
                if first % 8 and (first < begin or last > end):
                    # The edge of the block may cut a value of it in two.
                    view = memoryview(self._source.read(arrays[number].offset, arrays[number].size))
                if not check(view):
                    self._bad.add(number)
            if last > end:
                break
            number += 1
        self._next = number


class PassingReader:
    """Reads of a trusted source on a store what goes into the output, and nothing else.

    Args:
        plan: A plan that fits.
        source: The source.
        target: Where arrays go.
    """

    def __init__(self, plan: BytePlan, source: Opened, target: Target) -> None:
        self._plan, self._source, self._target = plan, source, target
        self._crcs = [0] * len(plan.arrays)
        self.not_finite: tuple[str, ...] = ()
        self.source_crc: int | None = None
        source.expect([plan.bounds[number] for number in plan.numbers_used])

    def copy(self, number: int) -> None:
        """Append an array to the target."""
        array, crc = self._plan.arrays[number], 0
        for begin in range(0, array.size, BLOCK):
            data = self._source.read(array.offset + begin, min(BLOCK, array.size - begin))
            crc = crc32(data, crc)
            self._target.append(data)
        self._crcs[number] = crc

    def finish(self, made: Sequence[int]) -> int:
        """Return the CRC of the output, to which arrays that are not copied add nothing."""
        return self._plan.derivation.output_crc(self._crcs, made)
