"""Asking a worker about one file, and what ends the work on that file alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from surgeon.checkpoint.outcome import Cause
from surgeon.checkpoint.worker_process import WorkerLostError

Ask = Callable[[Mapping[str, Any], float, int | None], Mapping[str, Any]]
"""Asks a worker: `(request, timeout in seconds, memory limit in bytes)` -> answer."""


class FileFailedError(Exception):
    """Ends the work on one file; never leaves the run.

    Attributes:
        cause: What kind of failure it is.
        by_rules: Whether the rules do not fit the model in it: then they fit no file of its architecture.
    """

    def __init__(self, cause: Cause, reason: str, *, by_rules: bool = False) -> None:
        super().__init__(reason)
        self.cause: Cause = cause
        self.by_rules = by_rules


def answer_to(request: Mapping[str, Any], ask: Ask, timeout: float, memory: int | None) -> Mapping[str, Any]:
    """Return what a worker answers.

    Raises:
        FileFailedError: If it could not do what was asked, or is gone.
    """
    try:
        answer = ask(request, timeout, memory)
    except WorkerLostError as error:
        raise FileFailedError(error.cause, str(error)) from error
    if not answer["ok"]:
        cause: Cause = "refused" if answer.get("refused") else "error"
        raise FileFailedError(cause, str(answer["reason"]), by_rules=bool(answer.get("by_rules")))
    return answer
