"""What is said of a model is short and harmless, whatever its file says."""

from __future__ import annotations

import time
from typing import Any

import pytest

from surgeon.checkpoint.describing import described
from surgeon.checkpoint.hdf5 import Layout

NOTHING = Layout({})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"class_name": "M", "config": {"name": "[red]\x1b[2J\u202e"}}, "[red]?[2J? (M), 0 weights"),
        ({"class_name": "M", "config": {"name": ["\ud800"]}}, "['\\ud800'] (M), 0 weights"),
        ({"class_name": "M", "config": {"layers": {"a": 1}}}, "M, 0 weights"),
        ({"class_name": "M", "config": {"layers": [None, 1, {"class_name": []}]}}, "M, 3 layers, 0 weights"),
        ({"class_name": ["M"]}, "0 arrays, 0 weights"),
        ({"model_config": None, "class_name": "M"}, "0 arrays, 0 weights"),
    ],
)
def test_hostile_configs(model: dict[str, Any], expected: str):
    assert described(model, NOTHING) == expected


def test_a_name_of_many_megabytes_costs_nothing():
    started = time.process_time()
    shown = described({"class_name": "M", "config": {"name": "n" * 20_000_000}}, NOTHING)
    assert shown == f"{'n' * 59}… (M), 0 weights"
    assert time.process_time() - started < 0.5
