"""Fixtures of the checkpoint tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from surgeon.checkpoint import conversion

FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `convert` use workers that only copy: no TensorFlow, and bad behaviour on request."""
    monkeypatch.setattr(conversion, "worker_command", lambda: [sys.executable, str(FAKE)])
