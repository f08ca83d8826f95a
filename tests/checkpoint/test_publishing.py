"""Outputs appear whole or not at all, and the manifest knows which are ours."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from surgeon.checkpoint import Converted, Skipped, atomic_output, convert
from surgeon.checkpoint.identity import name_sha256
from surgeon.checkpoint.manifest import Manifest, Row
from surgeon.checkpoint.publish import publish
from surgeon.checkpoint.record import Publication, Record
from surgeon.checkpoint.stamp import Fingerprint
from surgeon.errors import CheckpointError
from surgeon.rules import freeze
from tests.checkpoint.archives import archive, hdf5, members, write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_output_appears_when_the_block_ends_well(tmp_path):
    final = tmp_path / "deep" / "a.keras"
    with atomic_output(final) as temp:
        assert temp.suffix == ".keras"
        temp.write_text("done")
        assert not final.exists()
    assert final.read_text() == "done"
    assert names(final.parent) == ["a.keras"]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_left_when_the_block_fails(tmp_path, force):
    final = tmp_path / "a.keras"
    if force:
        final.write_text("old")

    def work() -> None:
        with atomic_output(final, force=force) as temp:
            temp.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        work()
    assert names(tmp_path) == (["a.keras"] if force else [])
    assert not force or final.read_text() == "old"


def test_an_existing_file_is_only_replaced_by_force(tmp_path):
    final = tmp_path / "a.keras"
    final.write_text("old")
    with pytest.raises(CheckpointError, match="--force"), atomic_output(final):
        pytest.fail("the block must not run")
    with atomic_output(final, force=True) as temp:
        temp.write_text("new")
    assert final.read_text() == "new"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    final = tmp_path / "a.keras"

    def work() -> None:
        with atomic_output(final) as temp:
            temp.write_text("ours")
            final.write_text("theirs")

    with pytest.raises(CheckpointError, match="exists and is left as it is"):
        work()
    assert final.read_text() == "theirs"
    assert names(tmp_path) == ["a.keras"]


def test_without_hard_links_it_is_a_rename(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    temp, final = tmp_path / "temp", tmp_path / "final"
    temp.write_text("x")
    publish(temp, final)
    assert names(tmp_path) == ["final"]
    temp.write_text("y")
    with pytest.raises(CheckpointError, match="exists"):
        publish(temp, final)
    assert final.read_text() == "x"


def test_what_is_no_lack_of_hard_links_is_an_error(tmp_path, monkeypatch):
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "link", fails)
    (tmp_path / "temp").write_text("x")
    with pytest.raises(OSError, match="the disk is broken"):
        publish(tmp_path / "temp", tmp_path / "final")
    assert names(tmp_path) == ["temp"]


def test_rows_are_read_as_they_were_written(tmp_path):
    mark = Fingerprint(10, 2**62, 2**64 - 1, "abc")
    rows = [
        Row("a", "/in/a", "r", "done", 1.5, output_size=20, output_digest="def").of(mark),
        Row("b", "/in/b", "r", "failed", 0.5, error="refused: damaged"),
    ]
    assert rows[0].fingerprint == mark
    assert rows[1].fingerprint is None
    for _ in range(2):
        with Manifest(tmp_path / "m.sqlite") as manifest:
            assert manifest.read("c") is None
            for row in rows:
                manifest.write(row)
                assert manifest.read(row.output) == row
    assert names(tmp_path) == ["m.sqlite"]


def test_a_manifest_that_is_none_is_an_error_that_helps(tmp_path):
    path = tmp_path / "m.sqlite"
    path.write_bytes(b"this is no database, but it is long enough to be one" * 20)
    with pytest.raises(CheckpointError, match="move it away to start afresh"):
        Manifest(path)
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(CheckpointError, match="version 7"):
        Manifest(path)


@pytest.mark.usefixtures("fake_workers")
def test_a_run_that_died_while_publishing_is_understood(tmp_path):
    source, out = write(tmp_path / "in" / "a.keras"), tmp_path / "out"
    convert(source, [], out)
    manifest = out / ".surgeon" / "manifest.sqlite"

    def publishing() -> None:
        with sqlite3.connect(manifest) as database:
            database.execute("UPDATE files SET state = 'publishing'")
        database.close()

    # It died after the output got its name: the output is known by its digest.
    publishing()
    inode = (out / "a.keras").stat().st_ino
    assert [type(outcome) for outcome in convert(source, [], out).outcomes] == [Skipped]
    assert (out / "a.keras").stat().st_ino == inode
    # Another sound file of that size in its place is not what the run wrote.
    publishing()
    theirs = archive({**members(), "model.weights.h5": hdf5(seed=1)})
    assert len(theirs) == (out / "a.keras").stat().st_size
    write(out / "a.keras", theirs)
    assert [failure.cause for failure in convert(source, [], out).failed] == ["exists"]
    assert (out / "a.keras").read_bytes() == theirs

    # It died before: the file is converted again, and the orphan is swept, before that costs space.
    publishing()
    temps = out / ".surgeon" / "tmp"
    temps.mkdir(exist_ok=True)
    (out / "a.keras").rename(temps / "orphan.keras")
    seen: list[list[str]] = []
    report = convert(source, [], out, on_event=lambda event: seen.append(names(temps)))
    assert [type(outcome) for outcome in report.outcomes] == [Converted]
    assert "orphan.keras" not in seen[0]
    assert names(out) == [".surgeon", "a.keras"]
    assert "tmp" not in names(out / ".surgeon")
    assert (out / "a.keras").read_bytes() == source.read_bytes()


@pytest.mark.usefixtures("fake_workers")
def test_an_output_of_ours_that_was_damaged_is_made_again(tmp_path):
    source, out = write(tmp_path / "in" / "a.keras"), tmp_path / "out"
    final = out / "a.keras"
    convert(source, [], out)
    final.write_bytes(source.read_bytes()[:-1])
    assert [type(outcome) for outcome in convert(source, [], out).outcomes] == [Converted]
    assert final.read_bytes() == source.read_bytes()


@pytest.mark.usefixtures("fake_workers")
@pytest.mark.parametrize("between", ["nothing", "trained", "trained and as long"])
def test_a_run_that_died_while_it_replaced_an_output(tmp_path, monkeypatch, between):
    """The next one replaces what was there or came to be there, twice over if need be, and nothing else."""
    source, out = write(tmp_path / "in" / "a.keras"), tmp_path / "out"
    final = out / "a.keras"
    convert(source, [], out)
    first = final.read_bytes()
    for number in range(2):
        write(source, archive({**members(), "assets/new": bytes([number])}))
        with monkeypatch.context() as patch:
            patch.setattr(Record, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                convert(source, freeze("other"), out)
        assert final.read_bytes() == first
    if between == "nothing":
        assert [type(outcome) for outcome in convert(source, [], out).outcomes] == [Converted]
        assert final.read_bytes() == source.read_bytes()
        return
    trained = archive({**members(), "assets/new": b"trained"})
    if between == "trained and as long":
        trained = archive({**members(), "assets/new": b"2"})
        assert len(trained) == source.stat().st_size
    write(final, trained)
    for rules in (freeze("another"), freeze("other")):
        (failed,) = convert(source, rules, out).failed
        assert failed.cause == "exists"
        assert "was changed since an earlier run wrote it" in failed.reason
        assert final.read_bytes() == trained


@pytest.mark.usefixtures("fake_workers")
def test_the_row_says_what_is_on_disk(tmp_path):
    source, out = write(tmp_path / "in" / "a.keras"), tmp_path / "out"
    convert(source, [], out)
    with Manifest(out / ".surgeon" / "manifest.sqlite") as manifest:
        row = manifest.read("a.keras")
    assert row is not None
    assert row.state == "done"
    assert row.fingerprint is not None
    assert row.fingerprint.still_holds(source)
    assert row.output_digest == name_sha256(out / "a.keras")


@pytest.mark.usefixtures("fake_workers")
def test_an_output_that_got_its_name_before_something_failed_stays_ours(tmp_path, monkeypatch):
    source, out = write(tmp_path / "in" / "a.keras"), tmp_path / "out"
    for number in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(
                "surgeon.checkpoint.publish.sync_folder", lambda _: (_ for _ in ()).throw(OSError("EIO"))
            )
            (failed,) = convert(source, freeze("other"), out).failed
        assert "cannot write the output: EIO" in failed.reason
        write(source, archive({**members(), "assets/new": bytes([number])}))
    assert [type(outcome) for outcome in convert(source, [], out).outcomes] == [Converted]
    assert (out / "a.keras").read_bytes() == source.read_bytes()


@pytest.mark.usefixtures("fake_workers")
def test_what_appears_in_the_place_of_an_output_of_ours_that_was_moved_is_left(tmp_path, monkeypatch):
    source, out = write(tmp_path / "in" / "a.keras"), tmp_path / "out"
    convert(source, [], out)
    (out / "a.keras").rename(tmp_path / "mine.keras")
    publish_it = Record.publish

    def theirs_first(record: Record, publication: Publication) -> object:
        (out / "a.keras").write_bytes(b"precious")
        return publish_it(record, publication)

    monkeypatch.setattr(Record, "publish", theirs_first)
    (failed,) = convert(source, [], out).failed
    assert failed.cause == "exists"
    assert (out / "a.keras").read_bytes() == b"precious"
