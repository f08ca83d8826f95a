"""The commands on a real model, from looking at it to taking the rewrite back."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import surgeon as sg
from surgeon.cli.app import app
from surgeon.errors import SurgeonError
from tests import zoo
from tests.helpers import assert_same_outputs

ROOT = Path(__file__).resolve().parents[2]
RULES = """
rules:
- freeze: dense_1
- train: head
  kernel: {channels: [0]}
"""


def run(*arguments: object, code: int = 0):
    """Run a command that ends with an exit code, and return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.keras"
    zoo.mlp().save(path)
    return path


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def test_inspect_counts_every_weight(model):
    data = json.loads(run("inspect", model, "--json").stdout)
    assert data["totals"] == {"trainable": 6 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3, "frozen": 0, "state": 0}
    assert [layer["path"] for layer in data["layers"]][-3:] == ["dense_1", "dense_2", "head"]
    table = run("inspect", model).stdout
    assert "kernel 6×8" in table
    assert "155" in table


def test_inspect_of_bare_weights_needs_the_model(model, tmp_path):
    bare = tmp_path / "bare.weights.h5"
    keras.saving.load_model(model).save_weights(bare)
    run("inspect", bare, code=2)
    assert json.loads(run("inspect", bare, "--model", model, "--json").stdout)["totals"]["trainable"] == 155


def test_rewrite_and_restore_are_a_round_trip(model, rules, tmp_path):
    tuned, plain, picture = (
        tmp_path / "new" / "tuned.keras",
        tmp_path / "plain.keras",
        tmp_path / "change.svg",
    )
    result = run("rewrite", model, "--rules", rules, "-o", tuned, "--diagram", picture)
    assert result.stdout == ""
    assert "<svg" in picture.read_text()
    totals = json.loads(run("inspect", tuned, "--json").stdout)["totals"]
    assert totals["frozen"] == 6 * 8 + 8 + 2 * 8
    assert totals["trainable"] == 155 - totals["frozen"]
    shown = run("inspect", tuned).stdout
    assert "kernel 8×3 (33.3% trains)" in shown
    assert "kernel 6×8 (frozen)" in shown
    assert "kernel 8×8 (" not in shown

    assert "is written as it was" not in run("restore", tuned, "-o", plain).stderr
    assert "is written as it was" in run("restore", plain, "-o", tmp_path / "again" / "m.keras").stderr
    assert {type(layer) for layer in keras.saving.load_model(plain).layers} == {keras.layers.Dense}
    features = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    outputs = [keras.saving.load_model(path)(features) for path in (model, tuned, plain)]
    assert_same_outputs(outputs[0], outputs[1])
    assert_same_outputs(outputs[0], outputs[2])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "change.svg",
        "model.keras",
        "plain.keras",
        "rules.yaml",
    ]


def test_rewritten_weights_alone_load_into_the_stock_model(model, rules, tmp_path):
    bare = tmp_path / "tuned.weights.h5"
    run("rewrite", model, "--rules", rules, "-o", bare, "--validate", "structure")
    before = keras.saving.load_model(model)
    after = keras.saving.load_model(model)
    after.load_weights(bare)
    for old, new in zip(before.weights, after.weights, strict=True):
        assert np.array_equal(old, new)


def test_plan_shows_without_doing(model, rules, tmp_path):
    before = model.read_bytes()
    assert "head" in run("plan", model, "--rules", rules).stdout
    json.loads(run("plan", model, "--rules", rules, "--json", "--diagram", tmp_path / "plan.dot").stdout)
    assert (tmp_path / "plan.dot").read_text().startswith("digraph")
    assert model.read_bytes() == before


def test_a_rule_that_matches_nothing_is_an_error_with_near_misses(model, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- freeze: dens_1\n")
    out = tmp_path / "out.keras"
    result = run("rewrite", model, "--rules", rules, "-o", out, code=1)
    assert result.stderr.startswith("error: ")
    assert "'dense_1'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists()


def test_diff_says_what_changed(model, rules, tmp_path):
    tuned = tmp_path / "tuned.keras"
    run("rewrite", model, "--rules", rules, "-o", tuned)
    assert "dense_1" in run("diff", model, tuned).stdout
    json.loads(run("diff", model, tuned, "--json").stdout)
    picture = tmp_path / "both.svg"
    assert json.loads(run("diff", model, tuned, "--json", "--diagram", picture).stdout)
    assert "dense_1" in picture.read_text(encoding="utf-8")
    assert "exists" in run("diff", model, tuned, "--diagram", picture, code=2).stderr
    run("diff", model, tuned, "--diagram", picture, "--force")


def test_a_rule_file_may_change_the_structure(model, tmp_path):
    steps, tuned = tmp_path / "structure.yaml", tmp_path / "tuned.keras"
    steps.write_text("rules:\n- insert_after: dense_1\n  layer: {Dropout: {rate: 0.3}}\n", encoding="utf-8")
    assert "inserts dense_1_dropout: Dropout" in run("plan", model, "--rules", steps).stdout
    run("rewrite", model, "--rules", steps, "-o", tuned)
    assert "+ dense_1_dropout" in run("diff", model, tuned).stdout


@pytest.mark.parametrize("suffix", [".svg", ".png", ".dot"])
def test_diagram_draws_and_does_not_overwrite(model, tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    run("diagram", model, "-o", path, "--theme", "dark")
    first = path.stat()
    assert first.st_size > 100
    run("diagram", model, "-o", path, code=2)
    assert path.stat() == first
    run("diagram", model, "-o", path, "--force")
    assert path.stat().st_ino != first.st_ino


def test_what_keras_cannot_load_is_one_message(model, tmp_path):
    stranger = tmp_path / "stranger.json"
    config = json.loads(keras.saving.load_model(model).to_json())
    config["config"]["layers"][1]["class_name"] = "Dence"
    stranger.write_text(json.dumps(config))
    bare = tmp_path / "bare.weights.h5"
    keras.saving.load_model(model).save_weights(bare)
    result = run("inspect", bare, "--model", stranger, code=1)
    assert result.stderr.startswith(f"error: {bare}: Keras cannot load it: ")
    assert "Dence" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_terminal_stays_clean(model):
    done = subprocess.run(
        [sys.executable, "-m", "surgeon.cli", "inspect", str(model)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert "dense_1" in done.stdout


def test_a_report_of_two_files_and_of_a_rewrite(model, rules, tmp_path):
    tuned, page = tmp_path / "tuned.keras", tmp_path / "page.html"
    run("rewrite", model, "--rules", rules, "-o", tuned, "--report", page)
    text = page.read_text(encoding="utf-8")
    assert "freeze(&#x27;dense_1&#x27;)" in text
    assert "equal, bit for bit" in text
    run("report", model, tuned, "-o", page, code=2)
    run("report", model, tuned, "-o", page, "--force")
    assert "No plan was given" in page.read_text(encoding="utf-8")
    run("report", model, tuned, "-r", rules, "-o", page, "--force")
    text = page.read_text(encoding="utf-8")
    assert "freeze(&#x27;dense_1&#x27;)" in text
    assert "155 → 83 of 155 parameters train" in text
    assert "equal, bit for bit" in text
    rules.write_text("rules:\n- freeze: dens_1\n")
    assert "'dense_1'" in run("report", model, tuned, "-r", rules, "-o", page, "--force", code=1).stderr
    assert page.read_text(encoding="utf-8") == text
    run("report", model, tuned, "-o", tmp_path / "page.svg", code=2)


def test_plots(model, rules, tmp_path):
    tuned = tmp_path / "tuned.keras"
    run("rewrite", model, "--rules", rules, "-o", tuned)
    run("plot", "depth", tuned, "-o", tmp_path / "depth.png", "--theme", "dark")
    run("plot", "mask", tuned, "--weight", "head/kernel", "-o", tmp_path / "mask.svg")
    run("plot", "drift", model, "--other", tuned, "-o", tmp_path / "drift.pdf")
    assert (tmp_path / "depth.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "mask.svg").read_bytes()
    assert (tmp_path / "drift.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["depth", "--weight", "head/kernel"], 2, "goes with mask"),
        (["mask"], 2, "say which weight"),
        (["drift"], 2, "say which checkpoint"),
        (["depth", "--theme", "drak"], 2, "no theme"),
        (["mask", "--weight", "haed/kernel"], 1, "close: 'head/kernel'"),
    ],
)
def test_a_plot_that_makes_no_sense(model, tmp_path, arguments, code, words):
    subject, *rest = arguments
    path = tmp_path / "plot.png"
    assert words in " ".join(run("plot", subject, model, "-o", path, *rest, code=code).stderr.split())
    assert not path.exists()


def test_exports(model, tmp_path):
    run("export", model, "-o", tmp_path / "graph.graphml")
    run("export", model, "-o", tmp_path / "graph.json")
    run("export", model, "-o", tmp_path / "logs", "--tensorboard", "--step", "2")
    assert "dense_1" in (tmp_path / "graph.graphml").read_text()
    assert json.loads((tmp_path / "graph.json").read_text())["graphs"]
    assert json.loads((tmp_path / "graph.frozen.json").read_text())
    assert len(list((tmp_path / "logs").iterdir())) == 1
    run("export", model, "-o", tmp_path / "graph.json", code=2)
    (tmp_path / "graph.json").unlink()
    run("export", model, "-o", tmp_path / "graph.json", code=2)
    assert not (tmp_path / "graph.json").exists(), "the shares are there already"
    run("export", model, "-o", tmp_path / "graph.gml", code=2)


def test_a_narrow_window_breaks_no_name(tmp_path):
    x = image = keras.Input((4,), name="in")
    names = [f"encoder_{number}_self_attention_output_projection_dense" for number in range(3)]
    for name in (*names, "head"):
        x = keras.layers.Dense(3, name=name)(x)
    path, steps, tuned = (tmp_path / name for name in ("long.keras", "rules.yaml", "tuned.keras"))
    keras.Model(image, x).save(path)
    steps.write_text("rules:\n- train: head\n  kernel: {channels: [0]}\n", encoding="utf-8")
    run("rewrite", path, "-r", steps, "-o", tuned)
    narrow, wide = (
        CliRunner().invoke(app, ["inspect", str(tuned)], env={"COLUMNS": columns}).stdout
        for columns in ("80", "200")
    )
    assert max(map(len, narrow.splitlines())) <= 80
    assert sum("Dense" in line for line in narrow.splitlines()) == 4, "a line for each layer"
    for number in range(3):
        assert re.search(rf"encoder_{number}\S*…\S*dense ", narrow), "both ends of a name are there"
    assert "kernel (33.3% trains)" in narrow
    assert "--json" in narrow
    assert all(name in wide for name in names)
    assert "kernel 3×3 (33.3% trains)" in wide


@pytest.mark.parametrize("columns", [50, 60, 80])
def test_a_narrow_window_says_which_weight_is_frozen_and_breaks_no_class(tmp_path, columns):
    x = image = keras.Input((8, 8, 3), name="in")
    x = keras.layers.SeparableConv2D(4, 3, name="block_1_separable")(x)
    x = keras.layers.BatchNormalization(name="block_1_norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="block_1_pool")(x)
    x = keras.layers.Dense(3, name="gone")(x)
    model = sg.rewrite(
        keras.Model(image, keras.layers.Dense(3, name="head")(x)),
        [
            sg.freeze("block_1_separable", "pointwise_kernel"),
            sg.freeze("gone"),
            sg.train("head", kernel=sg.channels([0])),
            sg.freeze("block_1_norm", "gamma", stats=True),
        ],
    )
    model.save(tmp_path / "model.keras")
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "model.keras")], env={"COLUMNS": str(columns)})
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    body = [line for line in lines if re.match(r"(in|blo|gone|head)", line)]
    assert len(body) == 6
    words = {line.split()[0][-4:]: line.split()[1] for line in body}
    assert words["gone"] == words["head"] == "Dense"
    classes = {"able": "SeparableConv2D", "norm": "BatchNormalization", "pool": "GlobalAveragePooling2D"}
    for end, name in classes.items():
        begin, found, rest = words[end].partition("…")
        assert name == words[end] or (found and name.startswith(begin) and name.endswith(rest))
    marks = [
        line.strip().partition(" (")[0] for line in lines if line.strip().endswith(("frozen)", "still)"))
    ]
    whole = ["pointwise_kernel", "gamma", "moving_mean", "moving_variance"]
    assert len(marks) == len(whole), "of a layer that is frozen as a whole the counts say it"
    assert columns < 80 or marks == whole
    (share,) = (line.strip() for line in lines if "33.3%" in line)
    assert re.fullmatch(r"kernel \(33.3%( trains)?\)" if columns > 50 else r"k\S+ \(33.3%\)", share)


def test_what_goes_into_a_pipe_is_as_wide_as_it_needs(tmp_path, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "a_name_that_would_not_fit_a_table_in_eighty_columns_however_it_was_drawn"
    path = tmp_path / "long.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name=name)]).save(path)
    (line,) = [
        line for line in CliRunner().invoke(app, ["inspect", str(path)]).stdout.splitlines() if name in line
    ]
    assert "kernel 4×3" in line


def test_what_looks_like_markup_in_a_name_is_none(tmp_path):
    names = ("a[bold]b", ":smiley:")
    path = tmp_path / "run[1].keras"
    keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(3, name=name) for name in names)]).save(path)
    for columns in ("80", "200"):
        shown = CliRunner().invoke(app, ["inspect", str(path)], env={"COLUMNS": columns}).stdout
        assert all(name in shown for name in names)


OWN = """
import keras

@keras.saving.register_keras_serializable("own_package")
class Own(keras.Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.head = keras.layers.Dense(3)

    def call(self, x):
        return self.head(x)
"""


def test_a_class_of_ones_own_is_let_in_by_import(tmp_path, monkeypatch):
    (tmp_path / "own_module.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    own = importlib.import_module("own_module").Own()
    own(np.zeros((1, 4), "float32"))
    path = tmp_path / "own.keras"
    own.save(path)
    assert "name the module that defines it with --import" in run("inspect", path, code=1).stderr
    refused = run("inspect", path, "--import", "own_module", code=1).stderr
    assert "is subclassed and has no graph" in refused
    assert "x = keras.Input(shape), then keras.Model(x, model.call(x))" in " ".join(refused.split())
    assert "not expect" not in refused
    # The same for the model that bare weights belong to.
    bare = tmp_path / "own.weights.h5"
    own.save_weights(bare)
    said = run("inspect", bare, "--model", path, "--import", "own_module", code=1).stderr
    assert "is subclassed and has no graph" in said


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_what_nobody_expected_is_one_line_too(model, monkeypatch, debug):
    def fail(_: object) -> None:
        raise ZeroDivisionError("of all things,\nhere")

    monkeypatch.setattr("surgeon.cli.inventory.Inventory.of", fail)
    result = CliRunner().invoke(app, [*debug, "inspect", str(model)], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    if debug:
        assert isinstance(result.exception, ZeroDivisionError)
    else:
        assert result.stderr == (
            "error: surgeon inspect did not expect ZeroDivisionError: of all things, here; "
            "surgeon --debug inspect … shows where\n"
        )


def test_a_variable_shows_tracebacks_too(model, monkeypatch):
    monkeypatch.setattr("surgeon.cli.inventory.Inventory.of", lambda _: 1 / 0)
    result = CliRunner().invoke(app, ["inspect", str(model)], env={"SURGEON_DEBUG": "1"})
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_path_instead_of_a_model_says_what_to_do(model):
    rules = sg.freeze("dense_1")
    for act in (lambda path: sg.plan(path, rules), lambda path: sg.rewrite(path, rules), sg.seal, sg.diagram):
        for path in (model, str(model)):
            with pytest.raises(SurgeonError, match=r"load it first: keras\.saving\.load_model\('.*keras'\)"):
                act(path)
