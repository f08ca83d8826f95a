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
    if trust and source.crc is not None and plan.derivation.unread:
        return BelievingReader(plan, source, source.crc, target)
    return CheckingReader(plan, source, target, with_values=not trust)


class CheckingReader:
    """Reads all of a source once, block by block, and takes each array's CRC while the block is in the cache.

    Args:
        plan: A plan that fits.
        source: The source.
        target: Where arrays go.
        with_values: Whether arrays that are copied are looked through for NaN.
    """

    def __init__(self, plan: BytePlan, source: Opened, target: Target, *, with_values: bool) -> None:
        self._plan, self._source, self._target = plan, source, target
        copied = {piece.array for piece in plan.pieces if piece.kind == "copy"} if with_values else set()
        self._checks = [finite_check(a.dtype) if a.path in copied else None for a in plan.arrays]
        self._crcs = [0] * len(plan.arrays)
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


class BelievingReader:
    """Lets the system copy the arrays whose CRCs need not be known, and reads the others.

    Args:
        plan: A plan that fits, some of whose arrays can stay unread.
        source: The source.
        crc: CRC-32 of its HDF5 part, as the source says.
        target: Where arrays go.
    """

    def __init__(self, plan: BytePlan, source: Opened, crc: int, target: Target) -> None:
        self._plan, self._source, self._crc, self._target = plan, source, crc, target
        self._crcs: dict[int, int] = {}
        self.not_finite: tuple[str, ...] = ()
        self.source_crc: int | None = None

    def copy(self, number: int) -> None:
        """Append an array to the target."""
        begin, end = self._plan.bounds[number]
        if number in self._plan.derivation.unread:
            self._target.splice(self._source.file, self._source.start + begin, end - begin)
        else:
            self._crcs[number] = append_array(self._plan, self._source, number, self._target)

    def finish(self, made: Sequence[int]) -> int:
        """Read what is needed and was not copied, and return the CRC of the output."""
        derivation, count = self._plan.derivation, len(self._plan.arrays)
        for number in range(count):
            if number not in derivation.unread and number not in self._crcs:
                self._crcs[number] = append_array(self._plan, self._source, number, None)
        crcs = [self._crcs.get(number, 0) for number in range(count)]
        return derivation.output_crc_believing(self._crc, crcs, made)


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
        self._crcs[number] = append_array(self._plan, self._source, number, self._target)

    def finish(self, made: Sequence[int]) -> int:
        """Return the CRC of the output, to which arrays that are not copied add nothing."""
        return self._plan.derivation.output_crc(self._crcs, made)


def append_array(plan: BytePlan, source: Opened, number: int, target: Target | None) -> int:
    """Read an array, append it to a target if there is one, and return its CRC."""
    array, crc = plan.arrays[number], 0
    for begin in range(0, array.size, BLOCK):
        data = source.read(array.offset + begin, min(BLOCK, array.size - begin))
        crc = crc32(data, crc)
        if target is not None:
            target.append(data)
    return crc
