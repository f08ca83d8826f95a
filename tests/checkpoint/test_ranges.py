"""Reading ranges: the bytes that a file would give, in whatever order, and never an empty range."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgeon.checkpoint import ranges
from surgeon.checkpoint.ranges import Ranges

DATA = os.urandom(5_000_000)


def opened(size: int = len(DATA)) -> tuple[Ranges, list[tuple[int, int]]]:
    asked: list[tuple[int, int]] = []

    def read(wanted: list[tuple[int, int]]) -> list[bytes]:
        asked.extend(wanted)
        assert all(0 <= begin < end <= size for begin, end in wanted)
        return [DATA[begin:end] for begin, end in wanted]

    return Ranges(read, size), asked


RANGE = st.tuples(st.integers(0, len(DATA)), st.integers(0, 400_000))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(RANGE, max_size=8),
    st.lists(RANGE, max_size=4),
    st.lists(RANGE, max_size=3),
    st.integers(1, 900_000),
)
def test_any_range_in_any_order(wanted, kept, expected, ahead):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_AHEAD", ahead)
        file, _ = opened()
        file.keep([(at, min(len(DATA), at + size)) for at, size in kept if size and at < len(DATA)])
        file.expect([(at, at + size) for at, size in expected])
        for at, size in wanted:
            end = min(len(DATA), at + size)
            assert file.read_at(at, end - at) == DATA[at:end]


def test_it_is_a_file_like_any_other():
    file, _ = opened()
    same = io.BytesIO(DATA)
    for place, whence, count in (
        (0, 0, 10),
        (-30, 2, 100),
        (5, 1, 1),
        (2_000_000, 0, 70_000),
        (0, 2, 5),
        (9, 2, 1),
    ):
        assert file.seek(place, whence) == same.seek(place, whence)
        assert file.read(count) == same.read(count)
        assert file.tell() == same.tell()
    empty, asked = opened(0)
    assert (empty.read(), asked) == (b"", [])


def test_what_is_expected_bounds_what_is_asked_for():
    file, asked = opened()
    file.expect([(1_000_000, 1_500_000), (3_000_000, 3_000_001)])
    asked.clear()
    for at in range(1_000_000, 1_500_000, 50_000):
        file.read_at(at, 50_000)
    file.read_at(3_000_000, 1)
    assert asked == [(1_000_000, 1_500_000), (3_000_000, 3_000_001)]


def test_an_object_that_became_shorter_is_an_error():
    file = Ranges(
        lambda wanted: [DATA[b : min(e, 3_000_000)] if b else DATA[b:e] for b, e in wanted], 3_000_000
    )
    file.read_at(1_000_000, 10)
    with pytest.raises(ValueError, match="shorter"):
        file.read_at(2_999_999, 2)
    short = Ranges(lambda wanted: [bytes(e - b) if b != 500_000 else b"" for b, e in wanted], 3_000_000)
    with pytest.raises(ValueError, match="shorter"):
        short.read_at(500_000, 2)


def test_reads_that_go_on_behind_what_is_there_ask_for_the_rest_alone(monkeypatch):
    monkeypatch.setattr(ranges, "_AHEAD", 1000)
    file, asked = opened()
    asked.clear()
    for at in range(1_000_000, 1_005_000, 700):
        assert file.read_at(at, 700) == DATA[at : at + 700]
    assert [begin for begin, _ in asked[1:]] == [end for _, end in asked[:-1]]
