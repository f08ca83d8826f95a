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

import pytest
from typer.testing import CliRunner

from surgeon.checkpoint import convert, progress
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
