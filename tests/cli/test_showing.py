"""What commands show: at most so many kinds of a thing, and nested models layer by layer."""

from __future__ import annotations

import json
import warnings

import pytest

from surgeon.checkpoint import Kind
from surgeon.cli.quiet import noted_warnings
from surgeon.errors import CheckpointError
from tests import zoo
from tests.checkpoint.archives import CONFIG, archive, hdf5, members, write
from tests.cli.test_without_keras import run


@pytest.mark.usefixtures("fake_workers")
def test_many_kinds_are_counted_and_not_listed(tmp_path):
    folder, out, rules = tmp_path / "in", tmp_path / "out", tmp_path / "rules.yaml"
    rules.write_text('rules:\n- freeze: "*"\n')
    for number in range(22):
        dense = {"class_name": "Dense", "config": {"name": f"d{number}", "units": -1}}
        config = json.dumps({**json.loads(CONFIG), "config": {"layers": [dense]}}).encode()
        write(folder / f"bad_{number}.keras", archive({**members(), "config.json": config}))
    for number in range(23):
        weights = hdf5(2048 + 4 * number)
        write(folder / f"noted_{number}.keras", archive({**members(), "model.weights.h5": weights}))
    shown = run("convert", folder, "--rules", rules, "-o", out, "--workers", 2, env={"COLUMNS": "200"})
    assert shown.exit_code == 1
    assert shown.stdout.count("units is -1, which is no number of units") == 20
    assert "and 2 more reasons (--json)" in shown.stdout
    assert shown.stdout.count("1 file  ") == 20
    assert "and 3 more" in shown.stdout
    assert "23 files" in shown.stdout
    assert "noted" in shown.stdout
    status = run("status", out)
    assert status.stdout.count("units is -1, which is no number of units") == 20
    assert "  and 2 more reasons (--json)" in status.stdout


def test_a_run_that_cannot_be_shows_its_traceback_if_asked(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text('rules:\n- freeze: "*"\n')
    command = ("convert", tmp_path / "none", "--rules", rules, "-o", tmp_path / "out")
    assert run(*command).exit_code == 2
    assert isinstance(run("--debug", *command).exception, CheckpointError)


def test_warnings_for_users_are_lines_said_once(capsys):
    with noted_warnings():
        for _ in range(2):
            warnings.warn("the optimizer\n  was left out", UserWarning, stacklevel=1)
        warnings.warn("for who writes libraries", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().err.split("\n") == ["warning: the optimizer was left out", ""]


def test_layers_of_nested_models_are_shown_in_their_place_once(tmp_path):
    for name in ("nested", "shared"):
        path = tmp_path / f"{name}{Kind.KERAS.value}"
        model = getattr(zoo, name)()
        model.save(path)
        shown = json.loads(run("inspect", path, "--json").stdout)
        paths = [layer["path"] for layer in shown["layers"]]
        assert len(paths) == len(set(paths))
        if name == "nested":
            inner = next(layer for layer in model.layers if hasattr(layer, "layers"))
            assert inner.name not in paths
            assert {"encoder/patch", "encoder/conv"} <= set(paths)
