"""Frozen stays frozen where a step runs on two devices: mirrored, and on a mesh."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.zoo import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensorflow", "data", "model"])
def test_no_frozen_element_changes_on_two_devices(kind):
    command = [sys.executable, "-m", "tests.partial.on_two_devices", kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for path, (frozen, trained) in found["changed"].items():
        assert frozen == 0, path
        assert trained > 0 or path.startswith(("whole/", "batch_norm/")), path
    assert found["same"]
    assert found["places"]["base"] == found["places"]["compact"] == 2
    assert found["places"].get("split", False) == (kind == "model")
