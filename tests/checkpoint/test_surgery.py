"""What a worker does to a file, done here: convert, trace, name, compare."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest

from surgeon.checkpoint import conversion, convert, surgery
from surgeon.checkpoint.architecture import admit_architecture
from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.executor import execute
from surgeon.checkpoint.bytepath.opened import file_key, opened
from surgeon.checkpoint.bytepath.plan import BytePlan, Piece
from surgeon.checkpoint.bytepath.store import PlanStore
from surgeon.checkpoint.conversion import common_key
from surgeon.checkpoint.packing import pack_rules
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.surgery import Surgery
from surgeon.checkpoint.tracing import planner
from surgeon.checkpoint.tracing.planner import same_weights
from surgeon.checkpoint.tracing.solving import ComputesError
from surgeon.errors import CheckpointError
from surgeon.planning import make_plan
from surgeon.rules import freeze, replace, train
from surgeon.select import channels, elements

RULES = [freeze("*"), train("head", kernel=channels(1, by="magnitude"))]
pytestmark = pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")


def model(seed: int = 0, width: int = 5) -> Any:
    """Return a small compiled model."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [
            keras.Input((4,), name="x"),
            keras.layers.Dense(width, name="body"),
            keras.layers.Dense(2, name="head"),
        ],
        name="small",
    )
    made.compile("sgd", "mse")
    return made


def surgery_with(rules: Any = RULES, **options: Any) -> Surgery:
    return Surgery(pack_rules(rules), options.pop("architecture", None), (), **options)


def task(source: Path, output: Path, kind: Kind = Kind.KERAS, **more: Any) -> dict[str, Any]:
    return {"source": str(source), "kind": kind.value, "temp": str(output), **more}


def carry_out(plan: str, source: Path, kind: Kind, output: Path) -> None:
    """Do what the text of a byte plan says."""
    with opened(source, kind, None, DEFAULT) as (_, found), output.open("wb+") as target:
        assert found is not None
        execute(BytePlan.from_json(plan), found, target.fileno())


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("saved") / "a.keras"
    model().save(path)
    return path


def test_a_plan_and_names_are_made_and_the_plan_serves_another_file(saved, tmp_path):
    worker = surgery_with(names=True)
    made = worker.perform(task(saved, tmp_path / "out.keras", trace_as="key"))
    assert set(made["names"].values()) >= {"body/kernel", "head/bias"}
    assert made["replaced"] is False
    other, by_bytes, by_keras = tmp_path / "b.keras", tmp_path / "bytes.keras", tmp_path / "keras.keras"
    model(seed=1).save(other)
    carry_out(made["plan"], other, Kind.KERAS, by_bytes)
    worker.perform(task(other, by_keras))
    assert same_weights(by_bytes, by_keras, Kind.KERAS)
    assert worker.perform(task(other, by_bytes, compare=True)) == {"notes": []}
    with pytest.raises(CheckpointError, match="the byte path gives other weights than Keras"):
        worker.perform(task(other, tmp_path / "out.keras", compare=True))
    assert not list(tmp_path.glob("again-*"))


def test_sharded_weights_have_a_plan_too(saved, tmp_path, monkeypatch):
    source, kind = tmp_path / "a.weights.json", Kind.SHARDED
    model(3).save_weights(source, max_shard_size=100 / 2**30)
    assert len(list(tmp_path.glob("a_*.weights.h5"))) > 1
    worker = surgery_with(architecture=str(saved))
    common = common_key(RULES, admit_architecture(saved))
    with opened(source, kind, None, DEFAULT) as (_, found):
        assert found is not None
        key = file_key(found, kind, common)
    output, carried = tmp_path / "keras.weights.h5", tmp_path / "bytes.weights.h5"
    made = worker.perform(task(source, output, kind, trace_as=key))
    carry_out(made["plan"], source, kind, carried)
    assert carried.read_bytes() == output.read_bytes()
    assert worker.perform(task(source, carried, kind, compare=True)) == {"notes": []}
    # A run that has the plan asks no worker.
    PlanStore(tmp_path / "plans").add(BytePlan.from_json(made["plan"]))
    nobody = [sys.executable, "-c", "raise SystemExit('no worker is needed')"]
    monkeypatch.setattr(conversion, "worker_command", lambda: nobody)
    for _ in range(2):
        report = convert(source, RULES, tmp_path / "out", model=saved, plans=tmp_path / "plans")
        assert report.failed == ()
    assert len(report.skipped) == 1
    assert (tmp_path / "out" / "a.weights.h5").read_bytes() == output.read_bytes()


def test_plans_of_the_latest_architectures_are_kept(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(surgery, "_PLANS_KEPT", 1)
    worker, made = surgery_with(), []

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return make_plan(*arguments)

    monkeypatch.setattr(surgery, "make_plan", counted)
    other = tmp_path / "wider.keras"
    model(width=6).save(other)
    for path, planned in ((saved, 1), (saved, 1), (other, 2), (saved, 3)):
        worker.perform({**task(path, tmp_path / "unused"), "check": True})
        assert len(made) == planned


def test_an_archive_that_holds_a_layer_is_no_model(saved, tmp_path):
    path = tmp_path / "layer.keras"
    layer = keras.layers.Dense(2, name="alone")
    layer.build((None, 3))
    keras.saving.save_model(layer, path)
    with pytest.raises(CheckpointError, match="it holds a Dense, not a model"):
        surgery_with().perform({**task(path, tmp_path / "out"), "check": True})


def test_deflated_members_do_not_lie_as_they_are(saved, tmp_path):
    packed = tmp_path / "packed.keras"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ComputesError, match="its members are deflated"):
        same_weights(saved, packed, Kind.KERAS)
    made = surgery_with().perform(task(packed, tmp_path / "out.keras", trace_as="key"))
    assert made["computes"] == "its members are deflated"


def test_arrays_that_are_packed_have_no_plan(saved, tmp_path):
    bare = tmp_path / "a.weights.h5"
    model(3).save_weights(bare)
    with h5py.File(bare, "r+") as file:
        group = file["layers/dense/vars"]
        value = group["0"][()]
        del group["0"]
        group.create_dataset("0", data=value, compression="gzip")
    made = surgery_with(architecture=str(saved)).perform(
        task(bare, tmp_path / "out.weights.h5", Kind.WEIGHTS, trace_as="key")
    )
    assert made["computes"] == "layers/dense/vars/0 is not one range of bytes (chunked or compressed)"


def test_a_budget_over_several_weights_has_no_plan(saved, tmp_path):
    rules = [freeze("*"), train("*", kernel=elements(3, by="magnitude", over="model"))]
    made = surgery_with(rules).perform(task(saved, tmp_path / "out.keras", trace_as="key"))
    assert "looks at more than the values of" in made["computes"]


def looked_up(node: Any) -> Any:
    """Return the lookup of a layer with other words."""
    made = keras.layers.StringLookup(name=node.name)
    made.set_vocabulary(["c", "d"])
    return made


def test_a_vocabulary_that_a_rule_brings_has_no_plan(tmp_path):
    found = []
    for name in ("first", "second"):
        words = keras.Input((3,), dtype="string")
        lookup = keras.layers.StringLookup(name=name)
        lookup.set_vocabulary(["a", "b"])
        found.append((words, keras.layers.Embedding(4, 2)(lookup(words))))
    entries, ends = zip(*found, strict=True)
    keras.Model(entries, keras.layers.Add()(list(ends)), name="reader").save(tmp_path / "a.keras")
    made = surgery_with([replace("second", looked_up)]).perform(
        task(tmp_path / "a.keras", tmp_path / "out.keras", trace_as="k")
    )
    assert made["computes"] == "assets/layers/string_lookup_1/vocabulary.txt is not as it was in the source"


def test_a_plan_that_is_wrong_is_not_kept(saved, tmp_path, monkeypatch):
    """What the search for a plan gets wrong, its trial finds."""
    verify, reasons = planner._verify, []

    def tried(plan: BytePlan, *rest: Any) -> None:
        last = max(n for n, piece in enumerate(plan.pieces) if piece.kind == "raw")
        raw = Piece("raw", plan.pieces[last].size, bytes(plan.pieces[last].size))
        for wrong in (
            {"rest": "0" * 64},
            {"pieces": (*plan.pieces[:last], raw, *plan.pieces[last + 1 :])},
            {"pieces": plan.pieces[1:]},
            {
                "config": tuple(
                    p.replace("small", "large") if isinstance(p, str) else p for p in plan.config or ()
                )
            },
        ):
            with pytest.raises(ComputesError) as caught:
                verify(replaced(plan, **wrong), *rest)
            reasons.append(str(caught.value))
            rest[2].unlink(missing_ok=True)
        raise ComputesError("no more")

    monkeypatch.setattr(planner, "_verify", tried)
    made = surgery_with().perform(task(saved, tmp_path / "out.keras", trace_as="key"))
    assert reasons == [
        "the plan does not fit its own file",
        "carried out, the plan gives other bytes than Keras",
        "the plan cannot be carried out: the plan does not add up",
        "carried out, the plan gives another config than Keras",
    ]
    assert made["computes"] == "no more"
    assert "plan" not in made
