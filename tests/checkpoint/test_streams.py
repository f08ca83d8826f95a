"""Bytes in and out: what is short, full, or not as long as announced."""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import replace
from typing import Any

import pytest

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath import reserving
from surgeon.checkpoint.bytepath.archive import ArchiveWriter
from surgeon.checkpoint.bytepath.executor import execute, fits
from surgeon.checkpoint.bytepath.opened import opened
from surgeon.checkpoint.bytepath.plan import Array, BytePlan, Piece, gaps_between
from surgeon.checkpoint.bytepath.streams import FileInput, Target
from surgeon.checkpoint.sources import Kind
from surgeon.errors import PlanError, RefusedError
from tests.checkpoint.archives import archive, hdf5, members, write
from tests.checkpoint.plans import copying_plan


@pytest.fixture
def target(tmp_path):
    with (tmp_path / "target").open("wb+") as file:
        yield Target(file.fileno())


def test_what_waits_is_bounded_in_pieces_and_in_bytes(target, tmp_path):
    path = tmp_path / "target"
    for number in range(1000):
        assert path.stat().st_size == 0, number
        target.append(b"ab")
    assert path.stat().st_size == 2000
    target.append(bytes(5 << 20))
    # Up to a boundary at which writing is cheap.
    assert path.stat().st_size == 5 << 20
    target.flush()
    assert path.stat().st_size == 2000 + (5 << 20)


def test_a_file_that_gives_less_at_a_time_is_read_on(tmp_path, monkeypatch):
    path = write(tmp_path / "a.bin", bytes(range(100)))
    pread = os.pread
    with path.open("rb") as file:
        source = FileInput(file.fileno())
        monkeypatch.setattr(os, "pread", lambda descriptor, size, at: pread(descriptor, min(size, 7), at))
        assert source.read_at(10, 50) == bytes(range(10, 60))
        with pytest.raises(ValueError, match="the file became shorter while it was read"):
            source.read_at(90, 11)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_shows_when_room_is_reserved(monkeypatch, code):
    said: list[tuple[int, ...]] = []

    def fails(*arguments: int) -> int:
        said.append(arguments)
        ctypes.set_errno(code if len(said) == 1 else errno.EOPNOTSUPP)
        return -1

    monkeypatch.setattr(reserving, "_system_call", lambda: fails)
    with pytest.raises(OSError, match=os.strerror(code)):
        reserving.reserve(3, 10, 20)
    # A file system that cannot reserve is no reason not to write.
    reserving.reserve(3, 10, 20)
    assert said == [(3, 0, 10, 20)] * 2


def test_where_no_room_can_be_reserved_none_is(monkeypatch):
    find = reserving._system_call.__wrapped__
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    assert find() is None
    monkeypatch.setattr("sys.platform", "darwin")
    assert find() is None


def test_a_member_is_as_long_as_was_announced(target):
    writer = ArchiveWriter(target)
    with pytest.raises(ValueError, match=r"a\.txt: 4 bytes where 5 were announced"):  # noqa: SIM117
        with writer.member("a.txt", 5):
            target.put(b"four")


def carried_out(plan: BytePlan, path: Any, output: Any) -> None:
    with opened(path, Kind.KERAS, None, DEFAULT) as (_, found), output.open("wb+") as file:
        assert found is not None
        execute(plan, found, file.fileno())


def test_a_plan_adds_up_and_fits_files_of_its_size_alone(tmp_path):
    path, other = write(tmp_path / "a.keras"), tmp_path / "b.keras"
    plan = copying_plan(path)
    write(other, archive({**members(), "model.weights.h5": hdf5(4096)}))
    for file, fitting in ((path, True), (other, False)):
        with opened(file, Kind.KERAS, None, DEFAULT) as (_, found):
            assert found is not None
            assert fits(plan, found) is fitting
    short = replace(plan, pieces=(*plan.pieces, Piece("rate", 5)))
    with pytest.raises(ValueError, match="the plan does not add up"):
        carried_out(short, path, tmp_path / "out")
    with pytest.raises(ValueError, match="the plan does not add up"):
        carried_out(replace(plan, pieces=plan.pieces[:-1]), path, tmp_path / "out")


def test_plans_that_are_none():
    for text, reason in (
        ('{"surgeon_byte_plan": 1}', "no byte plan of format 3"),
        ('{"surgeon_byte_plan": 3}', "damaged byte plan: KeyError"),
        ("[]", "damaged byte plan: AttributeError"),
    ):
        with pytest.raises(PlanError, match=reason):
            BytePlan.from_json(text)
    arrays = (Array("a", (4,), "<f4", 8), Array("b", (4,), "<f4", 20))
    with pytest.raises(ValueError, match="b overlaps another array"):
        gaps_between(arrays, 100)


def test_the_quick_look_checks_what_it_reads(tmp_path):
    data = archive()
    damaged = data.replace(b'"class_name"', b'"class_nome"', 1)
    path = write(tmp_path / "a.keras", damaged)
    with pytest.raises(RefusedError, match=r"member 'config\.json' is damaged: Bad CRC-32"):  # noqa: SIM117
        with opened(path, Kind.KERAS, None, DEFAULT):
            pass
