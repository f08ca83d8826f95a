"""Selectors and selections know no Keras, so their many small tests do not pay for a fresh one each."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def fresh_keras() -> None:
    """Leave Keras as it is: clearing it takes a hundred times as long as a test here."""
