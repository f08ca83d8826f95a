"""What happens to one file: front door, Keras, front door again on what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgeon.checkpoint.budgets import DEFAULT, GIB, Budgets
from surgeon.checkpoint.front_door import Fingerprint, admit
from surgeon.checkpoint.outcome import Cause, Failed
from surgeon.checkpoint.sources import Kind, Source
from surgeon.checkpoint.worker_process import WorkerLostError
from surgeon.errors import RefusedError

_NO_ARCHITECTURE = "weights without an architecture; say which model they belong to: model=… (--model)"
_CHANGED = "changed while it was being converted; convert it again when it rests"

Ask = Callable[[Mapping[str, Any], float, int | None], Mapping[str, Any]]
"""Asks a worker: `(request, timeout in seconds, memory limit in bytes)` -> answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    Attributes:
        timeout: Seconds in the worker.
        memory: Resident bytes of the worker; `None` allows 4 GiB and eight times the file's size.
        budgets: What the front door lets through.
    """

    timeout: float = 600.0
    memory: int | None = None
    budgets: Budgets = DEFAULT

    def memory_for(self, size: int) -> int:
        """Return the resident bytes allowed for a file of `size` bytes."""
        return 4 * GIB + 8 * size if self.memory is None else self.memory


@dataclass(frozen=True, slots=True)
class Job:
    """One file to convert.

    Attributes:
        source: The file.
        final: Where the output goes.
        temp: Where it is made; same suffix, same file system.
    """

    source: Source
    final: Path
    temp: Path


@dataclass(frozen=True, slots=True)
class Made:
    """An output that is complete and synced under its temporary name."""

    job: Job
    fingerprint: Fingerprint
    size: int
    sha256: str
    seconds: float
    notes: tuple[str, ...]


Result = Made | Failed


class _FileFailedError(Exception):
    """Ends the work on one file."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause


def process(job: Job, ask: Ask, limits: Limits, *, has_architecture: bool) -> Result:
    """Convert one file up to, and not including, its final name. Never raises for a bad file.

    Args:
        job: What to convert.
        ask: Reaches a worker that runs Keras. It is not called for a file that the front door refuses.
        limits: What the file may cost.
        has_architecture: Whether the worker knows a model that bare weights can be loaded into.
    """
    started = time.monotonic()
    source = job.source
    try:
        if source.kind is Kind.WEIGHTS and not has_architecture:
            raise _FileFailedError("refused", _NO_ARCHITECTURE)
        fingerprint = _admit_source(source, limits.budgets)
        notes = _run_keras(job, ask, limits, fingerprint.size)
        if not fingerprint.still_holds(source.path):
            raise _FileFailedError("changed", _CHANGED)
        made = _admit_output(job, limits.budgets)
    except _FileFailedError as error:
        job.temp.unlink(missing_ok=True)
        return Failed(str(source.path), str(job.final), time.monotonic() - started, error.cause, str(error))
    return Made(job, fingerprint, made.size, made.sha256, time.monotonic() - started, notes)


def _admit_source(source: Source, budgets: Budgets) -> Fingerprint:
    try:
        return admit(source.path, source.kind, root=source.root, budgets=budgets)
    except RefusedError as error:
        # The report has a column for the file already.
        reason = str(error).removeprefix(f"{source.path}: ")
        raise _FileFailedError("refused", reason) from error


def _run_keras(job: Job, ask: Ask, limits: Limits, size: int) -> tuple[str, ...]:
    request = {"source": str(job.source.path), "kind": job.source.kind.value, "temp": str(job.temp)}
    try:
        answer = ask(request, limits.timeout, limits.memory_for(size))
    except WorkerLostError as error:
        raise _FileFailedError(error.cause, str(error)) from error
    if not answer["ok"]:
        raise _FileFailedError("error", str(answer["reason"]))
    return tuple(answer["notes"])


def _admit_output(job: Job, budgets: Budgets) -> Fingerprint:
    """Hold the output to what the input was held to: what is written can be read again."""
    try:
        return admit(job.temp, job.source.output_kind, root=job.temp.parent, budgets=budgets)
    except RefusedError as error:
        raise _FileFailedError("error", f"the output would not be readable: {error}") from error
