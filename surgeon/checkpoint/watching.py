"""How far a run is, read from its manifest by any other process."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from surgeon.checkpoint.destination import destination
from surgeon.checkpoint.manifest import Failure, Manifest
from surgeon.checkpoint.sources import MANIFEST
from surgeon.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the last run into a place is, or was.

    Attributes:
        out: The place.
        is_running: Whether it goes on; `None` if it was started on another machine and has not ended.
        found: Files that it has found.
        skipped: Of these, how many were done before it began.
        converted: How many it has converted.
        failed: How many it could not convert.
        written: Bytes of the outputs that it has written.
        seconds: How long it has been going on, or took; until the last file if it was killed.
        failures: Why files failed, by source; of each source what its last run says, though other sources
            may have been the last run's.
        folder: The folder or URL under which these sources lie; `None` if nothing failed, or if they have
            no such place in common and are called by their whole names.
    """

    out: str
    is_running: bool | None
    found: int
    skipped: int
    converted: int
    failed: int
    written: int
    seconds: float
    failures: dict[str, str]
    folder: str | None = None

    @property
    def left(self) -> int:
        """Files that it has not come to."""
        return self.found - self.skipped - self.converted - self.failed

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take if it goes on as it went; `None` if nothing is known."""
        done = self.converted + self.failed
        return self.seconds / done * self.left if done and self.is_running is not False else None

    def to_json(self) -> str:
        """Return it as JSON text."""
        return json.dumps(
            {**dataclasses.asdict(self), "left": self.left, "seconds_left": self.seconds_left}, indent=2
        )

    def __str__(self) -> str:
        state = {True: "running", False: "not running", None: "running on another machine, or killed there"}
        if not self.left:
            state[False] = "finished"
        done = self.skipped + self.converted
        text = f"{self.out}: {state[self.is_running]}; {done:,} of {self.found:,} done"
        text += f" ({self.skipped:,} before)" if self.skipped else ""
        text += f", {self.failed:,} failed, {self.left:,} left"
        if self.seconds > 0 and self.converted:
            rates = (
                f"{self.converted / self.seconds:,.1f} files/s, {self.written / self.seconds / 1e6:,.1f} MB/s"
            )
            text += f"; {rates}"
        if self.left and self.seconds_left is not None:
            text += f", {self.seconds_left:,.0f} s to go"
        return text


def progress(out: str | os.PathLike[str], state: str | os.PathLike[str] | None = None) -> Progress:
    """Return how far the run into a place is; it may go on meanwhile, and is not disturbed.

    Args:
        out: The output folder or URL.
        state: The state folder, if the run was given one.

    Raises:
        CheckpointError: If nothing was ever converted into it.

    Example:
        >>> import tempfile
        >>> progress(tempfile.mkdtemp())  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.CheckpointError: ... is no output folder of `surgeon convert`: ...
    """
    place = destination(out, state)
    path = place.state / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{place.where} is no output folder of `surgeon convert`: there is no {path}")
    with Manifest(path, read_only=True) as manifest:
        run = manifest.run()
        if run is None:
            raise CheckpointError(f"{path} is of a Surgeon that did not write down how far it was")
        folder, failures = by_source(manifest.failures())
    is_running = None
    if run.ended is not None:
        is_running = False
    elif run.host == platform.node():
        is_running = _lives(run.pid, run.started)
    end = run.ended or (run.changed if is_running is False else time.time())
    return Progress(
        str(place.where), is_running, run.found, run.skipped, run.converted, run.failed, run.written,
        max(0.0, end - run.started), failures, folder,
    )  # fmt: skip


def by_source(failures: Sequence[Failure]) -> tuple[str | None, dict[str, str]]:
    """Return the place of the sources and, by their place in it, why they failed."""
    # An output lies as deep under its folder as the source does under its own.
    roots = {failed.source.rsplit("/", failed.output.count("/") + 1)[0] for failed in failures}
    levels = zip(*(root.split("/") for root in roots), strict=False)
    shared = [names[0] for names in itertools.takewhile(lambda names: len(set(names)) == 1, levels)]
    if not shared or not shared[-1]:  # nothing, or no more than `/` or `s3://`
        return None, {failed.source: failed.error for failed in failures}
    folder = "/".join(shared)
    names = {failed.source[len(folder) + 1 :]: failed.error for failed in failures}
    return (None, {failed.source: failed.error for failed in failures}) if "" in names else (folder, names)


def _lives(pid: int, started: float) -> bool:
    try:
        # A number is given to another process in the end; that one is younger than the run. The two clocks
        # may differ by a little.
        return psutil.Process(pid).create_time() <= started + 1
    except psutil.NoSuchProcess:
        return False
