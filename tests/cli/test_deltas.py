"""`surgeon delta`: save, apply, remove and show, from file to file."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import surgeon as sg
from surgeon.cli.app import app
from tests import zoo
from tests.helpers import assert_same_weights, train_steps, weights_of


def run(*arguments: object, code: int = 0):
    """Run a command that ends with an exit code, and return what it printed."""
    result = CliRunner().invoke(app, ["delta", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def files(tmp_path):
    """A base, and two models that were made of it and trained in other rows."""
    base = zoo.mlp()
    base.save(tmp_path / "base.keras")
    for name, rows in {"one": [0, 1], "two": [3]}.items():
        rules = [sg.freeze("**"), sg.train("dense_1", kernel=sg.rows(rows))]
        tuned = sg.rewrite(base, rules, validate="none")
        train_steps(tuned, zoo.sample_inputs(tuned), steps=2)
        tuned.save(tmp_path / f"{name}.keras")
    return tmp_path


def values(path):
    return weights_of(sg.restore(keras.models.load_model(path)))


def test_deltas_are_saved_applied_and_removed_bit_for_bit(files):
    for name in ("one", "two"):
        run("save", files / f"{name}.keras", "-o", files / f"{name}.safetensors")
    one, two = files / "one.safetensors", files / "two.safetensors"
    run("apply", files / "base.keras", one, "-o", files / "with_one.keras")
    assert_same_weights(values(files / "one.keras"), values(files / "with_one.keras"))
    run("apply", files / "base.keras", one, two, "-o", files / "both.keras")
    kernels = {
        name: values(files / f"{name}.keras")["dense_1/kernel"] for name in ("base", "one", "two", "both")
    }
    assert np.array_equal(kernels["both"][:2], kernels["one"][:2])
    assert np.array_equal(kernels["both"][3], kernels["two"][3])
    assert not np.array_equal(kernels["both"], kernels["base"])

    # In any order, from a model that another one lies on, too.
    run("remove", files / "both.keras", two, "--base", files / "base.keras", "-o", files / "less.keras")
    assert_same_weights(values(files / "with_one.keras"), values(files / "less.keras"))
    run("remove", files / "both.keras", one, two, "-b", files / "base.keras", "-o", files / "none.keras")
    assert_same_weights(values(files / "base.keras"), values(files / "none.keras"))


def test_what_a_delta_holds_is_shown(files):
    said = json.loads(run("save", files / "one.keras", "-o", files / "d.safetensors", "--json").stdout)
    assert said["elements"] == 2 * 8
    kernel = {
        "shape": [6, 8],
        "dtype": "float32",
        "part": "2 of 6 along axis 0",
        "held": 16,
        "known_base": False,
    }
    assert said["weights"]["dense_1/kernel"] == kernel
    assert said["weights"]["head/bias"]["held"] == 0
    assert json.loads(run("show", files / "d.safetensors", "--json").stdout) == said
    text = run("show", files / "d.safetensors").stdout
    assert "dense_1/kernel" in text
    assert "6×8" in text
    assert "16 elements in 1 of 6 weights" in text
    assert "head/bias" not in text
    exact = ("save", files / "one.keras", "--base", files / "base.keras", "-o", files / "e.safetensors")
    weights = json.loads(run(*exact, "--json").stdout)["weights"]
    assert {path for path, row in weights.items() if row["held"]} == {"dense_1/kernel"}
    assert weights["dense_1/kernel"]["known_base"]


def test_bare_weights_need_the_model(files):
    keras.saving.load_model(files / "base.keras").save_weights(files / "base.weights.h5")
    run("save", files / "one.keras", "-o", files / "d.safetensors")
    bare, out = files / "base.weights.h5", files / "out.weights.h5"
    run("apply", bare, files / "d.safetensors", "-o", out, code=2)
    run("apply", bare, files / "d.safetensors", "-o", out, "--model", files / "base.keras")
    loaded = keras.saving.load_model(files / "base.keras")
    loaded.load_weights(out)
    assert_same_weights(values(files / "one.keras"), weights_of(loaded))


def test_what_does_not_fit_is_one_message_and_nothing_is_written(files):
    delta, out = files / "d.safetensors", files / "out.keras"
    run("save", files / "one.keras", "-o", delta)
    base = ("--base", files / "base.keras")
    content = delta.read_bytes()
    assert "exists; --force" in run("save", files / "one.keras", "-o", delta, code=2).output
    assert (
        "must end in .safetensors" in run("save", files / "one.keras", "-o", files / "d.bin", code=2).output
    )
    assert (
        "what is read here"
        in run("apply", files / "base.keras", delta, "-o", files / "base.keras", "--force", code=2).output
    )
    assert (
        "lies on 'mlp' already" in run("apply", files / "base.keras", delta, delta, "-o", out, code=1).stderr
    )
    changed = run("remove", files / "two.keras", delta, *base, "-o", out, code=1)
    assert "cannot be removed, its elements have changed" in changed.stderr
    assert "is not the base of" in run("apply", files / "two.keras", delta, "-o", out, code=1).stderr
    wrong = run("remove", files / "one.keras", delta, "--base", files / "two.keras", "-o", out, code=1)
    assert "is not the base of" in wrong.stderr
    itself = run("remove", files / "one.keras", delta, "--base", files / "one.keras", "-o", out, code=1)
    assert "lies on the base itself, and nothing would come off: give the model from" in itself.stderr
    delta.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "is not what was written" in run("show", delta, code=1).stderr
    assert not out.exists()
    assert (
        run("save", files / "base.keras", *base, "-o", files / "e.safetensors", code=1).stderr.count("\n")
        == 1
    )
    assert not (files / "e.safetensors").exists()
