"""Whole runs, with workers that only copy (see `fake_worker`): resume, isolation, publication."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path

import filelock
import numpy as np
import pytest

from surgeon.checkpoint import Converted, Event, Failed, Skipped, convert, progress
from surgeon.errors import CheckpointError
from surgeon.rules import freeze
from tests.checkpoint.archives import archive, files, hdf5, leftovers, members, write

pytestmark = pytest.mark.usefixtures("fake_workers")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_folder_keeps_its_layout(folder, out):
    for name in ("a.keras", "deep/er/b.keras", "c.h5", "readme.txt"):
        write(folder / name)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # A copy of an HDF5 file under the name `.keras` is not a sound output, and never gets its final name.
    report = convert(folder, [], out)
    assert files(out) == ["a.keras", "deep/er/b.keras"]
    assert (out / "a.keras").read_bytes() == (folder / "a.keras").read_bytes()
    assert [type(outcome) for outcome in report.outcomes] == [Converted, Failed, Converted]
    assert report.failed[0].reason.startswith("the output would not be readable")
    assert {path: path.read_bytes() for path in before} == before
    assert leftovers(out) == []


def test_each_bad_file_fails_alone_with_its_cause(folder, out):
    for name in ("die", "hang", "greedy", "broken", "garbage", "growing", "fine_noted", "z_fine"):
        write(folder / f"{name}.keras")
    os.mkfifo(folder / "fifo.keras")
    (folder / "folder.keras").mkdir()
    write(folder / "folder.keras" / "not_searched.keras")
    write(folder / "bare.weights.h5")
    seen: list[Event] = []
    report = convert(folder, [], out, timeout=3, memory_limit=200 << 20, workers=2, on_event=seen.append)
    causes = {Path(failure.source).name: failure.cause for failure in report.failed}
    assert causes == {
        "die.keras": "crash",
        "hang.keras": "timeout",
        "greedy.keras": "memory",
        "broken.keras": "error",
        "garbage.keras": "error",
        "growing.keras": "changed",
        "fifo.keras": "refused",
        "folder.keras": "refused",
        "bare.weights.h5": "refused",
    }
    reasons = {Path(failure.source).name: failure.reason for failure in report.failed}
    assert reasons["die.keras"] == "the worker process died (signal SIGABRT): could not go on"
    assert reasons["hang.keras"] == "took more than 3 s; the worker was stopped"
    assert reasons["broken.keras"] == "ValueError: no such layer"
    assert "--model" in reasons["bare.weights.h5"]
    assert files(out) == ["fine_noted.keras", "z_fine.keras"]
    assert leftovers(out) == []
    assert report.converted[0].notes == ("noted",)
    assert report.exit_code == 1
    assert [event.kind for event in seen].count("finished") == len(report.outcomes) == 11
    assert seen[0] == Event("found", 0, 11)
    assert seen[-1].done == seen[-1].total == 11


def test_outcomes_and_reports_are_plain_values(folder, out):
    write(folder / "a.keras")
    write(folder / "broken.keras")
    report = convert(folder, [], out)
    assert pickle.loads(pickle.dumps(report)) == report
    data = json.loads(report.to_json())
    assert data["totals"] == {"converted": 1, "skipped": 0, "failed": 1}
    assert [row["state"] for row in data["files"]] == ["converted", "failed"]
    assert str(report).splitlines()[1] == f"  {folder / 'broken.keras'}: ValueError: no such layer"


def test_a_second_run_does_only_what_is_left(folder, out):
    for name in ("a", "b", "broken"):
        write(folder / f"{name}.keras")
    convert(folder, [], out)
    first = (out / "a.keras").stat()

    again = convert(folder, [], out)
    assert [type(outcome) for outcome in again.outcomes] == [Skipped, Skipped, Failed]
    assert (out / "a.keras").stat() == first

    write(folder / "b.keras", archive({**members(), "assets/new": b"new"}))
    (out / "a.keras").unlink()
    os.utime(folder / "broken.keras")
    third = convert(folder, [], out)
    assert [type(outcome) for outcome in third.outcomes] == [Converted, Converted, Failed]
    assert (out / "b.keras").read_bytes() == (folder / "b.keras").read_bytes()

    other_rules = convert(folder, freeze("other"), out)
    assert len(other_rules.converted) == 2
    assert len(convert(folder, freeze("other"), out, resume=False).converted) == 2


def with_nan() -> bytes:
    """Return an archive whose array holds a NaN."""
    values = np.frombuffer(hdf5(), "uint8").copy()
    payload = np.random.default_rng(0).normal(size=512).astype("float32").tobytes()
    begin = values.tobytes().index(payload)
    values[begin : begin + 4] = np.frombuffer(np.float32("nan").tobytes(), "uint8")
    return archive({**members(), "model.weights.h5": values.tobytes()})


@pytest.mark.parametrize("move_bytes", [True, False])
def test_a_strict_run_judges_what_another_has_let_pass(folder, out, move_bytes):
    write(folder / "a.keras")
    write(folder / "nan.keras", with_nan())

    def go(*, strict: bool):
        report = convert(folder, [], out, strict=strict, move_bytes=move_bytes)
        return [type(outcome) for outcome in report.outcomes]

    assert go(strict=False) == [Converted, Converted]
    assert go(strict=False) == [Skipped, Skipped]
    for rehearsed in (True, False):
        report = convert(folder, [], out, strict=True, move_bytes=move_bytes, dry_run=rehearsed)
        assert [Path(failed.source).name for failed in report.failed] == ["nan.keras"]
        assert not report.skipped
    # What the strict run has let pass need not be looked at again, strictly or not.
    assert go(strict=True) == [Skipped, Failed]
    assert go(strict=False) == [Skipped, Converted]
    assert go(strict=True) == [Skipped, Failed]


def test_a_strict_run_looks_into_a_deflated_archive(folder, out):
    with zipfile.ZipFile(io.BytesIO(with_nan())) as read:
        deflated = archive({each: read.read(each) for each in read.namelist()}, zipfile.ZIP_DEFLATED)
    write(folder / "nan.keras", deflated)
    (noted,) = convert(folder, [], out).converted
    assert "NaN or infinite values in layers/dense/vars/0" in noted.notes
    for rehearsed in (True, False):
        (failed,) = convert(folder, [], out, strict=True, dry_run=rehearsed).failed
        assert failed.cause == "refused"
        assert "NaN or infinite values in layers/dense/vars/0" in failed.reason


def test_strict_and_trusting_is_no_sense(folder, out):
    write(folder / "a.keras")
    with pytest.raises(CheckpointError, match="leave one of them out"):
        convert(folder, [], out, strict=True, trust_source=True)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_is_one_like_any_other(folder, out):
    for name in (b"a \xff.keras", b"broken \xff.keras"):
        write(folder / os.fsdecode(name))
    first = convert(folder, [], out)
    assert [type(outcome) for outcome in first.outcomes] == [Converted, Failed]
    assert (os.fsencode(out) + b"/a \xff.keras") == os.fsencode(first.converted[0].output)
    assert progress(out).failures == {"broken \\udcff.keras": "error: ValueError: no such layer"}
    assert [type(outcome) for outcome in convert(folder, [], out).outcomes] == [Skipped, Failed]
    assert [type(outcome) for outcome in convert(folder, freeze("x"), out).outcomes] == [Converted, Failed]


def test_a_touched_source_is_not_a_changed_one(folder, out):
    write(folder / "a.keras")
    convert(folder, [], out)
    os.utime(folder / "a.keras", ns=(1, 1))
    assert len(convert(folder, [], out).skipped) == 1
    moved = folder.rename(folder.with_name("moved"))
    assert len(convert(moved, [], out).skipped) == 1


def test_a_failed_file_is_retried_and_then_done(folder, out):
    write(folder / "a.keras", archive()[:-30])
    assert convert(folder, [], out).exit_code == 1
    write(folder / "a.keras")
    assert len(convert(folder, [], out).converted) == 1


def test_a_file_that_is_not_ours_is_never_overwritten(folder, out):
    write(folder / "a.keras")
    write(out / "a.keras", b"precious")
    for resume in (True, False):
        report = convert(folder, [], out, resume=resume)
        assert [failure.cause for failure in report.failed] == ["exists"]
        assert "not from an earlier run" in report.failed[0].reason
        assert (out / "a.keras").read_bytes() == b"precious"
    assert leftovers(out) == []


@pytest.mark.parametrize("kind", [".keras", ".weights.h5"])
def test_an_output_that_somebody_changed_is_never_overwritten(folder, out, kind):
    for name in "ab":
        write(folder / f"{name}{kind}")
    model = write(folder.parent / "model.keras")
    convert(folder, [], out, model=str(model))
    # Longer, as after training with another optimizer; and still a checkpoint.
    trained = archive({**members(), "metadata.json": b"{} "}) if kind == ".keras" else hdf5() + bytes(8)
    write(out / f"a{kind}", trained)
    everything = (freeze("other"), freeze("another"))
    for rules in everything:
        report = convert(folder, rules, out, model=str(model))
        assert [failure.cause for failure in report.failed] == ["exists"]
        assert "was changed since an earlier run wrote it" in report.failed[0].reason
        assert [Path(each.output).name for each in report.converted] == [f"b{kind}"]
        assert (out / f"a{kind}").read_bytes() == trained
        assert leftovers(out) == []
    assert [failure.cause for failure in convert(folder, [], out, model=str(model)).failed] == ["exists"]
    (out / f"a{kind}").rename(out / f"a.trained{kind}")
    assert convert(folder, freeze("other"), out, model=str(model)).exit_code == 0


def test_what_is_no_checkpoint_is_left_alone_too(folder, out):
    write(folder / "a.keras")
    convert(folder, [], out)
    write(out / "a.keras", b"a note to myself")
    assert [failure.cause for failure in convert(folder, [], out).failed] == ["exists"]
    write(out / "a.keras", b"")
    assert convert(folder, [], out).exit_code == 0


@pytest.mark.parametrize("what", ["a folder", "a link to nothing"])
def test_what_stands_in_the_place_of_an_output_does_not_end_the_run(folder, out, what):
    for name in "ab":
        write(folder / f"{name}.keras")
    convert(folder, [], out)
    (out / "a.keras").unlink()
    if what == "a folder":
        (out / "a.keras").mkdir()
    else:
        (out / "a.keras").symlink_to(out / "nothing")
    report = convert(folder, freeze("other"), out)
    assert [failure.cause for failure in report.failed] == ["exists"]
    assert [Path(each.output).name for each in report.converted] == ["b.keras"]
    assert os.path.lexists(out / "a.keras")
    assert leftovers(out) == []


def test_one_run_at_a_time(folder, out):
    write(folder / "a.keras")
    convert(folder, [], out)
    with (
        filelock.FileLock(out / ".surgeon" / "lock"),
        pytest.raises(CheckpointError, match="another run is converting"),
    ):
        convert(folder, [], out)
    assert len(convert(folder, [], out).skipped) == 1


def test_collisions_are_found_before_anything_is_written(folder, out):
    write(folder / "a.keras")
    write(folder / "a.h5")
    with pytest.raises(CheckpointError, match=r"a\.h5 and .*a\.keras would both become a\.keras"):
        convert(folder, [], out)
    assert not out.exists()
    assert len(convert(folder, [], out, pattern="*.keras").converted) == 1


def test_a_source_is_never_an_output(folder):
    write(folder / "a.keras")
    with pytest.raises(CheckpointError, match="would take the place of a source"):
        convert(folder, [], folder)
    inner = convert(folder, [], folder / "out")
    assert len(inner.converted) == 1
    assert len(convert(folder, [], folder / "out").skipped) == 1


def test_output_folders_inside_the_source_folder_are_no_sources(folder, tmp_path):
    write(folder / "a.keras")
    write(folder / "deep" / "b.keras")
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    # Named through a link, the output folder is the same folder.
    assert len(convert(folder, [], link / "first").converted) == 2
    assert len(convert(folder, [], link / "first").outcomes) == 2
    assert len(convert(folder, [], folder / "deep" / "second").outcomes) == 2
    assert files(folder / "deep" / "second") == ["a.keras", "deep/b.keras"]
    # Whoever names one means what is in it.
    assert len(convert(folder / "first", [], tmp_path / "third").converted) == 2
    assert len(convert(link, [], tmp_path / "fourth").converted) == 2


def test_sources_are_named_in_many_ways(folder, out, tmp_path):
    one, two = write(folder / "one.keras"), write(tmp_path / "elsewhere" / "two.keras")
    link = folder / "latest.keras"
    link.symlink_to(two)
    # A link that was found may not lead out; one that was named may.
    assert [failure.cause for failure in convert(folder, [], out).failed] == ["refused"]
    report = convert([str(one), two, link], [], tmp_path / "named")
    assert files(tmp_path / "named") == ["latest.keras", "one.keras", "two.keras"]
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("source", "reason"),
    [("nothing", "does not exist"), ("empty", "no checkpoint"), ("file.txt", "is not a checkpoint")],
)
def test_sources_that_are_none(tmp_path, out, source, reason):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(CheckpointError, match=reason):
        convert(tmp_path / source, [], out)
    assert not out.exists()


def test_a_worker_that_cannot_start_ends_the_run(folder, out, monkeypatch):
    write(folder / "a.keras")
    command = [sys.executable, "-c", "raise SystemExit('no TensorFlow here')"]
    monkeypatch.setattr("surgeon.checkpoint.conversion.worker_command", lambda: command)
    with pytest.raises(CheckpointError, match=r"did not start: .*exit code 1\): no TensorFlow here"):
        convert(folder, [], out)
    assert files(out) == []


def test_an_error_in_the_callback_stops_the_workers(folder, out):
    for number in range(6):
        write(folder / f"slow_{number}.keras")

    def complain(event: Event) -> None:
        if event.kind == "finished":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        convert(folder, [], out, workers=2, on_event=complain)
    assert len(files(out)) == 1
    assert leftovers(out) == []
    assert len(convert(folder, [], out).skipped) == 1


def test_a_worker_that_cannot_follow_its_order_ends_the_run(folder, out, monkeypatch):
    write(folder / "a.keras")
    answer = 'print(\'{"ok": false, "reason": "no module named mine"}\', flush=True); input(); input()'
    monkeypatch.setattr(
        "surgeon.checkpoint.conversion.worker_command", lambda: [sys.executable, "-c", answer]
    )
    with pytest.raises(CheckpointError, match="a worker process cannot do this: no module named mine"):
        convert(folder, [], out)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"to": "onnx"}, "to='onnx': there are 'keras' and"), ({"workers": 0}, "workers=0: at least one")],
)
def test_options_that_make_no_sense(folder, out, options, reason):
    write(folder / "a.keras")
    with pytest.raises(CheckpointError, match=reason):
        convert(folder, [], out, **options)
    assert not out.exists()
