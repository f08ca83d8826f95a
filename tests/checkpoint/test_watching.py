"""How far a run is, asked by another process while it goes on."""

from __future__ import annotations

import json
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from surgeon.checkpoint import convert, progress
from surgeon.checkpoint.manifest import Failure
from surgeon.checkpoint.watching import by_source
from surgeon.cli.app import app
from surgeon.errors import CheckpointError
from tests.checkpoint.archives import archive, write

pytestmark = pytest.mark.usefixtures("fake_workers")
ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys
from surgeon.checkpoint import conversion
conversion.worker_command = lambda: [sys.executable, {fake!r}]
conversion.convert({source!r}, [], {out!r})
"""


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    fake = str(Path(__file__).with_name("fake_worker.py"))
    script = SCRIPT.format(fake=fake, source=str(folder), out=str(out))
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)


def test_a_run_of_another_process_is_watched_while_it_goes_on(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "0_broken.keras", archive()[:-20])
    write(folder / "1_first.keras")
    convert(folder, [], out)
    for number in range(8):
        write(folder / f"slow_{number}.keras")
    process = start(folder, out)
    try:
        deadline = time.monotonic() + 60
        while (seen := progress(out)).found < 10 or seen.converted < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert seen.is_running is True
        assert (seen.found, seen.skipped, seen.failed) == (10, 1, 1)
        assert 2 <= seen.converted < 8
        assert seen.left == 8 - seen.converted
        assert seen.written == seen.converted * (folder / "slow_0.keras").stat().st_size
        assert seen.seconds_left is not None
        assert list(seen.failures) == ["0_broken.keras"]
        text = str(seen)
        assert "running; " in text
        assert " of 10 done (1 before), 1 failed, " in text
        assert "files/s" in text
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        killed = progress(out)
        assert killed.is_running is False
        assert killed.seconds_left is None
        assert "not running; " in str(killed)
    finally:
        process.kill()
        process.wait(30)
    # To look at it has changed nothing: the next run does the rest.
    assert convert(folder, [], out).exit_code == 1
    done = progress(out)
    assert (done.is_running, done.left, done.failed) == (False, 0, 1)
    assert "finished; 9 of 10 done" in str(done)
    shown = CliRunner().invoke(app, ["status", str(out)])
    assert shown.exit_code == 1
    assert "finished; 9 of 10 done" in shown.stdout
    assert "0_broken.keras: refused: not a readable zip" in shown.stdout
    assert json.loads(CliRunner().invoke(app, ["status", str(out), "--json"]).stdout)["left"] == 0


def test_places_that_nothing_is_known_of(tmp_path):
    with pytest.raises(CheckpointError, match="is no output folder of `surgeon convert`"):
        progress(tmp_path)
    assert not list(tmp_path.iterdir())
    for place in (tmp_path, tmp_path / "nothing"):
        shown = CliRunner().invoke(app, ["status", str(place)])
        assert shown.exit_code == 2
        assert shown.stderr.startswith("error: ")
        assert "Traceback" not in shown.stderr
    write(tmp_path / "in" / "a.keras")
    convert(tmp_path / "in", [], tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / ".surgeon" / "manifest.sqlite") as database:
        database.execute("DROP TABLE run")
    database.close()
    with pytest.raises(CheckpointError, match="did not write down how far it was"):
        progress(tmp_path / "out")
    # A manifest of an earlier release is taken over.
    assert len(convert(tmp_path / "in", [], tmp_path / "out").skipped) == 1
    assert progress(tmp_path / "out").skipped == 1


@pytest.mark.parametrize(
    ("host", "started", "runs"),
    [("elsewhere", None, None), (platform.node(), None, True), (platform.node(), 1000.0, False)],
)
def test_whether_a_run_that_did_not_end_goes_on(tmp_path, host, started, runs):
    """Elsewhere it may; here it does if its process lives, and is no younger one of the same number."""
    write(tmp_path / "in" / "a.keras")
    convert(tmp_path / "in", [], tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / ".surgeon" / "manifest.sqlite") as database:
        database.execute(
            "UPDATE run SET host = ?, pid = ?, started = ?, ended = NULL",
            (host, os.getpid(), started or time.time()),
        )
    database.close()
    assert progress(tmp_path / "out").is_running is runs


def failures_of(out: Path) -> tuple[str | None, set[str]]:
    seen = progress(out)
    return seen.folder, set(seen.failures)


def test_failures_are_called_by_their_sources(tmp_path):
    """Not by outputs, which are not there and may have another suffix; and one can open them."""
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "deep" / "er" / "broken.h5", b"no HDF5")
    write(folder / "broken.keras", archive()[:-20])
    write(folder / "fine.keras")
    convert(folder, [], out)
    assert failures_of(out) == (str(folder), {"deep/er/broken.h5", "broken.keras"})
    shown = CliRunner().invoke(app, ["status", str(out)])
    assert f"in {folder}" in [line.strip(" :") for line in shown.stdout.splitlines()]
    assert "  deep/er/broken.h5: refused: " in shown.stdout
    told = json.loads(CliRunner().invoke(app, ["status", str(out), "--json"]).stdout)
    assert all((Path(told["folder"]) / name).is_file() for name in told["failures"])
    # Nothing to say where nothing failed.
    convert(folder / "fine.keras", [], tmp_path / "other")
    assert failures_of(tmp_path / "other") == (None, set())
    assert len(CliRunner().invoke(app, ["status", str(tmp_path / "other")]).stdout.splitlines()) == 1


def test_failures_of_several_folders_have_one_place_in_common(tmp_path):
    for name in ("one/a.keras", "two/deep/b.keras"):
        write(tmp_path / "in" / name, b"no archive")
    convert([tmp_path / "in" / "one", tmp_path / "in" / "two"], [], tmp_path / "out")
    assert failures_of(tmp_path / "out") == (str(tmp_path / "in"), {"one/a.keras", "two/deep/b.keras"})


def test_failures_whose_places_do_not_tell_the_folder_are_called_by_their_whole_names():
    windows = [Failure("sub/a.keras", "C:\\x\\sub\\a.keras", "no archive")]
    assert by_source(windows) == (None, {"C:\\x\\sub\\a.keras": "no archive"})


def test_failures_without_a_place_in_common_are_called_by_their_whole_names(tmp_path):
    out = tmp_path / "out"
    write(tmp_path / "in" / "a.keras", b"no archive")
    fsspec.filesystem("memory").pipe("/watching/b.keras", b"no archive")
    try:
        convert([tmp_path / "in", "memory://watching"], [], out)
        whole = {str(tmp_path / "in" / "a.keras"), "memory://watching/b.keras"}
        assert failures_of(out) == (None, whole)
        shown = CliRunner().invoke(app, ["status", str(out)]).stdout
        assert all(name in shown for name in whole)
        convert("memory://watching", [], tmp_path / "other")
        assert failures_of(tmp_path / "other") == ("memory://watching", {"b.keras"})
    finally:
        fsspec.filesystem("memory").rm("/watching", recursive=True)


def test_a_failure_that_a_later_run_has_put_right_is_none(tmp_path):
    """Also where that run has given the file another output, as from a folder further in."""
    folder, out = tmp_path / "in", tmp_path / "out"
    sources = [write(folder / "deep" / f"{name}.keras", b"no archive") for name in "ab"]
    convert(folder, [], out)
    assert failures_of(out) == (str(folder), {"deep/a.keras", "deep/b.keras"})
    write(sources[0])
    convert(folder / "deep", [], out, pattern="a.keras")
    assert failures_of(out) == (str(folder), {"deep/b.keras"})
    # What failed again, under another name, is one failure; of the last run.
    convert(folder / "deep", [], out)
    assert failures_of(out) == (str(folder / "deep"), {"b.keras"})
    write(sources[0], b"no archive")
    convert(folder / "deep", [], out)
    assert failures_of(out) == (str(folder / "deep"), {"a.keras", "b.keras"})
