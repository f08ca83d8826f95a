"""Checkpoints that Keras wrote, through workers that run Keras."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np
import pytest

from surgeon.checkpoint import ConversionReport, Kind, convert
from surgeon.checkpoint.packing import pack_rules
from surgeon.checkpoint.surgery import Surgery
from surgeon.errors import NoMatchError
from surgeon.rules import Rule, freeze, train
from surgeon.select import channels, where
from tests.helpers import assert_same_outputs, assert_same_weights, weights_of

ROOT = Path(__file__).resolve().parents[2]
RULES = [
    freeze("conv"),
    freeze(where(lambda node: node.class_name == "BatchNormalization")),
    train("head", kernel=channels([0, 2])),
]
TRAINED = {"head/kernel": 2 * 288, "head/bias": 5}
pytestmark = pytest.mark.filterwarnings(
    # Keras says so of every compiled model that was saved before it was trained.
    "ignore:Skipping variable loading for optimizer"
)


class Run(NamedTuple):
    """One conversion, and the folders that it went through."""

    folder: Path
    out: Path
    stock: Path
    report: ConversionReport


def small_model(seed: int) -> Any:
    """Return a compiled model with weights of its own."""
    keras.utils.clear_session()  # as in a process of its own: Keras numbers the names that it makes up
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="picture"),
            keras.layers.Conv2D(8, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(5, name="head"),
        ],
        name="small",
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rewrite_member(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Change a member of an archive; the archive stays sound."""
    with zipfile.ZipFile(path) as file:
        content = {member: file.read(member) for member in file.namelist()}
    assert old in content[name]
    content[name] = content[name].replace(old, new)
    with zipfile.ZipFile(path, "w") as file:
        for member, data in content.items():
            file.writestr(member, data)


def flip_a_weight(path: Path) -> None:
    """Flip one bit of the last weights in an archive."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") - 2000
    data[at] ^= 16
    path.write_bytes(bytes(data))


def make_checkpoints(folder: Path) -> None:
    """Write 20 checkpoints of all kinds; three of them are damaged, each in another way."""
    (folder / "epochs").mkdir(parents=True)
    for seed in range(12):
        small_model(seed).save(folder / "epochs" / f"{seed:02}.keras")
    for seed in range(3):
        small_model(20 + seed).save_weights(folder / f"bare_{seed}.weights.h5")
    for seed, loss in enumerate((None, "mse")):
        legacy = small_model(30 + seed)
        legacy.compile("adam", loss)
        legacy.save(folder / f"legacy_{seed}.h5")
    for name in ("cut", "flipped", "unknown"):
        small_model(40).save(folder / f"{name}.keras")
    cut = folder / "cut.keras"
    cut.write_bytes(cut.read_bytes()[:-1000])
    flip_a_weight(folder / "flipped.keras")
    rewrite_member(folder / "unknown.keras", "config.json", b'"Conv2D"', b'"Conv2E"')


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """Convert 20 checkpoints, three of them damaged; most tests here look at this one run."""
    base = tmp_path_factory.mktemp("fleet")
    folder, out, stock = base / "in", base / "out", base / "stock.keras"
    make_checkpoints(folder)
    small_model(99).save(stock)
    before = contents(folder)
    report = convert(folder, RULES, out, model=stock, workers=2)
    assert contents(folder) == before
    return Run(folder, out, stock, report)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder, Surgeon's own left out."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".surgeon" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def trained_elements(model: Any) -> dict[str, int]:
    """Return the sizes of what an optimizer sees, by layer and weight."""
    sizes = [(variable.path.split("/"), variable.shape) for variable in model.trainable_variables]
    return {f"{path[-2]}/{path[-1]}": int(np.prod(shape)) for path, shape in sizes}


def load_pair(run: Run, name: str) -> tuple[Any, Any]:
    """Return the stock model of a source and the model of its output."""
    path = run.out / name
    if not name.endswith(".weights.h5"):
        source = run.folder / name
        legacy = not source.exists()
        source = source.with_suffix(".h5") if legacy else source
        stock = keras.saving.load_model(source, compile=not legacy)
        return stock, keras.saving.load_model(path, compile=not legacy)
    # Bare weights of a rewritten model go into the stock model by plain Keras.
    old, new = keras.saving.load_model(run.stock), keras.saving.load_model(run.stock)
    old.load_weights(run.folder / name)
    new.load_weights(path)
    return old, new


def test_17_are_converted_and_3_have_a_reason(run):
    assert len(run.report.converted) == 17
    reasons = {Path(failure.source).name: (failure.cause, failure.reason) for failure in run.report.failed}
    assert sorted(reasons) == ["cut.keras", "flipped.keras", "unknown.keras"]
    assert reasons["cut.keras"][0] == reasons["flipped.keras"][0] == "refused"
    assert "not a readable zip archive" in reasons["cut.keras"][1]
    assert reasons["flipped.keras"][1].startswith("member 'model.weights.h5' is damaged: Bad CRC")
    assert reasons["unknown.keras"][0] == "error"
    assert "Conv2E" in reasons["unknown.keras"][1]
    assert run.report.exit_code == 1


def test_nothing_else_is_written(run):
    expected = {name.replace("legacy_0.h5", "legacy_0.keras") for name in contents(run.folder)}
    expected = {name.replace("legacy_1.h5", "legacy_1.keras") for name in expected}
    assert set(contents(run.out)) == expected - {"cut.keras", "flipped.keras", "unknown.keras"}
    assert not list((run.out / ".surgeon").glob("tmp/*"))


def test_outputs_load_with_the_same_numbers_and_train_what_was_asked(run):
    picture = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    for name in sorted(contents(run.out)):
        stock, converted = load_pair(run, name)
        assert_same_outputs(stock(picture, training=False), converted(picture, training=False))
        if not name.endswith(".weights.h5"):
            sizes = trained_elements(converted)
            assert sum(sizes.values()) == sum(TRAINED.values()), name
            assert converted.compiled == stock.compiled
        else:
            assert_same_weights(weights_of(stock), weights_of(converted))


def test_bare_outputs_load_into_a_rewritten_model(run):
    rewritten = keras.saving.load_model(run.out / "epochs" / "00.keras")
    rewritten.load_weights(run.out / "bare_1.weights.h5")
    stock = keras.saving.load_model(run.stock)
    stock.load_weights(run.folder / "bare_1.weights.h5")
    picture = np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype("float32")
    assert_same_outputs(stock(picture, training=False), rewritten(picture, training=False))


def test_what_keras_cannot_read_of_a_legacy_file_is_noted(run):
    notes = {Path(done.source).name: done.notes for done in run.report.converted}
    assert notes["legacy_1.h5"][0].startswith("loss, metrics and optimizer are dropped")
    dropped = {
        name: [text for text in texts if not text.startswith("loaded and saved")]
        for name, texts in notes.items()
    }
    assert {name for name, texts in dropped.items() if texts} == {"legacy_1.h5"}


def test_the_report_names_sizes_and_digests(run):
    data = json.loads(run.report.to_json())
    assert data["totals"] == {"converted": 17, "skipped": 0, "failed": 3}
    assert data["causes"] == {"refused": 2, "error": 1}
    for row in data["files"]:
        if row["state"] == "converted":
            assert Path(row["output"]).stat().st_size == row["size"]


def test_a_second_run_skips_what_is_done(run):
    before = contents(run.out)
    again = convert(run.folder, RULES, run.out, model=run.stock, pattern="*[!n].*")
    assert len(again.converted) == 0
    assert len(again.skipped) == 17
    assert contents(run.out) == before


@pytest.mark.slow
def test_a_model_and_its_json_say_the_same_as_its_file(run, tmp_path):
    source = run.folder / "bare_0.weights.h5"
    reports = [convert(source, RULES, tmp_path / "live", model=small_model(1))]
    described = tmp_path / "model.json"
    described.write_text(small_model(2).to_json())
    reports.append(convert(source, RULES, tmp_path / "json", model=described))
    assert [str(report.failed) for report in reports] == ["()", "()"]
    with (
        h5py.File(tmp_path / "live" / source.name) as live,
        h5py.File(tmp_path / "json" / source.name) as from_json,
    ):
        names: list[str] = []
        live.visit(names.append)
        arrays = [name for name in names if isinstance(live[name], h5py.Dataset)]
        assert arrays
        assert all(np.array_equal(live[name][()], from_json[name][()]) for name in arrays)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (freeze("konv"), "no layer matches 'konv'; close: 'conv'"),
        pytest.param(freeze("conv", "kernal"), "kernal", marks=pytest.mark.slow),
    ],
)
def test_a_rule_that_does_not_fit_is_each_files_failure(run, tmp_path, rule: Rule, reason):
    report = convert(run.folder / "epochs" / "00.keras", [rule], tmp_path / "out")
    assert [failure.cause for failure in report.failed] == ["error"]
    assert reason in report.failed[0].reason


@pytest.mark.slow
def test_a_dry_run_finds_a_misspelt_layer_and_all_that_is_wrong_with_files(run, tmp_path):
    report = convert(run.folder, [freeze("konv")], tmp_path / "none", model=run.stock, dry_run=True)
    assert not (tmp_path / "none").exists()
    assert report.outcomes == report.failed
    by_reason = {reason: {Path(name).name for name in names} for (_, reason), names in report.reasons.items()}
    (misfits,) = (names for reason, names in by_reason.items() if "no layer matches 'konv'" in reason)
    alone = {"cut.keras", "flipped.keras", "unknown.keras"}
    assert misfits == {Path(failed.source).name for failed in report.failed} - alone
    assert len(misfits) == 17


def test_a_worker_says_whether_rules_fit_and_writes_nothing(tmp_path):
    path = tmp_path / "a.keras"
    small_model(0).save(path)
    task = {"check": True, "source": str(path), "kind": Kind.KERAS.value}
    assert Surgery(pack_rules(RULES), None, ()).perform(task) == {}
    with pytest.raises(NoMatchError, match="no layer matches 'konv'; close: 'conv'"):
        Surgery(pack_rules([freeze("konv")]), None, ()).perform(task)
    assert [file.name for file in tmp_path.iterdir()] == ["a.keras"]


@pytest.mark.slow
def test_a_dry_run_of_rules_that_fit_plans_what_the_run_does(run, tmp_path):
    rehearsed = convert(run.folder, RULES, tmp_path / "none", model=run.stock, dry_run=True)
    assert not (tmp_path / "none").exists()
    assert {planned.source for planned in rehearsed.planned} == {done.source for done in run.report.converted}
    assert "small (Sequential), 4 layers, 1,557 weights" in rehearsed.models.values()
    models = {Path(done.source).name: done.model for done in run.report.converted}
    assert models == {Path(planned.source).name: planned.model for planned in rehearsed.planned}
    assert models["00.keras"] == "small (Sequential), 4 layers, 1,557 weights"
    assert models["bare_0.weights.h5"] == "8 arrays, 1,557 weights"


def test_a_killed_command_is_finished_by_the_next(run, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- freeze: conv\n")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "surgeon.cli", "convert", run.folder / "epochs", "-r", rules, "-o", out]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.keras"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    done = contents(out)
    assert 3 <= len(done) < 12
    for name in done:
        keras.saving.load_model(out / name)

    finished = subprocess.run(
        [*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    totals = json.loads(finished.stdout)["totals"]
    assert totals == {"converted": 12 - len(done), "skipped": len(done), "failed": 0}
    assert {name: data for name, data in contents(out).items() if name in done} == done


def test_a_strict_run_looks_at_arrays_that_were_compressed(tmp_path):
    model = small_model(0)
    model.get_layer("head").kernel.assign(np.full((288, 5), np.nan))
    plain, packed = tmp_path / "plain.weights.h5", tmp_path / "in" / "packed.weights.h5"
    model.save_weights(plain)
    packed.parent.mkdir()
    with h5py.File(plain) as read, h5py.File(packed, "w") as written:

        def repack(name: str, item: Any) -> None:
            made = (
                written.require_group(name)
                if isinstance(item, h5py.Group)
                else written.create_dataset(
                    name, data=item[()], **({"compression": "gzip"} if item.shape else {})
                )
            )
            made.attrs.update(item.attrs)

        read.visititems(repack)
    (failed,) = convert(packed, RULES, tmp_path / "out", model=model, strict=True).failed
    assert (failed.cause, failed.reason.partition(" in ")[0]) == ("refused", "NaN or infinite values")
    assert not (tmp_path / "out" / "packed.weights.h5").exists()
