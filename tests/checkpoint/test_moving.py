"""Runs over the byte path, without Keras: what a kill, a full disk or a changed source may not do."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from surgeon.checkpoint import Converted, Failed, convert
from surgeon.checkpoint.bytepath import mover, streams
from surgeon.checkpoint.bytepath.archive import ArchiveWriter
from surgeon.checkpoint.bytepath.executor import execute
from surgeon.checkpoint.bytepath.streams import FileInput, Origin, Target
from tests.checkpoint.archives import archive, assert_recorded, hdf5, members, write
from tests.checkpoint.plans import copying_plan, keep_plan

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import resource, signal, sys
from surgeon.checkpoint import conversion, convert
conversion.worker_command = lambda: [sys.executable, "-c", "raise SystemExit('no worker is needed')"]
source, out, plans, limit, workers = sys.argv[1:]
if int(limit):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
print("started", flush=True)
report = convert(source, [], out, plans=plans, workers=int(workers))
print(report, flush=True)
"""


def start(folder: Path, out: Path, plans: Path, limit: int = 0, workers: int = 2) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, folder, out, plans, str(limit), str(workers)]
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True)


def fill(folder: Path, count: int, payload: int) -> None:
    """Write checkpoints of one architecture with different numbers."""
    for number in range(count):
        content = {**members(), "model.weights.h5": hdf5(payload, seed=number)}
        write(folder / f"{number}.keras", archive(content))


def weights(path: Path) -> bytes:
    """Return the weights of an archive whose CRCs are right."""
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return file.read("model.weights.h5")


def assert_complete(folder: Path, out: Path) -> int:
    """Assert that what has a final name is complete; return how many there are."""
    found = list(out.glob("*.keras"))
    for path in found:
        assert weights(path) == weights(folder / path.name)
    return len(found)


@pytest.mark.parametrize(("times", "seed"), [(10, 0), pytest.param(100, 1, marks=pytest.mark.sweep)])
def test_runs_that_are_killed_leave_nothing_partial_and_are_finished(tmp_path, times, seed):
    folder, out = tmp_path / "in", tmp_path / "out"
    fill(folder, 40, 900_000)
    plans = keep_plan(folder / "0.keras", tmp_path / "plans")
    rng, killed = random.Random(seed), 0
    for _ in range(times):
        process = start(folder, out, plans)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        killed += process.wait(30) == -signal.SIGKILL
        process.stdout.close()
        if assert_complete(folder, out) == 40:
            # Once all are done there is nothing left to interrupt.
            for path in list(out.glob("*.keras"))[::2]:
                path.unlink()
    assert killed > times // 4  # the others had ended by themselves
    report = convert(folder, [], out, plans=plans)
    assert report.exit_code == 0
    assert assert_complete(folder, out) == 40
    assert not list((out / ".surgeon").glob("tmp/*"))


def test_a_full_disk_fails_the_files_that_do_not_fit(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    fill(folder, 2, 400_000)
    plans = keep_plan(folder / "0.keras", tmp_path / "plans")
    process = start(folder, out, plans, limit=300_000)
    text, _ = process.communicate(timeout=60)
    assert "0 converted, 0 skipped, 2 failed" in text
    assert "File too large" in text
    assert assert_complete(folder, out) == 0
    assert not list((out / ".surgeon").glob("tmp/*"))
    assert len(convert(folder, [], out, plans=plans).converted) == 2


def test_two_runs_at_once(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    fill(folder, 60, 200_000)
    plans = keep_plan(folder / "0.keras", tmp_path / "plans")
    runs = [start(folder, out, plans) for _ in range(3)]
    codes = []
    for run in runs:
        run.communicate(timeout=120)
        codes.append(run.returncode)
    assert 0 in codes  # the others found the folder locked, or everything done
    assert convert(folder, [], out, plans=plans).exit_code == 0
    assert assert_complete(folder, out) == 60


def test_a_source_that_changes_while_it_is_moved(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    fill(folder, 1, 400_000)
    plans = keep_plan(folder / "0.keras", tmp_path / "plans")
    real = execute

    def touched(plan, source, descriptor, **options):
        done = real(plan, source, descriptor, **options)
        (folder / "0.keras").write_bytes(archive())
        return done

    def cut(plan, source, descriptor, **options):
        os.truncate(folder / "0.keras", 100_000)
        return real(plan, source, descriptor, **options)

    for change, cause in ((touched, "changed"), (cut, "refused")):
        fill(folder, 1, 400_000)
        monkeypatch.setattr(mover, "execute", change)
        report = convert(folder, [], out, plans=plans)
        assert [type(outcome) for outcome in report.outcomes] == [Failed]
        assert report.failed[0].cause == cause
        assert not list(out.glob("*.keras"))
    monkeypatch.setattr(mover, "execute", real)
    fill(folder, 1, 400_000)
    assert [type(outcome) for outcome in convert(folder, [], out, plans=plans).outcomes] == [Converted]


def test_assets_are_carried_and_their_checksums_looked_at(tmp_path):
    content = {**members(), "assets/words/vocabulary.txt": b"one\ntwo\n"}
    source = write(tmp_path / "in" / "a.keras", archive(content))
    plans = keep_plan(source, tmp_path / "plans")
    convert(source, [], tmp_path / "out", plans=plans)
    with zipfile.ZipFile(tmp_path / "out" / "a.keras") as file:
        assert file.read("assets/words/vocabulary.txt") == b"one\ntwo\n"
        assert file.namelist()[-1] == "model.weights.h5"
    source.write_bytes(source.read_bytes().replace(b"one\n", b"onE\n"))
    report = convert(source, [], tmp_path / "again", plans=plans)
    assert "vocabulary.txt' is damaged" in report.failed[0].reason


@pytest.mark.parametrize("options", [{}, {"trust_source": True}, {"sha256": True}])
def test_the_manifest_names_the_content_of_an_output(tmp_path, options):
    """Else the next run takes it for somebody else's, or what somebody has made of it for ours."""
    folder, out = tmp_path / "in", tmp_path / "out"
    fill(folder, 2, 400_000)
    content = {**members(), "model.weights.h5": hdf5(400_000), "assets/words.txt": b"one"}
    plans = keep_plan(folder / "0.keras", tmp_path / "plans")
    keep_plan(write(folder / "with assets.keras", archive(content)), plans)
    report = convert(folder, [], out, plans=plans, **options)
    assert [done.how for done in report.converted] == ["bytes"] * 3
    assert assert_recorded(out) == ({"sha256"} if "sha256" in options else {"members"})
    shutil.copy(out / "1.keras", out / "0.keras")  # as long, and as sound
    again = convert(folder, [], out, plans=plans, resume=False, **options)
    assert [Path(failed.output).name for failed in again.failed] == ["0.keras"]
    assert "was changed since an earlier run wrote it" in again.failed[0].reason
    assert len(again.converted) == 2


def test_a_plan_of_another_layout_does_not_fit(tmp_path):
    source = write(tmp_path / "a.keras")
    plan = copying_plan(source)
    other = write(tmp_path / "b.keras", archive({**members(), "model.weights.h5": hdf5(4096)}))
    assert copying_plan(other).key != plan.key
    assert copying_plan(other).rest != plan.rest


def test_archives_beyond_4_gib(tmp_path):
    path, size = tmp_path / "large.zip", (4 << 30) + 10
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    target = Target(descriptor)
    archive_writer = ArchiveWriter(target)
    with archive_writer.member("hole", size):
        # Sparse: what was not written is zeros. Its CRC is not the point here.
        target.flush()
        os.lseek(descriptor, size, os.SEEK_CUR)
        target.position += size
    with archive_writer.member("small", 5):
        target.put(b"hello")
    archive_writer.close()
    os.close(descriptor)
    with zipfile.ZipFile(path) as file:
        hole, small = file.infolist()
        assert (hole.file_size, small.file_size) == (size, 5)
        assert small.header_offset > 1 << 32
        assert file.read("small") == b"hello"


def test_ranges_out_of_order_are_read_aside(tmp_path):
    path = tmp_path / "data"
    data = os.urandom(3_000_000)
    path.write_bytes(data)
    with path.open("rb") as file:
        seen = bytearray()
        origin = Origin(
            FileInput(file.fileno()),
            1000,
            2_900_000,
            lambda buffer: None,
            lambda begin, block: seen.extend(block),
        )
        for begin, size in ((2_000_000, 500_000), (10, 1_500_000), (2_400_000, 500_000), (0, 0)):
            found = b"".join(bytes(view) for view in origin.range(begin, size))
            assert found == data[1000 + begin : 1000 + begin + size]
        origin.finish()
        assert seen == data[1000:2_901_000]
        with pytest.raises(ValueError, match="beyond the end"):
            list(origin.range(2_899_999, 2))


def test_the_last_spare_buffer_may_go_to_another_thread(tmp_path, monkeypatch):
    class Raced(list[memoryview]):
        """Is empty by the time that somebody who looked first comes to take something."""

        def __bool__(self) -> bool:
            return True

    monkeypatch.setattr(streams, "_spare", Raced())
    path = tmp_path / "data"
    path.write_bytes(b"x" * 1000)
    with path.open("rb") as file:
        origin = Origin(FileInput(file.fileno()), 0, 1000, lambda buffer: None)
        assert b"".join(bytes(view) for view in origin.range(0, 1000)) == b"x" * 1000
        origin.finish()


def test_keras_is_asked_about_one_in_so_many_files(tmp_path, fake_workers):
    fill(tmp_path / "in", 4, 20_000)
    plans = keep_plan(tmp_path / "in" / "0.keras", tmp_path / "plans")
    (tmp_path / "in" / "2.keras").rename(tmp_path / "in" / "2_differs.keras")
    (tmp_path / "in" / "3.keras").rename(tmp_path / "in" / "3_differs.keras")
    report = convert(tmp_path / "in", [], tmp_path / "out", plans=plans, verify=2)
    assert [done.how for done in report.converted] == ["bytes"] * 3
    assert [(Path(f.source).name, f.reason) for f in report.failed] == [
        ("2_differs.keras", "other weights than Keras")
    ]
