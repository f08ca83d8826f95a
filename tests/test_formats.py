"""The page about formats names the keys that the code writes, and no other."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import keras
import pytest
from typer.testing import CliRunner

import surgeon as sg
from surgeon.checkpoint import Converted, Failed, Planned, Skipped
from surgeon.cli.app import app
from surgeon.differences import Retrained
from tests.zoo import ROOT

PAGE = (ROOT / "docs" / "report-formats.md").read_text(encoding="utf-8")
TOP = re.compile(r"\([^()]*\)")


def row(start):
    """Return the names in the last cell of a row, without those in brackets."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{start}"))
    return set(re.findall(r"`(\w+)`", TOP.sub("", line.split("|")[-2])))


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")


def test_what_python_returns(model):
    tuned = sg.rewrite(model, sg.freeze("head", "kernel"))
    found: dict[str, Any] = {
        "validate(": sg.validate(model, tuned),
        "plan(": sg.plan(model, sg.freeze("head")),
        "seal(": sg.seal(tuned),
        "surgeon diff": sg.diff(model, tuned),
    }
    for start, value in found.items():
        assert row(start) == set(json.loads(value.to_json())), start


def test_an_entry_of_what_moved():
    named = PAGE.partition("An entry of `retrained` has ")[2].partition("\n")[0]
    assert set(re.findall(r"`(\w+)`", named)) == {field.name for field in fields(Retrained)}


@pytest.mark.parametrize("state", [Converted, Failed, Planned, Skipped])
def test_an_entry_of_a_file(state):
    assert row(f"{state.__name__.lower()}` |") == {field.name for field in fields(state)}


def test_what_inspect_prints(model, tmp_path):
    model.save(tmp_path / "m.keras")
    printed = json.loads(CliRunner().invoke(app, ["inspect", str(tmp_path / "m.keras"), "--json"]).stdout)
    assert row("surgeon inspect") == set(printed)
    layer = PAGE.partition("`layers` (each ")[2].partition(")")[0]
    assert set(re.findall(r"`(\w+)`", layer)) == set(printed["layers"][0])


def test_what_a_run_reports(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.keras").write_text("no archive")
    report = sg.convert(tmp_path / "in", sg.freeze("*"), tmp_path / "out", dry_run=True)
    data = json.loads(report.to_json())
    assert row("surgeon convert") == set(data)
    assert set(data["files"][0]) == row("failed` |") | {"state"}
