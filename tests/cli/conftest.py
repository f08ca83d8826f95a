"""Fixtures of the command-line tests."""

from tests.checkpoint.conftest import fake_workers  # noqa: F401 - a fixture
