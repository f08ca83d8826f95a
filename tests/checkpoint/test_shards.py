"""Sharded weights: a map and its shards become one file; a map that points elsewhere is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from surgeon.checkpoint import convert, shards
from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.opened import opened
from surgeon.checkpoint.destination import Folder
from surgeon.checkpoint.front_door import inspect
from surgeon.checkpoint.manifest import Manifest, Row
from surgeon.checkpoint.record import Record
from surgeon.checkpoint.sources import Kind, Source, find_sources
from surgeon.checkpoint.stamp import Stamp
from surgeon.errors import RefusedError
from surgeon.rules import freeze, train
from surgeon.select import channels
from tests import zoo
from tests.checkpoint.archives import hdf5, write
from tests.helpers import assert_same_weights, weights_of

RULES = [freeze("*"), train("head", kernel=channels([1]))]


def write_map(path: Path, groups: Any) -> Path:
    """Write a map of shards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": groups}))
    return path


@pytest.mark.slow
def test_shards_are_joined_and_numbers_are_kept(tmp_path):
    folder, model = tmp_path / "in", zoo.mlp()
    folder.mkdir()
    model.save(tmp_path / "model.keras")
    # So small that each layer has a shard of its own.
    model.save_weights(folder / "big.weights.json", max_shard_size=300 / 2**30)
    shards = sorted(path.name for path in folder.glob("*.h5"))
    assert len(shards) > 1
    report = convert(folder, RULES, tmp_path / "out", model=tmp_path / "model.keras")
    assert [Path(done.output).name for done in report.converted] == ["big.weights.h5"], report.to_json()
    assert report.failed == ()
    rewritten, stock = zoo.mlp(), zoo.mlp()
    for variable in stock.weights:
        variable.assign(variable * 0)
    stock.load_weights(tmp_path / "out" / "big.weights.h5")
    assert_same_weights(weights_of(rewritten), weights_of(stock))
    assert len(convert(folder, RULES, tmp_path / "out", model=tmp_path / "model.keras").skipped) == 1
    # A map is the same whatever the numbers are: what else is trained makes another source.
    for variable in model.weights:
        variable.assign(variable + 1)
    (tmp_path / "later").mkdir()
    model.save_weights(tmp_path / "later" / "big.weights.json", max_shard_size=300 / 2**30)
    same = folder / "big.weights.json"
    assert (tmp_path / "later" / same.name).read_bytes() == same.read_bytes()
    for name in shards:
        (tmp_path / "later" / name).replace(folder / name)
    later = convert(folder, RULES, tmp_path / "out", model=tmp_path / "model.keras")
    assert len(later.converted) == 1, later.to_json()

    kernel = model.get_layer("head").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    model.save_weights(folder / "big.weights.json", max_shard_size=300 / 2**30)
    again = convert(folder, RULES, tmp_path / "out", model=tmp_path / "model.keras", strict=True)
    assert [failure.reason.partition(" in ")[0] for failure in again.failed] == ["NaN or infinite values"]
    # A damaged shard is the map's failure.
    (folder / shards[1]).write_bytes((folder / shards[1]).read_bytes()[:-500])
    cut = convert(folder, RULES, tmp_path / "cut", model=tmp_path / "model.keras")
    assert [failure.cause for failure in cut.failed] == ["refused"]
    assert shards[1] in cut.failed[0].reason


@pytest.mark.slow
def test_shards_of_one_architecture_are_moved_by_one_plan(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        model = zoo.mlp()
        for variable in model.weights:
            variable.assign(rng.normal(size=variable.shape))
        if not number:
            model.save(tmp_path / "model.keras")
        model.save_weights(folder / f"{number}.weights.json", max_shard_size=300 / 2**30)
    assert len(list(folder.glob("0_*.h5"))) > 1
    rules = [freeze("*"), train("head", kernel=channels(1, by="magnitude"))]
    moved = convert(folder, rules, tmp_path / "bytes", model=tmp_path / "model.keras", verify=2)
    assert [done.how for done in moved.converted] == ["bytes"] * 3, moved.to_json()
    by_keras = convert(folder, rules, tmp_path / "keras", model=tmp_path / "model.keras", move_bytes=False)
    assert [done.how for done in by_keras.converted] == ["keras"] * 3
    outputs = [
        (tmp_path / way / f"{n}.weights.h5").read_bytes() for n in range(3) for way in ("bytes", "keras")
    ]
    assert outputs[0::2] == outputs[1::2]
    assert len(set(outputs)) == 3
    assert len(convert(folder, rules, tmp_path / "bytes", model=tmp_path / "model.keras").skipped) == 3


def test_shards_are_read_as_one_file_and_watched(tmp_path):
    for number, size in enumerate((5000, 1, 70_000)):
        (tmp_path / f"a_{number:05}.weights.h5").write_bytes(bytes([number]) * size)
    names = [f"a_{number:05}.weights.h5" for number in range(3)]
    path = write_map(tmp_path / "a.weights.json", {"/vars": names})
    whole = b"".join((tmp_path / name).read_bytes() for name in names)
    with opened(path, Kind.SHARDED, tmp_path, DEFAULT) as (_, found):
        assert found is not None
        assert found.size == len(whole)
        for at, size in ((0, 75_001), (4999, 3), (5000, 1), (5001, 0), (4000, 60_000)):
            assert found.read(at, size) == whole[at : at + size]
            buffer = memoryview(bytearray(size))
            found.file.read_into(buffer, at)
            assert buffer == whole[at : at + size]
        with pytest.raises(ValueError, match="shorter"):
            found.read(75_000, 2)
    with (
        pytest.raises(RefusedError, match=r"shard a_00001.* changed while it was read"),
        opened(path, Kind.SHARDED, tmp_path, DEFAULT),
    ):
        (tmp_path / names[1]).write_bytes(b"22")


def test_what_is_known_of_a_source_is_known_of_its_shards(tmp_path):
    shard = tmp_path / "b_00000.weights.h5"
    shard.write_bytes(b"one")
    path = write_map(tmp_path / "a.weights.json", {"/vars": [shard.name]})
    source = Source.of(str(path), tmp_path, path.name, Kind.SHARDED)
    place = Folder(tmp_path / "out")
    write(tmp_path / "out" / source.output, b"made")
    with Manifest(Path(":memory:")) as manifest:
        row = Row(source.output, str(path), "rules", "done", 0.1, output_size=4, output_digest="crc32:1")
        manifest.write(row.of(Stamp.at(path).named("sharded:1")))
        assert Record(manifest, place, "rules", resume=True).finished(source) is not None
        shard.write_bytes(b"two")
        assert Record(manifest, place, "rules", resume=True).finished(source) is None
        before = Stamp.at(path)
        shard.unlink()
        assert not before.still_holds(path)


def test_shards_are_no_sources_of_their_own(tmp_path):
    write_map(tmp_path / "a.weights.json", {"/vars": "a_00000.weights.h5"})
    for name in ("a_00000.weights.h5", "a_00001.weights.h5", "b_00000.weights.h5", "a.keras"):
        write(tmp_path / name, b"")
    found = find_sources(tmp_path, tmp_path / "out")
    assert [source.path.name for source in found] == [
        "a.keras",
        "a.weights.json",
        "b_00000.weights.h5",
    ]
    assert found[1].output == "a.weights.h5"


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"/vars": "../a_00000.weights.h5"}, "is no shard beside this file"),
        ({"/vars": "/etc/a_00000.weights.h5"}, "is no shard beside this file"),
        ({"/vars": ["a_00000.weights.h5", "passwd"]}, "is no shard beside this file"),
        ({"/vars": 3}, "is no shard beside this file"),
        ({}, "no 'weight_map'"),
        ([], "no 'weight_map'"),
        ({"/vars": "gone_00000.weights.h5"}, "cannot be opened"),
        ({"/vars": "link_00000.weights.h5"}, "leads out of"),
        ({"/vars": "text_00000.weights.h5"}, "text_00000"),
        ({"/vars": ["a_00000.weights.h5", "b_00000.weights.h5"]}, "is in another shard, too"),
    ],
)
def test_maps_that_are_refused(tmp_path, groups, reason):
    folder = tmp_path / "in"
    write(tmp_path / "elsewhere.h5")
    for name in ("a_00000", "b_00000"):
        write(folder / f"{name}.weights.h5", hdf5())
    write(folder / "text_00000.weights.h5", b"not HDF5" * 100)
    (folder / "link_00000.weights.h5").symlink_to(tmp_path / "elsewhere.h5")
    path = write_map(folder / "map.weights.json", groups)
    with pytest.raises(RefusedError, match=reason):
        inspect(path, Kind.SHARDED, root=folder)


def test_a_map_that_is_no_json(tmp_path):
    path = write(tmp_path / "map.weights.json", b"[" * 1000)
    with pytest.raises(RefusedError, match="nested deeper"):
        inspect(path, Kind.SHARDED)


def test_bare_shards_need_a_model(tmp_path):
    write(tmp_path / "in" / "a_00000.weights.h5", hdf5())
    write_map(tmp_path / "in" / "a.weights.json", {"/vars": "a_00000.weights.h5"})
    report = convert(tmp_path / "in", RULES, tmp_path / "out")
    assert [failure.cause for failure in report.failed] == ["refused"]
    assert "--model" in report.failed[0].reason


def test_shards_that_are_sound_are_one_model(tmp_path):
    sizes = {"a_00000.weights.h5": 2048, "b_00000.weights.h5": 4096}
    names = dict(zip(sizes, ("one", "two"), strict=True))
    for name, size in sizes.items():
        with h5py.File(tmp_path / name, "w") as file:
            file[f"layers/{names[name]}/vars/0"] = np.zeros(size // 4, "float32")
    path = write_map(tmp_path / "a.weights.json", dict(zip("ab", sizes, strict=True)))
    found = inspect(path, Kind.SHARDED)
    assert {d.path: (d.size, d.offset) for d in found.layout.datasets.values()} == {
        "layers/one/vars/0": (2048, None),
        "layers/two/vars/0": (4096, None),
    }


def test_a_map_has_a_budget_of_shards(tmp_path, monkeypatch):
    text = json.dumps({"weight_map": {"/vars": [f"a_{number:05}.weights.h5" for number in range(4)]}})
    monkeypatch.setattr(shards, "_MOST", 4)
    assert len(shards.shard_names(text.encode(), DEFAULT)) == 4
    monkeypatch.setattr(shards, "_MOST", 3)
    with pytest.raises(ValueError, match="4 shards, more than the 3 allowed"):
        shards.shard_names(text.encode(), DEFAULT)
