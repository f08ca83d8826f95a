"""Checksums that follow from others, and bytes that are not looked at: any plan, made without Keras."""

from __future__ import annotations

import errno
import os
import random
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgeon.checkpoint.bytepath import reading, streams
from surgeon.checkpoint.bytepath.checksums import Shifts, shift
from surgeon.checkpoint.bytepath.executor import Executed, execute, fits
from surgeon.checkpoint.bytepath.opened import Opened
from surgeon.checkpoint.bytepath.plan import (
    Array,
    BytePlan,
    Piece,
    crc_of_rest,
    digest_rest,
    gaps_between,
)
from surgeon.checkpoint.bytepath.streams import FileInput, Target

PARTS = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


@given(PARTS, st.data())
def test_the_checksum_of_a_whole_follows_from_those_of_its_parts(parts, data):
    following = [sum(map(len, parts[index + 1 :])) for index in range(len(parts))]
    assert Shifts.of(following)([zlib.crc32(part) for part in parts]) == zlib.crc32(b"".join(parts))
    # The same where parts stand in several places, or in none.
    order = data.draw(st.lists(st.integers(0, len(parts) - 1), min_size=1, max_size=8))
    behind = [sum(len(parts[other]) for other in order[index + 1 :]) for index in range(len(order))]
    places = [[i for i, which in enumerate(order) if which == part] for part in range(len(parts))]
    whole = Shifts.of(behind).gathered(places)([zlib.crc32(part) for part in parts])
    assert whole == zlib.crc32(b"".join(parts[which] for which in order))


@given(st.integers(0, 0xFFFFFFFF), st.integers(-(1 << 40), 1 << 40))
def test_a_shift_can_be_undone(crc, count):
    assert shift(shift(crc, count), -count) == crc


@dataclass(frozen=True)
class Case:
    """A plan, a file that it fits, and what must come out."""

    plan: BytePlan
    data: bytes
    expected: bytes


def case(rng: random.Random, order: list[int], sizes: list[int], inserted: int) -> Case:
    """Make a plan that writes arrays in an order, with constant bytes between them.

    Args:
        rng: Makes the numbers.
        order: Numbers of the arrays in the output; some may be missing, or there twice.
        sizes: Bytes of the source's arrays.
        inserted: Constant bytes before each array of the output.
    """
    data, arrays = bytearray(), []
    for number, size in enumerate(sizes):
        data += rng.randbytes(rng.randrange(20))
        arrays.append(Array(f"a{number}", (size,), "|u1", len(data)))
        data += rng.randbytes(size)
    data += rng.randbytes(7)
    pieces, expected = [], bytearray()
    for number in order:
        between = rng.randbytes(inserted)
        pieces += [
            Piece("raw", inserted, between),
            Piece("copy", sizes[number], array=arrays[number].path),
        ]
        begin = arrays[number].offset
        expected += between + data[begin : begin + sizes[number]]
    gaps = gaps_between(tuple(arrays), len(data))

    def read(offset: int, size: int) -> bytes:
        return bytes(data[offset : offset + size])

    plan = BytePlan(
        key="k",
        size=len(data),
        rest=digest_rest(read, gaps),
        rest_crc=crc_of_rest(read, gaps, len(data)),
        arrays=tuple(arrays),
        recipes=(),
        pieces=tuple(pieces),
        output_size=len(expected),
    )
    return Case(plan, bytes(data), bytes(expected))


def run(folder: Path, plan: BytePlan, data: bytes, crc: int | None, *, trust: bool) -> tuple[Executed, bytes]:
    """Carry a plan out; return what was found, and the output."""
    source, output = folder / "source", folder / "output"
    source.write_bytes(b"head" + data)
    output.unlink(missing_ok=True)
    with source.open("rb") as file:
        opened = Opened(FileInput(file.fileno()), 4, len(data), crc, {})
        assert fits(plan, opened)
        descriptor = os.open(output, os.O_RDWR | os.O_CREAT)
        try:
            return execute(plan, opened, descriptor, trust=trust), output.read_bytes()
        finally:
            os.close(descriptor)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 32), st.integers(0, 9), st.booleans(), st.data())
def test_any_order_gives_the_right_bytes_and_checksums(tmp_path, seed, inserted, trust, data):
    rng = random.Random(seed)
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 100, 70_000]), min_size=1, max_size=6))
    order = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=7))
    made = case(rng, order, sizes, inserted)
    crc = zlib.crc32(made.data)
    found, output = run(tmp_path, made.plan, made.data, crc, trust=trust)
    assert output == made.expected
    assert found.output_crc == zlib.crc32(made.expected)
    assert found.source_crc in ({crc, None} if trust else {crc})
    assert BytePlan.from_json(made.plan.to_json()) == made.plan


def test_what_keeps_its_place_is_not_read(tmp_path, monkeypatch):
    sizes = [3_000_000, 200, 2_000_000]
    # No byte more or less between the arrays than in the source: one group.
    made = case(random.Random(0), [0, 1, 2], sizes, 0)
    pieces = [Piece("raw", 5, b"12345"), *made.plan.pieces]
    plan = replace(made.plan, pieces=tuple(pieces), output_size=made.plan.output_size + 5)
    whole = [
        Piece("raw", size, made.data[offset : offset + size])
        if path is None
        else Piece("copy", size, array=path)
        for offset, size, path in _ranges(plan)
    ]
    plan = replace(plan, pieces=(Piece("raw", 5, b"12345"), *whole), output_size=len(made.data) + 5)
    assert plan.derivation.unread == {0, 1, 2}
    monkeypatch.setattr(reading, "crc32", lambda *_: pytest.fail("an array was read"))
    found, output = run(tmp_path, plan, made.data, zlib.crc32(made.data), trust=True)
    assert output == b"12345" + made.data
    assert found.output_crc == zlib.crc32(output)
    assert (found.verified, found.source_crc) == (False, None)


def _ranges(plan: BytePlan) -> list[tuple[int, int, str | None]]:
    gaps: list[tuple[int, int, str | None]] = [(offset, size, None) for offset, size in plan.gaps]
    return sorted(gaps + [(a.offset, a.size, a.path) for a in plan.arrays])


def test_without_a_checksum_to_believe_everything_is_read(tmp_path):
    made = case(random.Random(1), [0], [100_000], 3)
    assert made.plan.derivation.unread
    found, output = run(tmp_path, made.plan, made.data, None, trust=True)
    assert found.source_crc == zlib.crc32(made.data)
    assert found.output_crc == zlib.crc32(output)
    assert not found.verified


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [1], [0]])
def test_damage_of_a_trusted_source_shows_in_the_output(tmp_path, order):
    made = case(random.Random(2), order, [90_000, 50_000], 3)
    crc = zlib.crc32(made.data)
    for array in made.plan.arrays:
        damaged = bytearray(made.data)
        damaged[array.offset + 40_000] ^= 1
        if not made.plan.derivation.unread:
            with pytest.raises(ValueError, match="Bad CRC"):
                run(tmp_path, made.plan, bytes(damaged), crc, trust=True)
            continue
        found, output = run(tmp_path, made.plan, bytes(damaged), crc, trust=True)
        assert found.output_crc != zlib.crc32(output)


def test_a_trusted_source_that_becomes_shorter(tmp_path):
    made = case(random.Random(4), [0], [3_000_000], 3)
    path = tmp_path / "source"
    path.write_bytes(made.data[:2_000_000])
    with path.open("rb") as file, (tmp_path / "output").open("wb+") as target:
        opened = Opened(FileInput(file.fileno()), 0, len(made.data), 0, {})
        with pytest.raises(ValueError, match="shorter"):
            execute(made.plan, opened, target.fileno(), trust=True)


@pytest.mark.parametrize("lead", [8, 5, 2])
@pytest.mark.parametrize("place", [0, (1 << 18) - 2, (1 << 18) - 1, (1 << 18), 299_999])
def test_nan_is_found_wherever_it_lies(tmp_path, lead, place):
    values = np.zeros(300_000, "<f4")
    array = Array("a", values.shape, "<f4", lead)
    gaps = gaps_between((array,), lead + values.nbytes)
    for value, expected in ((np.nan, ("a",)), (-np.inf, ("a",)), (3e38, ())):
        values[place] = value
        data = bytes(lead) + values.tobytes()
        plan = BytePlan(
            *("k", len(data), digest_rest(lambda o, n: bytes(n), gaps)),
            crc_of_rest(lambda o, n: bytes(n), gaps, len(data)),
            (array,),
            (),
            (Piece("copy", values.nbytes, array="a"),),
            values.nbytes,
        )
        found, _ = run(tmp_path, plan, data, zlib.crc32(data), trust=False)
        assert found.not_finite == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 150_000)), max_size=12))
def test_a_target_keeps_bytes_in_order_whatever_is_released_when(tmp_path, steps):
    path = tmp_path / "target"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        target, expected, buffer = Target(descriptor), b"", bytearray(150_000)
        for number, (action, size) in enumerate(steps):
            buffer[:] = bytes([number + 1]) * len(buffer)
            if action == 0:
                target.put(bytes(size))
                expected += bytes(size)
            else:
                target.append(memoryview(buffer)[:size])
                expected += bytes(buffer[:size])
            target.flush() if action == 3 else target.release(memoryview(buffer))
        target.flush()
        assert target.position == len(expected)
        assert path.read_bytes() == expected
    finally:
        os.close(descriptor)


def test_room_is_reserved_and_a_lack_of_it_is_an_error(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(streams, "reserve", lambda *arguments: calls.append(arguments))
    made = case(random.Random(5), [0], [2_000_000], 3)
    run(tmp_path, made.plan, made.data, zlib.crc32(made.data), trust=False)
    assert [arguments[1:] for arguments in calls] == [(0, 2_000_003)]

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(streams, "reserve", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, made.plan, made.data, zlib.crc32(made.data), trust=False)
