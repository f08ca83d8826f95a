"""Every recipe of the cookbook runs, checks its numbers, and is as short as it claims to be."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests.zoo import ROOT

FOLDER = ROOT / "docs" / "cookbook"
RECIPES = sorted(FOLDER.glob("r*.py"))
SLOW = ("r01", "r03", "r06", "r07", "r09")
LONGEST = 10


def lines_of_recipe(path):
    text = path.read_text(encoding="utf-8")
    recipe = text.partition("# --- recipe\n")[2].partition("# --- check\n")[0]
    assert recipe, f"{path.name} has no recipe"
    return [line for line in recipe.splitlines() if line.strip()]


def test_all_seventeen_are_there():
    assert [path.name[:3] for path in RECIPES] == [f"r{number:02}" for number in range(1, 18)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_short(path):
    assert len(lines_of_recipe(path)) <= LONGEST


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] if p.name.startswith(SLOW) else []) for p in RECIPES],
    ids=lambda path: path.stem,
)
def test_recipes_run(path, monkeypatch):
    assert "assert " in path.read_text(encoding="utf-8").partition("# --- check\n")[2]
    monkeypatch.syspath_prepend(str(FOLDER))
    try:
        runpy.run_path(str(path))
    finally:
        sys.modules.pop("patients", None)
