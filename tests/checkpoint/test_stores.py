"""Sources and outputs on a store: the same bytes, the same refusals, and only what is needed is read."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import h5py
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from surgeon.checkpoint import Converted, Failed, Planned, Skipped, convert, stores
from surgeon.checkpoint.bytepath import executor
from surgeon.checkpoint.sources import find_sources
from surgeon.checkpoint.stamp import Stamp
from surgeon.checkpoint.stores import upload
from surgeon.errors import CheckpointError
from tests.checkpoint.archives import archive, hdf5, members, write
from tests.checkpoint.plans import keep_plan

pytestmark = pytest.mark.usefixtures("fake_workers", "empty_store")
STORE: Any = fsspec.filesystem("memory")
IN, OUT = "memory://bucket/in", "memory://bucket/out"


@pytest.fixture
def empty_store(monkeypatch, tmp_path):
    """Start with nothing in the store, and with state folders that are the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield
    if STORE.exists("/bucket"):
        STORE.rm("/bucket", recursive=True)


def put(key: str, data: bytes | None = None) -> bytes:
    data = archive() if data is None else data
    STORE.pipe_file(f"/bucket/in/{key}", data)
    return data


def made() -> dict[str, bytes]:
    found = STORE.find("/bucket/out")
    return {name.removeprefix("/bucket/out/"): STORE.cat_file(name) for name in found if "/." not in name}


def filled(seed: int, payload: int = 200_000) -> bytes:
    return archive({**members(), "model.weights.h5": hdf5(payload, seed=seed)})


def test_a_folder_on_a_store_gives_the_bytes_that_it_gives_here(tmp_path):
    """By the byte path (there is a plan for most), by Keras (one has none), and by refusal."""
    for name, data in {
        **{f"{number}.keras": filled(number) for number in range(4)},
        "deep/er/5.keras": filled(5),
        "other.keras": archive(),
        "cut.keras": archive()[:-20],
        "empty.keras": b"",
    }.items():
        put(name, data)
        write(tmp_path / "in" / name, data)
    put("readme.txt", b"")
    plans = keep_plan(tmp_path / "in" / "0.keras", tmp_path / "plans")
    here = convert(tmp_path / "in", [], tmp_path / "here", plans=plans)
    expected = {
        path.relative_to(tmp_path / "here").as_posix(): path.read_bytes()
        for path in (tmp_path / "here").rglob("*.keras")
    }
    assert len(expected) == 6
    there = convert(IN, [], OUT, plans=plans, workers=2)
    assert made() == expected
    assert there.out == OUT
    assert [type(outcome) for outcome in there.outcomes] == [type(outcome) for outcome in here.outcomes]
    for one, other in zip(there.outcomes, here.outcomes, strict=True):
        assert one.source.removeprefix(IN) == other.source.removeprefix(str(tmp_path / "in"))
        if isinstance(one, Converted) and isinstance(other, Converted):
            assert (one.digest, one.size, one.how, one.verified) == (
                *(other.digest, other.size),
                *(other.how, other.verified),
            )
        if isinstance(one, Failed) and isinstance(other, Failed):
            assert (one.cause, one.reason) == (other.cause, other.reason)
    # From here to there, and from there to here.
    convert(IN, [], tmp_path / "down", plans=plans)
    assert (tmp_path / "down" / "deep" / "er" / "5.keras").read_bytes() == expected["deep/er/5.keras"]
    STORE.rm("/bucket/out", recursive=True)
    convert(tmp_path / "in", [], "memory://bucket/out", plans=plans, resume=False)
    assert made() == expected
    assert not list((tmp_path / "state").rglob("tmp/*"))


def test_a_second_run_does_only_what_is_left(tmp_path):
    put("a.keras")
    put("b.keras")
    assert len(convert(IN, [], OUT).converted) == 2
    assert len(convert(IN, [], OUT).skipped) == 2
    STORE.rm("/bucket/out/a.keras")
    changed = put("b.keras", archive({**members(), "assets/new": b"new"}))
    again = convert(IN, [], OUT)
    assert [type(outcome) for outcome in again.outcomes] == [Converted, Converted]
    assert made()["b.keras"] == changed
    # The same bytes, written once more, are the same source.
    put("a.keras")
    assert [type(outcome) for outcome in convert(IN, [], OUT).outcomes] == [Skipped, Skipped]
    # Another state folder knows nothing of it, and overwrites nothing.
    other = convert(IN, [], OUT, state=tmp_path / "elsewhere")
    assert [failure.cause for failure in other.failed] == ["exists", "exists"]


def test_the_state_of_a_map_is_that_of_its_shards():
    put("a.weights.json", b'{"weight_map": {"/vars": ["b_00000.weights.h5"]}}')
    put("b_00000.weights.h5", b"one")
    before = Stamp.at(f"{IN}/a.weights.json")
    assert before.still_holds(f"{IN}/a.weights.json")
    put("b_00000.weights.h5", b"two")
    assert not before.still_holds(f"{IN}/a.weights.json")


def test_a_run_that_died_while_it_published_is_understood(tmp_path, monkeypatch):
    put("a.keras")
    put("b.keras")

    def dies(source: Path, url: str, *, replace: bool) -> None:
        if url.endswith("a.keras"):
            upload(source, url, replace=replace)
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr("surgeon.checkpoint.destination.upload", dies)
            with pytest.raises(KeyboardInterrupt):
                convert(IN, [], OUT)
        assert list(made()) == ["a.keras"]
    report = convert(IN, [], OUT)
    assert [type(outcome) for outcome in report.outcomes] == [Skipped, Converted]


def test_what_is_not_ours_is_never_overwritten(monkeypatch):
    put("a.keras")
    STORE.pipe_file("/bucket/out/a.keras", b"precious")
    for resume in (True, False):
        report = convert(IN, [], OUT, resume=resume)
        assert [failure.cause for failure in report.failed] == ["exists"]
    # Not even what appears in the last moment.
    STORE.rm("/bucket/out/a.keras")
    exists = MemoryFileSystem.exists

    def appears(self: Any, path: str, **more: Any) -> bool:
        if path.endswith("out/a.keras") and not exists(self, path):
            self.pipe_file(path, b"precious")
            return False
        return bool(exists(self, path, **more))

    monkeypatch.setattr(MemoryFileSystem, "exists", appears)
    assert [failure.cause for failure in convert(IN, [], OUT).failed] == ["exists"]
    assert made() == {"a.keras": b"precious"}


@pytest.mark.parametrize(
    "key",
    ["../up.keras", "a/../../up.keras", "a//b.keras", "./a.keras", "a\\b.keras", "a\n.keras", "a::b.keras"],
)
def test_keys_that_are_no_plain_paths_are_refused(tmp_path, key):
    put("fine.keras")
    put(key)
    report = convert(IN, [], tmp_path / "a" / "b" / "out")
    assert [failure.cause for failure in report.failed] == ["refused"]
    assert "no plain path" in report.failed[0].reason
    outside = [path for path in tmp_path.rglob("*.keras") if tmp_path / "a" / "b" / "out" not in path.parents]
    assert not outside
    assert [path.name for path in (tmp_path / "a").rglob("*.keras")] == ["fine.keras"]
    dry = convert(IN, [], tmp_path / "dry", dry_run=True)
    assert {type(outcome) for outcome in dry.outcomes} == {Failed, Planned}


def test_a_dry_run_refuses_in_the_words_of_the_run(tmp_path):
    for name in ("a", "b"):
        put(f"{name}.keras", archive()[:-40])
    dry, report = (convert(IN, [], tmp_path / "out", dry_run=dry_run) for dry_run in (True, False))
    assert dry.reasons == report.reasons
    assert list(map(len, dry.reasons.values())) == [2]


def test_outputs_of_other_runs_and_the_output_itself_are_no_sources(tmp_path):
    put("a.keras")
    put("deep/b.keras")
    for out in (f"{IN}/first", f"{IN}/first", f"{IN}/deep/second"):
        report = convert(IN, [], out)
        assert len(report.outcomes) == 2
        assert not report.failed
    assert len(find_sources(f"{IN}/first", tmp_path)) == 2
    with pytest.raises(CheckpointError, match="would take the place of a source"):
        convert(f"{IN}/a.keras", [], IN)


@pytest.mark.parametrize(
    ("source", "out"), [(IN, "memory:///bucket/in"), ("memory:///bucket/in/a.keras", f"{IN}/")]
)
def test_a_source_is_never_an_output_by_another_name(source, out):
    before = put("a.keras")
    with pytest.raises(CheckpointError, match="sources are never written to"):
        convert(source, [], out)
    assert STORE.find("/bucket") == ["/bucket/in/a.keras"]
    assert STORE.cat_file("/bucket/in/a.keras") == before


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    put("a.keras", filled(1))
    local = write(tmp_path / "a.keras", filled(1))
    plans = keep_plan(local, tmp_path / "plans")

    def slow(*arguments: Any, **more: Any) -> Any:
        done = executor.execute(*arguments, **more)
        put("a.keras", filled(2))
        return done

    monkeypatch.setattr("surgeon.checkpoint.bytepath.mover.execute", slow)
    report = convert(IN, [], OUT, plans=plans)
    assert [failure.cause for failure in report.failed] == ["changed"]
    assert made() == {}


def test_an_object_that_changes_while_it_is_copied_is_noticed(tmp_path, monkeypatch):
    put("a.keras", archive())

    def slow(url: str, target: Path) -> None:
        stores.download(url, target)
        put("a.keras", filled(2))

    monkeypatch.setattr("surgeon.checkpoint.spool.download", slow)
    report = convert(IN, [], OUT)
    assert [failure.reason for failure in report.failed] == ["changed while it was copied"]
    assert made() == {}
    assert not list((tmp_path / "state").rglob("tmp/*"))


def test_only_what_is_needed_is_read(tmp_path, monkeypatch):
    """Of a file that is done or unfit nothing much; of a trusted one what goes into the output."""
    payload = 4_000_000
    data = filled(1, payload)
    put("a.keras", data)
    put("damaged.keras", data[:3_000_000] + bytes(len(data) - 3_000_000))
    local = write(tmp_path / "a.keras", data)
    plans = keep_plan(local, tmp_path / "plans")
    asked: list[int] = []
    cat = MemoryFileSystem.cat_file

    def counted(self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        found = bytes(cat(self, path, start=start, end=end, **more))
        asked.append(len(found))
        return found

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    monkeypatch.setattr(MemoryFileSystem, "get_file", lambda *_: pytest.fail("all of it was copied"))
    report = convert(IN, [], OUT, plans=plans)
    assert [type(outcome) for outcome in report.outcomes] == [Converted, Failed]
    assert len(data) < sum(asked) < len(data) * 1.1 + 600_000
    asked.clear()
    assert len(convert(f"{IN}/a.keras", [], OUT, plans=plans).skipped) == 1
    assert asked == []
    monkeypatch.undo()


def test_a_memory_of_another_process_and_odd_urls(tmp_path):
    put("a.keras")
    with pytest.raises(CheckpointError, match="memory:// is the memory of this process"):
        convert(IN, [], tmp_path, engine="ray")
    with pytest.raises(CheckpointError, match="fsspec knows no such store"):
        convert("nosuch://bucket/x", [], tmp_path)
    with pytest.raises(CheckpointError, match="chained URLs are not followed"):
        convert("simplecache::memory://bucket/in", [], tmp_path)
    with pytest.raises(CheckpointError, match="it is not known that a file is there as a whole"):
        convert(IN, [], "ftp://host/out")
    with pytest.raises(CheckpointError, match="there is nothing"):
        convert("memory://bucket/absent", [], tmp_path)
    with pytest.raises(CheckpointError, match="leave out `state`"):
        convert(IN, [], tmp_path, state=tmp_path)


def test_without_fsspec_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(CheckpointError, match=r"pip install 'surgeon-keras\[remote\]'"):
        convert("s3://bucket/in", [], tmp_path)


class Told:
    """A store that says of its objects what other stores say."""

    def __init__(self, **objects: dict[str, Any]) -> None:
        self._objects = {f"bucket/in/{name}": {"size": 3, **info} for name, info in objects.items()}

    def find(self, *_: Any, **__: Any) -> dict[str, dict[str, Any]]:
        return {**self._objects, "bucket/in.keras": {"size": 1}}


def test_what_stores_say_of_their_objects_is_understood(monkeypatch):
    """S3 and Azure have tags, others only times, as text or as numbers; a prefix finds neighbours, too."""
    noon = "2026-01-31T12:00:00+00:00"
    store = Told(
        tagged={"ETag": '"one"', "LastModified": noon},
        other={"etag": '"two"'},
        text={"updated": noon},
        wrong={"updated": "yesterday"},
        number={"mtime": 1769860800.0},
        silent={},
    )
    monkeypatch.setattr(stores, "open_store", lambda url: (store, "bucket/in"))
    found = {each.relative: each for each in stores.listed("gs://bucket/in/")}
    assert sorted(found) == ["number", "other", "silent", "tagged", "text", "wrong"]
    assert found["text"].url == "gs://bucket/in/text"
    assert {name: each.modified for name, each in found.items()} == {
        **dict.fromkeys(("tagged", "text", "number"), 1769860800.0),
        **dict.fromkeys(("other", "wrong", "silent")),
    }
    assert (
        len({each.stamp for name, each in found.items() if name in ("tagged", "other", "text", "silent")})
        == 4
    )
    assert found["wrong"].stamp == found["silent"].stamp


def test_only_objects_of_a_name_and_of_a_time(tmp_path):
    put("a.keras")
    put("deep/b.keras")
    place = STORE.store["/bucket/in/a.keras"]
    place.modified = place.created = datetime(2020, 1, 1, tzinfo=UTC)
    assert [each.relative for each in find_sources(IN, tmp_path, pattern="b*")] == ["deep/b.keras"]
    since = datetime(2024, 1, 1, tzinfo=UTC)
    assert [each.relative for each in find_sources(IN, tmp_path, since=since)] == ["deep/b.keras"]
    (source, _) = find_sources(IN, tmp_path)
    with pytest.raises(ValueError, match=r"a\.keras is not on this machine"):
        source.path.exists()


def test_a_trusted_source_is_read_in_part(tmp_path):
    put("a.keras", filled(1, payload=3 << 20))
    plans = keep_plan(write(tmp_path / "a.keras", filled(2, payload=3 << 20)), tmp_path / "plans")
    for trust in (False, True):
        report = convert(IN, [], f"{OUT}/{trust}", plans=plans, trust_source=trust)
        assert [done.how for done in report.converted] == ["bytes"]
    one, other = made().values()
    assert one == other


def test_sharded_weights_are_copied_here_with_their_shards(tmp_path, monkeypatch):
    put("a_00000.weights.h5", hdf5())
    put("a_00001.weights.h5", hdf5_named("other"))
    put(
        "a.weights.json",
        json.dumps({"weight_map": {"/a": "a_00000.weights.h5", "/b": "a_00001.weights.h5"}}).encode(),
    )
    model = write(tmp_path / "model.keras")
    seen: list[str] = []

    def fetch(url: str, to: Path) -> None:
        seen.append(to.name)
        stores.download(url, to)

    monkeypatch.setattr("surgeon.checkpoint.spool.download", fetch)
    report = convert(IN, [], OUT, model=model)
    assert seen == ["a.weights.json", "a_00000.weights.h5", "a_00001.weights.h5"]
    # The worker of these tests copies the map alone, which is no sound output.
    assert [failure.reason.partition(":")[0] for failure in report.failed] == [
        "the output would not be readable"
    ]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    full = convert(IN, [], f"{OUT}/full", model=write(model))
    assert "10 are free in" in full.failed[0].reason


def hdf5_named(name: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file[f"layers/{name}/vars/0"] = np.ones(3, "float32")
    return buffer.getvalue()


def test_an_upload_replaces_only_what_it_may(tmp_path):
    url = f"{OUT}/a.keras"
    upload(write(tmp_path / "a", b"one"), url, replace=False)
    with pytest.raises(FileExistsError, match=r"out/a\.keras exists and is left as it is"):
        upload(write(tmp_path / "b", b"two"), url, replace=False)
    assert made() == {"a.keras": b"one"}
    upload(tmp_path / "b", url, replace=True)
    assert made() == {"a.keras": b"two"}
