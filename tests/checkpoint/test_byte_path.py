"""What the byte path writes is what Keras writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from surgeon.checkpoint import ConversionReport, convert
from surgeon.checkpoint.bytepath.plan import BytePlan
from surgeon.checkpoint.manifest import Manifest
from surgeon.rules import freeze, replace, train
from surgeon.select import channels, elements, rows
from tests.checkpoint.archives import assert_recorded
from tests.helpers import (
    assert_same_outputs,
    assert_same_weights,
    same_bits,
    to_numpy,
    train_steps,
    weights_of,
)

ROOT = Path(__file__).resolve().parents[2]
RULES = [
    freeze("conv"),
    train("hidden", kernel=channels(0.25, by="magnitude"), bias=elements(3, by="magnitude")),
    train("head", kernel=rows([0, 5]), bias=channels(2, by="random", seed=3)),
]
pytestmark = pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")


def model(seed: int, rate: float | None = None, steps: int = 0) -> Any:
    """Return a small model, compiled if it has a learning rate, and trained for some steps."""
    # As in a process of its own: Keras numbers the names that it makes up.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [
            keras.Input((6, 6, 2), name="picture"),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(12, activation="relu", name="hidden"),
            keras.layers.Dropout(0.1, name="drop"),
            keras.layers.Dense(3, name="head"),
        ],
        name="small",
    )
    if steps:
        x = np.random.default_rng(seed).normal(size=(8, 6, 6, 2)).astype("float32")
        train_steps(made, x, optimizer=keras.optimizers.Adam(rate), steps=steps)
    elif rate:
        made.compile(keras.optimizers.Adam(rate), "mse")
    return made


class Both(NamedTuple):
    """One folder, converted by both paths."""

    folder: Path
    moved: Path
    saved: Path
    by_bytes: ConversionReport
    by_keras: ConversionReport
    stock: Path


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Both:
    base = tmp_path_factory.mktemp("both")
    folder, stock = base / "in", base / "stock.keras"
    folder.mkdir()
    for seed, rate in enumerate((0.01, 0.002)):
        model(seed, rate, steps=2).save(folder / f"trained_{seed}.keras")
        model(seed).save(folder / f"plain_{seed}.keras")
        model(seed, rate).save(folder / f"compiled_{seed}.keras")
        model(10 + seed).save_weights(folder / f"bare_{seed}.weights.h5")
        model(20 + seed).save(folder / f"legacy_{seed}.h5")
    model(99).save(stock)
    by_bytes = convert(folder, RULES, base / "moved", model=stock)
    by_keras = convert(folder, RULES, base / "saved", model=stock, move_bytes=False)
    return Both(folder, base / "moved", base / "saved", by_bytes, by_keras, stock)


def test_files_that_keras_converts_tell_their_architecture_too(both):
    names = {Path(done.source).name: done.architecture for done in both.by_keras.converted}
    assert len(names) == 10
    # With or without an optimizer, the model is the same; a legacy file names its arrays in another way.
    assert len({name for file, name in names.items() if not file.startswith("legacy")}) == 1
    assert len(set(names.values())) == 2
    assert "" not in names.values()


def weights_member(path: Path) -> bytes:
    """Return the HDF5 part of a checkpoint."""
    if path.suffix == ".h5":
        return path.read_bytes()
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return file.read("model.weights.h5")


def config(path: Path) -> Any:
    """Return the config of an archive without the addresses in it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items() if key != "shared_object_id"}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    with zipfile.ZipFile(path) as file:
        return plain(json.loads(file.read("config.json")))


def test_all_files_go_the_way_that_was_asked_for(both):
    assert both.by_bytes.failed == both.by_keras.failed == ()
    assert {done.how for done in both.by_bytes.converted} == {"bytes"}
    assert {done.how for done in both.by_keras.converted} == {"keras"}
    assert len(both.by_bytes.converted) == 10
    # Two learning rates are no two architectures.
    assert len(list((both.moved / ".surgeon" / "plans").glob("*.json"))) == 5


def test_the_weights_are_those_that_keras_writes_byte_for_byte(both):
    for path in sorted(both.saved.iterdir()):
        if path.is_file():
            assert weights_member(both.moved / path.name) == weights_member(path), path.name


def test_the_configs_say_the_same(both):
    for path in sorted(both.saved.glob("*.keras")):
        assert config(both.moved / path.name) == config(path), path.name


def test_outputs_load_predict_and_go_on_training_alike(both):
    x = np.random.default_rng(5).normal(size=(2, 6, 6, 2)).astype("float32")
    for name in ("trained_1.keras", "compiled_1.keras", "plain_1.keras"):
        source, moved, saved = (
            keras.saving.load_model(p / name) for p in (both.folder, both.moved, both.saved)
        )
        assert_same_outputs(source(x, training=False), moved(x, training=False))
        assert_same_weights(weights_of(saved), weights_of(moved))
        if source.compiled:
            assert float(moved.optimizer.learning_rate) == float(source.optimizer.learning_rate)
            pairs = zip(saved.optimizer.variables, moved.optimizer.variables, strict=True)
            assert all(same_bits(to_numpy(one), to_numpy(other)) for one, other in pairs)


def test_only_checksums_that_there_are_were_verified(both):
    for done in both.by_bytes.converted:
        assert done.verified == done.source.endswith(".keras")


def test_the_manifest_names_the_content_of_each_output(both):
    assert assert_recorded(both.moved) == {"members", "crc32"}
    assert assert_recorded(both.saved) == {"sha256"}
    with Manifest(both.moved / ".surgeon" / "manifest.sqlite") as manifest:
        told = {Path(done.output).name: done.digest for done in both.by_bytes.converted}
        assert told == {output: row.output_digest for output, row in manifest.rows().items()}


SCRIPT = """
import sys
from surgeon.checkpoint import conversion, convert
from surgeon.rules import load_rules
conversion.worker_command = lambda: [sys.executable, "-c", "raise SystemExit('no worker is needed')"]
report = convert(sys.argv[1], sys.argv[2], sys.argv[3], plans=sys.argv[4], workers=2)
assert len(report.converted) == 2, report
assert not {"keras", "tensorflow", "h5py"} & set(sys.modules)
"""


def test_plans_serve_further_runs_without_keras_and_give_the_same_bytes(both, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- freeze: conv\n- train: hidden\n  kernel: {channels: 0.25, by: magnitude}\n")
    folder, plans = tmp_path / "in", tmp_path / "plans"
    folder.mkdir()
    for path in both.folder.glob("trained_*.keras"):
        shutil.copy(path, folder)
    assert len(convert(folder, rules, tmp_path / "first", plans=plans).converted) == 2
    command = [sys.executable, "-c", SCRIPT, folder, rules, tmp_path / "second", plans]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "first").glob("*.keras"):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def run_again(both: Both, sources: Any, out: Path, **options: Any) -> ConversionReport:
    """Convert with the plans that there are."""
    return convert(sources, RULES, out, model=both.stock, plans=both.moved / ".surgeon" / "plans", **options)


def test_a_flipped_bit_anywhere_in_the_weights_is_found(both, tmp_path):
    data = (both.folder / "trained_0.keras").read_bytes()
    begin = data.index(b"\x89HDF")
    for number, at in enumerate(np.linspace(begin + 9000, data.index(b"PK\x01\x02") - 100, 12).astype(int)):
        damaged = bytearray(data)
        damaged[at] ^= 1
        (tmp_path / f"{number}.keras").write_bytes(bytes(damaged))
    report = run_again(both, tmp_path, tmp_path / "out")
    assert len(report.failed) == 12
    assert all(failure.cause == "refused" and "Bad CRC" in failure.reason for failure in report.failed)
    assert not list((tmp_path / "out").glob("*.keras"))


def test_values_that_are_not_finite_are_noted_or_refused(both, tmp_path):
    broken = model(7)
    kernel, bias = broken.get_layer("head").get_weights()
    kernel[1, 1] = np.nan
    broken.get_layer("head").set_weights([kernel, bias])
    broken.save(tmp_path / "nan.keras")
    for trust in (False, True):
        report = run_again(both, tmp_path / "nan.keras", tmp_path / f"out{trust}", trust_source=trust)
        noted = any(
            "NaN or infinite values in layers/dense_1/vars/0" in note for note in report.converted[0].notes
        )
        assert noted is not trust
    refused = run_again(both, tmp_path / "nan.keras", tmp_path / "strict", strict=True)
    assert [failure.cause for failure in refused.failed] == ["refused"]


def test_a_criterion_that_cannot_order_the_values_fails_the_file(both, tmp_path):
    broken = model(7)
    kernel, bias = broken.get_layer("hidden").get_weights()
    broken.get_layer("hidden").set_weights([kernel * np.inf, bias])
    broken.save(tmp_path / "inf.keras")
    report = run_again(both, tmp_path / "inf.keras", tmp_path / "out")
    assert [failure.cause for failure in report.failed] == ["error"]
    assert "NaN or infinite" in report.failed[0].reason


def test_trusted_sources_and_files_named_by_sha256_give_the_same_bytes(both, tmp_path):
    for options in ({"trust_source": True}, {"sha256": True}, {"sync": False}):
        out = tmp_path / next(iter(options))
        run_again(both, both.folder, out, **options)
        for path in (p for p in both.moved.iterdir() if p.is_file()):
            assert (out / path.name).read_bytes() == path.read_bytes()
        assert assert_recorded(out) == ({"sha256"} if "sha256" in options else {"members", "crc32"})
        assert len(run_again(both, both.folder, out, **options).skipped) == 10
        bare = out / "bare_0.weights.h5"
        changed = bytearray(bare.read_bytes())
        changed[-1] ^= 1
        bare.write_bytes(changed)
        again = run_again(both, both.folder, out, resume=False, **options)
        assert [(failed.output, failed.cause) for failed in again.failed] == [(str(bare), "exists")]
        assert len(again.converted) == 9


@pytest.mark.slow
def test_the_optimizer_is_left_out_where_that_is_asked_for(both, tmp_path):
    sources = [both.folder / f"trained_{number}.keras" for number in range(2)]
    moved = convert(sources, RULES, tmp_path / "moved", drop_optimizer=True)
    saved = convert(sources, RULES, tmp_path / "saved", drop_optimizer=True, move_bytes=False)
    assert [done.how for done in moved.converted] == ["bytes", "bytes"]
    x = np.random.default_rng(5).normal(size=(2, 6, 6, 2)).astype("float32")
    for source in sources:
        output = tmp_path / "moved" / source.name
        assert weights_member(output) == weights_member(tmp_path / "saved" / source.name)
        assert output.stat().st_size < (both.moved / source.name).stat().st_size - 8000
        loaded = keras.saving.load_model(output)
        assert not loaded.compiled
        assert_same_outputs(keras.saving.load_model(source)(x, training=False), loaded(x, training=False))
    for done in (*moved.converted, *saved.converted):
        assert "the optimizer, its state, loss and metrics are left out, as asked" in done.notes
    # With other settings, what was done before does not count.
    assert (
        len(convert(sources, RULES, tmp_path / "moved", plans=both.moved / ".surgeon/plans").converted) == 2
    )


@pytest.mark.slow
def test_verify_finds_a_plan_that_is_wrong(both, tmp_path):
    source = both.folder / "plain_0.keras"
    assert run_again(both, source, tmp_path / "good", verify=1).failed == ()
    plans = tmp_path / "plans"
    shutil.copytree(both.moved / ".surgeon" / "plans", plans)
    for path in plans.glob("*.json"):
        plan = json.loads(path.read_text())
        copies = [piece for piece in plan["pieces"] if piece[0] == "copy"]
        moved = [piece for piece in copies if piece[3].endswith("batch_normalization/vars/0")]
        for piece in moved:
            piece[3] = piece[3][:-1] + "1"
        path.write_text(json.dumps(plan))
    out = tmp_path / "wrong"
    report = convert(source, RULES, out, model=both.stock, plans=plans, verify=1)
    assert [failure.reason for failure in report.failed] == ["the byte path gives other weights than Keras"]
    assert not list(out.glob("*.keras"))


def doubled(node: Any) -> Any:
    """Return a layer whose weights are computed from another's."""
    made = keras.layers.Dense(3, name=node.name)
    made.build((None, 12))
    kernel, bias = node.layer.get_weights()
    made.set_weights([kernel * 2, bias])
    return made


def test_rules_that_compute_go_through_keras_and_say_so(both, tmp_path):
    sources = [both.folder / f"plain_{number}.keras" for number in range(2)]
    report = convert(sources, [replace("head", doubled)], tmp_path / "out")
    assert report.failed == ()
    for source, done in zip(sources, report.converted, strict=True):
        assert done.how == "keras"
        assert "a rule or a layer computes it" in done.notes[-1]
        before, after = (keras.saving.load_model(p).get_layer("head").kernel for p in (source, done.output))
        assert same_bits(to_numpy(before) * 2, to_numpy(after))


def test_arrays_that_the_model_does_not_have(both, tmp_path):
    import h5py

    def extra(file: Any) -> None:
        file["layers/dense_7/vars/0"] = np.zeros(3, "float32")

    def missing(file: Any) -> None:
        del file["layers/dense/vars/1"]

    def shape(file: Any) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = np.zeros(13, "float32")

    def wide(file: Any) -> None:
        value = file["layers/dense/vars/1"][()]
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = value.astype("float64")

    changes = {"extra": extra, "missing": missing, "shape": shape, "wide": wide}
    for name, change in changes.items():
        shutil.copy(both.folder / "bare_0.weights.h5", tmp_path / f"{name}.weights.h5")
        with h5py.File(tmp_path / f"{name}.weights.h5", "r+") as file:
            change(file)
    report = run_again(both, tmp_path, tmp_path / "out")
    reasons = {Path(failure.source).name.partition(".")[0]: failure.reason for failure in report.failed}
    assert set(reasons) == set(changes)
    assert reasons["extra"] == "layers/dense_7/vars/0 is no array of this model"
    assert reasons["wide"] == "layers/dense/vars/1 is <f8 where the model has <f4"


def test_a_plan_is_data(both):
    for path in (both.moved / ".surgeon" / "plans").glob("*.json"):
        plan = BytePlan.from_json(path.read_text())
        assert json.loads(plan.to_json()) == json.loads(path.read_text())
