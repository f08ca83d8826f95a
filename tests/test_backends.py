"""The heart of it on the other backends: a leak that TensorFlow hides shows there."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CORE = [
    "tests/test_three_methods.py tests/test_promises.py",
    "tests/partial/test_exactness.py -m 'not slow and not sweep'",
    "tests/partial/test_part.py tests/partial/test_loose_flags.py tests/partial/test_fast.py",
    "tests/partial/test_splitting.py tests/partial/test_assemble.py tests/partial/test_in_place.py",
    "tests/partial/test_loops.py tests/deltas -m 'not slow and not sweep'",
    "tests/partial/test_ecosystem.py tests/scoring -m 'not slow and not sweep'",
    "tests/schedules -m 'not slow and not sweep'",
    "tests/roundtrip/test_masks.py tests/roundtrip/test_models_as_layers.py tests/roundtrip/test_copies.py",
]
"""What CI runs on JAX and on PyTorch."""

XLA = [
    "tests/_keras",
    "tests/partial/test_in_place_calls.py tests/partial/test_blocks.py tests/partial/test_narrow.py",
    "tests/partial/test_products.py tests/partial/test_choices.py",
]
"""What it runs on JAX besides: there is a way of XLA's for it. On PyTorch it is a sweep."""

SWEEP = [
    "tests/planning/test_compiled.py tests/planning/test_replace.py tests/planning/test_plan_json.py",
    "tests/roundtrip/test_identity.py",
    "tests/roundtrip/test_sharing.py tests/roundtrip/test_inputs.py tests/roundtrip/test_calls.py",
    "tests/roundtrip/test_stateful_layers.py",
]
"""What little of a backend is in: by hand on both."""

WITHOUT_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is large: pip install '.[torch]', as CI does"
)


@pytest.fixture
def environment(tmp_path_factory):
    """Let JAX keep what it compiles: tests that clear its memory of it, and those after, find it there.

    Each of pytest-xdist's workers has a folder of its own, so no file is read while another writes it.
    """
    return {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.getbasetemp() / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def run(environment, backend, *arguments):
    environment = {**environment, "KERAS_BACKEND": backend}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def cases():
    slow = {"jax": CORE + XLA, "torch": CORE}
    for backend, marks in (("jax", []), ("torch", [WITHOUT_TORCH])):
        for tests in CORE + XLA + SWEEP:
            tier = pytest.mark.slow if tests in slow[backend] else pytest.mark.sweep
            yield pytest.param(backend, tests, marks=[tier, *marks])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("backend", "tests"), [*cases()])
def test_core(environment, backend, tests):
    run(environment, backend, *shlex.split(tests))
