"""What a plan says of checksums: those of its output, from those of the source's arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from surgeon.checkpoint.bytepath.checksums import Shifts, crc32, shift

if TYPE_CHECKING:
    from surgeon.checkpoint.bytepath.plan import BytePlan

_WORTH_IT = 0.5
"""Share of the arrays' bytes that must stay unread; below, one pass over everything is as quick."""


class Derivation:
    """The CRCs of source and output as linear maps of the CRCs of the source's arrays.

    Arrays that go to the output with as many bytes behind them as in the source, or always so many more or
    less, add to its CRC what they add to the source's, shifted. So of the largest such group no byte needs to
    be read if the source's own CRC is believed. Should a bit of the source be wrong, then the output's CRC is
    wrong, too: damage stays visible.

    Args:
        plan: A plan.

    Attributes:
        unread: Numbers of the arrays of that group; empty if reading all costs no more.
    """

    def __init__(self, plan: BytePlan) -> None:
        after = [plan.size - array.offset - array.size for array in plan.arrays]
        following: list[int] = []
        at = 0
        for piece in plan.pieces:
            at += piece.size
            following.append(plan.output_size - at)
        places: list[list[int]] = [[] for _ in plan.arrays]
        for index, piece in enumerate(plan.pieces):
            if piece.kind == "copy":
                places[plan.numbers[piece.array]].append(index)
        output = Shifts.of(following)
        constant = [[i] if piece.kind == "raw" else [] for i, piece in enumerate(plan.pieces)]
        made = [[i] for i, piece in enumerate(plan.pieces) if piece.kind not in ("raw", "copy")]
        self._rest = plan.rest_crc
        self._source = Shifts.of(after)
        self._output = output.gathered(places)
        self._made = output.gathered(made)
        self._constant = output.gathered(constant)([crc32(piece.data) for piece in plan.pieces])
        self.unread, self._distance = _largest_group(plan, after, following, places)

    def source_crc(self, arrays: Sequence[int]) -> int:
        """Return the CRC of the source's HDF5 part, from those of its arrays."""
        return self._source(arrays) ^ self._rest

    def output_crc(self, arrays: Sequence[int], made: Sequence[int]) -> int:
        """Return the CRC of the output's HDF5 part.

        Args:
            arrays: CRCs of the source's arrays.
            made: CRCs of the pieces that are neither constant nor copied, in order.
        """
        return self._output(arrays) ^ self._made(made) ^ self._constant

    def output_crc_believing(self, source: int, arrays: Sequence[int], made: Sequence[int]) -> int:
        """Return the same from the CRC that the source says; 0 stands for the arrays that were not read."""
        group = source ^ self.source_crc(arrays)
        return self.output_crc(arrays, made) ^ shift(group, self._distance)


def _largest_group(
    plan: BytePlan, after: Sequence[int], following: Sequence[int], places: Sequence[Sequence[int]]
) -> tuple[frozenset[int], int]:
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, place in enumerate(places):
        if len(place) == 1:
            groups[following[place[0]] - after[index]].append(index)
    total = sum(array.size for array in plan.arrays)
    sizes = {d: sum(plan.arrays[index].size for index in group) for d, group in groups.items()}
    largest = max(sizes, key=sizes.__getitem__, default=0)
    if not total or sizes.get(largest, 0) < _WORTH_IT * total:
        return frozenset(), 0
    return frozenset(groups[largest]), largest
