"""Whole runs that a signal ends, and the next, which finishes them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from surgeon.checkpoint import convert
from tests.checkpoint.archives import files, leftovers, write

pytestmark = pytest.mark.usefixtures("fake_workers")
ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import signal, sys
from surgeon.checkpoint import conversion
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs behind it ignore the signal
conversion._architecture = lambda model, temps, allowed: (model, "")
conversion.worker_command = lambda: [sys.executable, {fake!r}]
print("started", flush=True)
report = conversion.convert({source!r}, [], {out!r}, workers=2, model={log!r})
"""


def run_until_some_are_done(folder: Path, out: Path, log: Path, stop: signal.Signals) -> list[str]:
    """Start a run in a process of its own, and end it by a signal when two files are done."""
    fake = Path(__file__).with_name("fake_worker.py")
    script = SCRIPT.format(fake=str(fake), source=str(folder), out=str(out), log=str(log))
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(files(out) if out.exists() else []) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(stop)
    process.wait(30)
    return files(out)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_finished_by_the_next(tmp_path, stop, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    names = [f"slow_{number:02}.keras" for number in range(10)]
    for name in names:
        write(folder / name)
    monkeypatch.setattr(
        "surgeon.checkpoint.conversion._architecture", lambda model, temps, allowed: (model, "")
    )
    log = tmp_path / "log.json"
    log.write_text("{}")
    done = run_until_some_are_done(folder, out, log, stop)
    assert 2 <= len(done) < len(names)
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in done)
    if stop == signal.SIGINT:
        assert leftovers(out) == []

    log.write_text("")
    report = convert(folder, [], out, workers=2, model=str(log))
    assert files(out) == names
    assert report.exit_code == 0
    assert {Path(outcome.source).name for outcome in report.skipped} == set(done)
    assert sorted(log.read_text().split()) == sorted(set(names) - set(done))
    assert leftovers(out) == []
