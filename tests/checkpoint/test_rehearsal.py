"""Dry runs, and runs over what is new: no Keras, and in a dry run not a byte written."""

from __future__ import annotations

import io
import json
import os
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from surgeon.checkpoint import Event, Failed, Planned, Skipped, convert
from surgeon.errors import CheckpointError
from surgeon.rules import freeze
from tests.checkpoint.archives import archive, hdf5, members, write
from tests.checkpoint.plans import keep_plan

pytestmark = pytest.mark.usefixtures("fake_workers")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    write(made / "a.keras")
    write(made / "b.keras", archive({**members(), "model.weights.h5": hdf5(seed=1)}))
    write(made / "other.keras", archive({**members(), "model.weights.h5": hdf5(4096)}))
    write(made / "cut.keras", archive()[:-40])
    write(made / "bare.weights.h5")
    return made


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything under a folder."""
    found = ((path, path.stat()) for path in folder.rglob("*"))
    return {str(path): (state.st_size, state.st_mtime_ns) for path, state in found}


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "surgeon.checkpoint.conversion.LocalEngine", lambda *_: pytest.fail("a worker was started")
    )
    before = everything(tmp_path)
    report = convert(folder, [], tmp_path / "out", dry_run=True)
    assert everything(tmp_path) == before
    kinds = {Path(outcome.source).name: outcome for outcome in report.outcomes}
    assert isinstance(kinds["cut.keras"], Failed)
    assert "not a readable zip archive" in kinds["cut.keras"].reason
    assert isinstance(kinds["bare.weights.h5"], Failed)
    a, b, other = (kinds[f"{name}.keras"] for name in ("a", "b", "other"))
    assert isinstance(a, Planned)
    assert isinstance(b, Planned)
    assert isinstance(other, Planned)
    # From the first file of an architecture Keras makes a plan, and then it comes out like the others.
    assert (a.how, b.how, other.how) == ("bytes", "bytes", "bytes")
    assert a.reason == other.reason == "the first of its architecture: Keras loads it to make a plan"
    assert b.reason == "by the plan of an earlier file, if there is one"
    assert a.architecture == b.architecture != other.architecture
    assert report.exit_code == 1
    data = json.loads(report.to_json())
    assert data["totals"] == {"converted": 0, "skipped": 0, "failed": 2, "planned": 3}
    assert data["architectures"] == {
        a.architecture: {"bytes": 2},
        other.architecture: {"bytes": 1},
    }
    assert data["models"] == {
        a.architecture: "Sequential, 512 weights",
        other.architecture: "Sequential, 1,024 weights",
    }
    assert str(report).startswith("3 to be converted, 0 done, 2 refused in ")
    none_fits = convert(folder / "cut.keras", [], tmp_path / "out", dry_run=True)
    assert str(none_fits).startswith("0 to be converted, 0 done, 1 refused in ")
    assert json.loads(none_fits.to_json())["totals"]["planned"] == 0


def test_a_dry_run_knows_plans_and_what_is_done(folder, tmp_path):
    plans, out = keep_plan(folder / "a.keras", tmp_path / "plans"), tmp_path / "out"
    convert(folder / "a.keras", [], out, plans=plans)
    before = everything(tmp_path)
    report = convert(folder, [], out, plans=plans, dry_run=True)
    assert everything(tmp_path) == before
    kinds = {Path(outcome.source).name: outcome for outcome in report.outcomes}
    assert isinstance(kinds["a.keras"], Skipped)
    planned = {Path(outcome.source).name: (outcome.how, outcome.reason) for outcome in report.planned}
    assert planned["b.keras"] == ("bytes", "there is a plan")
    every = convert(folder, [], out, plans=plans, dry_run=True, resume=False, move_bytes=False)
    assert {planned.how for planned in every.planned} == {"keras"}
    assert len(every.planned) == 3
    names = {Path(planned.source).name: planned.architecture for planned in every.planned}
    assert names["a.keras"] == names["b.keras"] != names["other.keras"] != ""


def test_only_files_that_are_new(folder, tmp_path):
    now = datetime.now()  # noqa: DTZ005 - local time, as people give it
    for number, name in enumerate(("a", "b", "other", "cut")):
        moment = (now - timedelta(days=number, minutes=1)).timestamp()
        os.utime(folder / f"{name}.keras", (moment, moment))
    found = convert(folder, [], tmp_path / "out", pattern="*.keras", since=now - timedelta(days=1, hours=1))
    assert [Path(outcome.source).name for outcome in found.outcomes] == ["a.keras", "b.keras"]
    with pytest.raises(CheckpointError, match=r"no checkpoint matching 'cut\.keras' changed since 20"):
        convert(folder, [], tmp_path / "out", pattern="cut.keras", since=now - timedelta(days=1))


def test_a_dry_run_asks_one_file_of_an_architecture_whether_the_rules_fit(folder, tmp_path):
    write(folder / "misfit.keras", archive({**members(), "model.weights.h5": hdf5(8192)}))
    write(folder / "misfits_too.keras", archive({**members(), "model.weights.h5": hdf5(8192, seed=1)}))
    asked: list[Event] = []
    out = tmp_path / "out"
    report = convert(folder, freeze("haed"), out, pattern="*.keras", dry_run=True, on_event=asked.append)
    assert not out.exists()
    kinds = {Path(outcome.source).name: outcome for outcome in report.outcomes}
    for name in ("misfit", "misfits_too"):
        failed = kinds[f"{name}.keras"]
        assert isinstance(failed, Failed)
        assert (failed.cause, failed.reason) == ("error", "no layer matches 'haed'; close: 'head'")
    assert {type(kinds[f"{name}.keras"]) for name in ("a", "b", "other")} == {Planned}
    assert [event.kind for event in asked] == ["found", *["started", "finished"] * 6]
    ((cause, reason),) = (key for key in report.reasons if key[0] == "error")
    assert [Path(name).name for name in report.reasons[cause, reason]] == [
        "misfit.keras",
        "misfits_too.keras",
    ]
    assert "2 files (" in str(report)


@pytest.mark.parametrize("move_bytes", [True, False])
def test_each_architecture_is_asked_once(tmp_path, monkeypatch, move_bytes):
    for number in range(3):
        write(
            tmp_path / "in" / f"{number}.keras", archive({**members(), "model.weights.h5": hdf5(seed=number)})
        )
    write(tmp_path / "in" / "other.keras", archive({**members(), "model.weights.h5": hdf5(4096)}))
    log = tmp_path / "log.json"
    monkeypatch.setattr("surgeon.checkpoint.conversion._architecture", lambda *_: (str(log), ""))
    log.write_text("")
    options = {"dry_run": True, "model": str(log), "move_bytes": move_bytes}
    assert len(convert(tmp_path / "in", freeze("head"), tmp_path / "out", **options).planned) == 4
    assert log.read_text().split() == ["0.keras", "other.keras"]


def test_a_file_that_cannot_be_loaded_says_nothing_of_the_others(tmp_path):
    for name in ("0_broken", "1", "2"):
        write(tmp_path / "in" / f"{name}.keras")
    report = convert(tmp_path / "in", freeze("head"), tmp_path / "out", dry_run=True)
    assert [type(outcome) for outcome in report.outcomes] == [Failed, Planned, Planned]


def named(name: str, rate: float = 0.1) -> bytes:
    """Return an archive of a model with a layer of this name; all have the same arrays and the same size."""
    layer = {"class_name": "Dense", "config": {"name": name}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [layer]}}
    text = json.dumps({**config, "compile_config": {"optimizer": {"learning_rate": rate}}})
    return archive({**members(), "config.json": text.encode()})


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_models_whose_arrays_lie_alike_may_have_other_layers(tmp_path, compression):
    for name, layer in (("0", "a"), ("1_misfit", "b"), ("2", "a"), ("3_misfit", "b")):
        data = io.BytesIO(named(layer))
        with zipfile.ZipFile(data) as read:
            repacked = archive({each: read.read(each) for each in read.namelist()}, compression)
        write(tmp_path / "in" / f"{name}.keras", repacked)
    for move_bytes in (True, False):
        report = convert(tmp_path / "in", freeze("a"), tmp_path / "out", dry_run=True, move_bytes=move_bytes)
        assert [type(outcome) for outcome in report.outcomes] == [Planned, Failed, Planned, Failed]


def test_how_a_model_was_compiled_makes_no_other_architecture(tmp_path, monkeypatch):
    for number in range(3):
        write(tmp_path / "in" / f"{number}.keras", named("a", rate=number / 8))
    log = tmp_path / "log.json"
    monkeypatch.setattr("surgeon.checkpoint.conversion._architecture", lambda *_: (str(log), ""))
    log.write_text("")
    report = convert(
        tmp_path / "in", freeze("a"), tmp_path / "out", model=str(log), dry_run=True, move_bytes=False
    )
    assert len(report.planned) == 3
    assert log.read_text().split() == ["0.keras"]


def test_a_dry_run_expects_no_more_plans_than_a_run_makes(tmp_path):
    """Where architectures are many and of one file each, plans are not worth it."""
    for number in range(12):
        content = {**members(), "model.weights.h5": hdf5(2048 + 4 * number)}
        write(tmp_path / "in" / f"{number:02}.keras", archive(content))
    report = convert(tmp_path / "in", [], tmp_path / "out", dry_run=True)
    ways = [outcome.how for outcome in report.planned]
    assert ways == ["bytes"] * 8 + ["keras"] * 4
    assert report.planned[-1].reason == "the first file of its architecture"


def test_a_dry_run_knows_a_folder_that_moved_and_notes_nothing(tmp_path):
    write(tmp_path / "in" / "a.keras")
    convert(tmp_path / "in", [], tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "moved")
    manifest = tmp_path / "out" / ".surgeon" / "manifest.sqlite"
    before = manifest.read_bytes()
    assert len(convert(tmp_path / "moved", [], tmp_path / "out", dry_run=True).skipped) == 1
    assert manifest.read_bytes() == before
    assert len(convert(tmp_path / "moved", [], tmp_path / "out").skipped) == 1
    assert manifest.read_bytes() != before
