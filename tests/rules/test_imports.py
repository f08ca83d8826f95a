"""Selectors and rules are light: they work where there is no Keras."""

from __future__ import annotations

import subprocess
import sys

from tests.zoo import ROOT

SCRIPT = """
import sys
import surgeon.select as s, surgeon.rules as r
rule = r.freeze(s.isa("Dense") & "block_*", kernel=s.channels(0.1, by="magnitude"))
assert r.rules_from_data(r.rules_to_data([rule])) == (rule,)
assert rule.selections["kernel"].size((3, 40), s.Axes(1, 0)) == 12
print(*sorted({"keras", "tensorflow", "jax", "torch", "pydantic"} & set(sys.modules)))
"""


def test_rules_can_be_written_without_keras():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
