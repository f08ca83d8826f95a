"""Byte plans that are kept."""

from __future__ import annotations

import dataclasses

from surgeon.checkpoint.bytepath.store import PlanStore
from tests.checkpoint.archives import write
from tests.checkpoint.plans import copying_plan


def test_plans_are_found_again_and_damaged_ones_are_not(tmp_path):
    plan = copying_plan(write(tmp_path / "a.keras"))
    PlanStore(tmp_path / "plans").add(plan)
    assert PlanStore(tmp_path / "plans").plans(plan.key) == [plan]
    assert PlanStore(tmp_path / "plans").plans("other") == []
    (path,) = (tmp_path / "plans").iterdir()
    path.write_text(path.read_text()[:-20])
    assert PlanStore(tmp_path / "plans").plans(plan.key) == []


def test_plans_that_serve_one_file_each_are_not_made_for_ever(tmp_path):
    plan, store = copying_plan(write(tmp_path / "a.keras")), PlanStore(tmp_path / "plans")
    for number in range(8):
        assert store.is_worth_it(f"key{number}")
        store.add(dataclasses.replace(plan, key=f"key{number}"))
        store.used(f"key{number}")
    assert not store.is_worth_it("once")
    assert store.is_worth_it("once")
    store.used("key0")
    assert store.is_worth_it("another")
