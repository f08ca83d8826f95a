"""Weights as safetensors: every bit of them, under names that say what they are."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers
from safetensors import safe_open
from safetensors.numpy import load_file
from typer.testing import CliRunner

from surgeon.checkpoint import Failed, Planned, Skipped, convert
from surgeon.checkpoint.safetensors_out import write_safetensors
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.tracing.naming import array_names
from surgeon.cli.app import app
from surgeon.paths import join, weights
from surgeon.rules import freeze, train
from surgeon.select import channels
from tests.checkpoint.archives import archive, assert_recorded, members, write


def read_hdf5(data: bytes) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda path, item: found.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def test_without_names_arrays_are_called_as_in_the_file(tmp_path, fake_workers):
    """A worker that knows no names; big arrays and small, of several dtypes."""
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = rng.normal(size=(700, 1001)).astype("float32")
        file["layers/dense/vars/1"] = rng.normal(size=3).astype("float16")
        file["layers/seed/vars/0"] = np.array([1, 2], "uint32")
        file["layers/flag/vars/0"] = np.array([True, False])
        file["layers/nothing/vars/0"] = np.zeros((0, 3), "int64")
        file["layers/one/vars/0"] = np.float64(0.1)
        file["optimizer/vars/0"] = np.array(7, "int32")
        file["layers/dense/surgeon_state/vars/kernel"] = np.array([3], "int32")
    data = buffer.getvalue()
    write(tmp_path / "in" / "a.keras", archive({**members(), "model.weights.h5": data}))
    write(tmp_path / "in" / "odd.keras", archive({**members(), "model.weights.h5": big_endian()}))
    report = convert(tmp_path / "in", [], tmp_path / "out", to="safetensors")
    assert [Path(done.output).name for done in report.converted] == ["a.safetensors"]
    assert isinstance(report.failed[0], Failed)
    made = load_file(tmp_path / "out" / "a.safetensors")
    expected = {
        path: v for path, v in read_hdf5(data).items() if path.startswith("layers/") and "_state" not in path
    }
    assert made.keys() == expected.keys()
    for name, values in expected.items():
        assert made[name].dtype == values.dtype
        assert made[name].shape == values.shape
        assert made[name].tobytes() == values.tobytes()
    with safe_open(tmp_path / "out" / "a.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "keras"}
    assert assert_recorded(tmp_path / "out") == {"crc32"}
    assert len(convert(tmp_path / "in" / "a.keras", [], tmp_path / "out", to="safetensors").skipped) == 1
    assert not list((tmp_path / "out" / ".surgeon").glob("tmp/*"))
    # The same folder can hold both.
    assert len(convert(tmp_path / "in" / "a.keras", [], tmp_path / "out").converted) == 1


def big_endian() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = np.ones(8, ">f4")
    return buffer.getvalue()


def test_a_kind_of_output_that_there_is_not(tmp_path):
    write(tmp_path / "a.keras")
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []\n")
    done = CliRunner().invoke(app, ["convert", str(tmp_path), "-r", str(rules), "-o", "out", "--to", "onnx"])
    assert done.exit_code == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_each_array_gets_the_name_of_its_weight(tmp_path, dtype):
    """Small weights and large, nested models, one layer twice, state that is no parameter."""
    inside = keras.Sequential([keras.Input((20,)), layers.Dense(300, name="wide")], name="inside")
    shared = layers.Dense(20, name="shared", dtype=dtype)
    x = entry = keras.Input((20,))
    x = layers.BatchNormalization(name="norm")(shared(shared(x)))
    x = layers.Dropout(0.5, name="drop")(inside(x))
    outputs = layers.Dense(1, name="one")(x), layers.Dense(3, name="three", use_bias=False)(x)
    model = keras.Model(entry, outputs)
    expected = {
        join(path, name): keras.ops.convert_to_numpy(variable.value)
        for path, name, _, variable in weights(model)
    }
    model.save_weights(tmp_path / "real.weights.h5")
    names = array_names(model, tmp_path)
    arrays = read_hdf5((tmp_path / "real.weights.h5").read_bytes())
    assert {"shared/kernel", "norm/moving_mean", "inside/wide/bias", "one/bias", "three/kernel"} <= set(
        names.values()
    )
    assert names.keys() == arrays.keys()
    for path, name in names.items():
        assert arrays[path].tobytes() == expected[name].tobytes()
    assert [file.name for file in tmp_path.iterdir()] == ["real.weights.h5"]


def test_what_cannot_be_written_as_safetensors(tmp_path):
    def written(data: bytes, names: dict[str, str], kind: Kind = Kind.WEIGHTS) -> dict[str, np.ndarray]:
        target = tmp_path / "out.safetensors"
        target.unlink(missing_ok=True)
        suffix = kind.value
        size, _ = write_safetensors(write(tmp_path / f"a{suffix}", data), kind, names, target, sync=False)
        assert target.stat().st_size == size
        return load_file(target)

    def two(**options: object) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file.create_dataset("layers/a/vars/0", data=np.arange(4, dtype="float32"), **options)
            file["layers/b/vars/0"] = np.array([1, 2], ml_dtypes.bfloat16).view("V2")
        return buffer.getvalue()

    made = written(two(), {"layers/a/vars/0": "a/kernel"})
    assert made["a/kernel"].tolist() == [0, 1, 2, 3]
    assert made["layers/b/vars/0"].dtype == ml_dtypes.bfloat16
    with pytest.raises(ValueError, match="two arrays would be called 'same'"):
        written(two(), {f"layers/{name}/vars/0": "same" for name in "ab"})
    with pytest.raises(ValueError, match="layers/a/vars/0 is not one range of bytes"):
        written(two(chunks=(2,), compression="gzip"), {})
    with pytest.raises(ValueError, match="its members are deflated"):
        written(archive(members(), zipfile.ZIP_DEFLATED), {}, Kind.KERAS)


@pytest.mark.slow
def test_models_become_safetensors_by_both_ways_and_a_dry_run_foretells_them(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        keras.utils.set_random_seed(number)
        stack = [keras.Input((40,)), layers.Dense(500, name="body"), layers.BatchNormalization(name="norm")]
        if number == 3:
            stack.insert(1, layers.Dense(40, name="neck", dtype="bfloat16"))
        model = keras.Sequential([*stack, layers.Dense(3, name="head")], name="net")
        model.compile("adam", "mse")
        model.fit(keras.random.normal((4, 40)), keras.random.normal((4, 3)), verbose=0)
        model.save(folder / f"{number}.keras")
        keras.utils.clear_session()
    rules = [freeze("*"), train("head", kernel=channels(1, by="magnitude"))]
    foretold = convert(folder, rules, tmp_path / "bytes", to="safetensors", dry_run=True)
    assert all(isinstance(outcome, Planned) for outcome in foretold.outcomes)
    moved = convert(folder, rules, tmp_path / "bytes", to="safetensors")
    assert foretold.architectures == moved.architectures
    assert sum(how["bytes"] for how in moved.architectures.values()) == 4, moved.to_json()
    convert(folder, rules, tmp_path / "keras", to="safetensors", move_bytes=False)
    again = convert(folder, rules, tmp_path / "bytes", to="safetensors")
    assert all(isinstance(outcome, Skipped) for outcome in again.outcomes)
    for number in range(4):
        one, other = (tmp_path / way / f"{number}.safetensors" for way in ("bytes", "keras"))
        assert one.read_bytes() == other.read_bytes()
        model = keras.saving.load_model(folder / f"{number}.keras")
        expected = {
            join(path, name): keras.ops.convert_to_numpy(variable.value)
            for path, name, _, variable in weights(model)
        }
        made = load_file(one)
        assert made.keys() == expected.keys()
        for name, values in expected.items():
            assert made[name].tobytes() == values.tobytes()
        if number == 3:
            assert made["neck/kernel"].dtype == ml_dtypes.bfloat16
        keras.utils.clear_session()
    assert Kind.of("a.safetensors") is None
