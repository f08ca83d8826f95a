"""Where outputs go: a folder of this machine, or a place on a store."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import cached_property
from pathlib import Path
from typing import Protocol

from surgeon.checkpoint.publish import publish
from surgeon.checkpoint.sources import MARKER, STATE_FOLDER
from surgeon.checkpoint.stamp import is_url
from surgeon.checkpoint.stores import check_output_store, listed, upload, write_small
from surgeon.errors import CheckpointError


class Destination(Protocol):
    """A place for outputs.

    Attributes:
        where: The place, as it is called.
        is_store: Whether it takes time to publish something.
        state: The folder of this machine for the manifest, plans, and what is not finished.
    """

    where: Path | str
    state: Path
    is_store: bool

    def prepare(self) -> None:
        """Make the place ready.

        Raises:
            OSError: If nothing can be written there.
        """

    def final(self, output: str) -> str:
        """Return where an output goes, from its place."""

    def has(self, final: str, size: int | None) -> bool:
        """Whether an output is there and has this size."""

    def is_taken(self, final: str) -> bool:
        """Whether there is anything."""

    def publish(self, temp: Path, final: str, *, replace: bool) -> None:
        """Give a finished output its final name, in one step.

        Raises:
            CheckpointError: If there is something and `replace` is off.
            OSError: If it cannot be written.
        """


def destination(out: str | os.PathLike[str], state: str | os.PathLike[str] | None) -> Destination:
    """Return the place that a caller means.

    Args:
        out: A folder or a URL.
        state: The state folder, for a URL.

    Raises:
        CheckpointError: If outputs cannot go there.
    """
    if is_url(out):
        return StorePlace(os.fspath(out), None if state is None else Path(state))
    if state is not None:
        raise CheckpointError(f"{out} is a folder, and keeps its state in {STATE_FOLDER}: leave out `state`")
    return Folder(Path(os.path.abspath(out)))  # noqa: PTH100 - `resolve` would follow links


class Folder:
    """A folder of this machine."""

    is_store = False

    def __init__(self, path: Path) -> None:
        self.where: Path | str = path
        self._prefix, self.state = f"{path}{os.sep}", path / STATE_FOLDER

    def prepare(self) -> None:
        """Do nothing: the state folder in it is made anyway."""

    def final(self, output: str) -> str:
        """Return where an output goes."""
        return self._prefix + output

    def has(self, final: str, size: int | None) -> bool:
        """Whether an output is there and has this size."""
        try:
            state = os.stat(final)  # noqa: PTH116 - one look for both, and no object, for thousands of files
        except OSError:
            return False
        return state.st_size == size and stat.S_ISREG(state.st_mode)

    def is_taken(self, final: str) -> bool:
        """Whether there is anything."""
        return os.path.lexists(final)

    def publish(self, temp: Path, final: str, *, replace: bool) -> None:
        """Give a finished, synced output its final name."""
        place = Path(final)
        place.parent.mkdir(parents=True, exist_ok=True)
        publish(temp, place, replace=replace)


class StorePlace:
    """A place on a store, where an object is there as a whole or not at all.

    Args:
        url: The place.
        state: The state folder; one for each place in the user's own state folder unless given.
    """

    is_store = True

    def __init__(self, url: str, state: Path | None) -> None:
        check_output_store(url)
        self._url = url.rstrip("/")
        self.where: Path | str = self._url
        self.state = default_state(self._url) if state is None else Path(os.path.abspath(state))  # noqa: PTH100

    def prepare(self) -> None:
        """Leave a sign that this is the output of a run, and no source of another."""
        write_small(f"{self._url}/{MARKER}", b"Outputs of surgeon convert.\n")

    def final(self, output: str) -> str:
        """Return where an output goes."""
        return f"{self._url}/{output}"

    def has(self, final: str, size: int | None) -> bool:
        """Whether an output was there, and had this size, when the place was listed."""
        return size is not None and self._there.get(final) == size

    def is_taken(self, final: str) -> bool:
        """Whether there was anything when the place was listed; `publish` asks once more."""
        return final in self._there

    @cached_property
    def _there(self) -> dict[str, int]:
        try:  # one question instead of one for each output
            return {found.url: found.stamp.size for found in listed(self._url)}
        except OSError as error:
            raise CheckpointError(f"cannot list {self._url}: {error}") from error

    def publish(self, temp: Path, final: str, *, replace: bool) -> None:
        """Send a finished output to its final name."""
        try:
            upload(temp, final, replace=replace)
        except FileExistsError as error:
            raise CheckpointError(str(error)) from error


def default_state(url: str) -> Path:
    """Return the folder for the state of runs into a URL."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home, "surgeon", hashlib.sha256(url.encode()).hexdigest()[:20])
