"""Outputs that are either complete or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from surgeon.errors import CheckpointError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk (where the system can do that)."""
    if os.name == "nt":  # Windows cannot open a folder, and its file systems journal names themselves.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temp: Path, final: Path, *, replace: bool = False) -> None:
    """Give a finished, synced file its final name, in one step; `temp` is gone afterwards.

    Args:
        temp: The file, on the same file system as `final`.
        final: The name that it gets.
        replace: Whether an existing `final` may be replaced.

    Raises:
        CheckpointError: If `final` exists and `replace` is off. `temp` is left where it is.
    """
    if replace:
        temp.replace(final)
    else:
        try:
            # Unlike a rename, a link never takes the place of an existing file.
            os.link(temp, final)
        except FileExistsError as error:
            raise CheckpointError(f"{final} exists and is left as it is") from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _rename_if_free(temp, final)
        else:
            temp.unlink()
    sync_folder(final.parent)


def _rename_if_free(temp: Path, final: Path) -> None:
    """The next best where the file system has no hard links: between look and rename there is a moment."""
    if os.path.lexists(final):
        raise CheckpointError(f"{final} exists and is left as it is")
    temp.rename(final)


@contextlib.contextmanager
def atomic_output(final: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `final` when the block ends well.

    The temporary path has the same suffix and lies in the same folder. If the block raises, nothing is
    left behind.

    Args:
        final: Where the output goes. Its folder is made if it is missing.
        force: Whether an existing file may be replaced.

    Raises:
        CheckpointError: If `final` exists and `force` is off.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_output(folder / "a.txt") as temp:
        ...     _ = temp.write_text("done")
        >>> [file.name for file in folder.iterdir()]
        ['a.txt']
    """
    if not force and os.path.lexists(final):
        raise CheckpointError(f"{final} exists; pass --force (in Python overwrite=True) to replace it")
    final.parent.mkdir(parents=True, exist_ok=True)
    temp = final.with_name(f".surgeon-{secrets.token_hex(4)}-{final.name}")
    try:
        # What writes it may make files for their owner alone, as safetensors does.
        temp.touch(0o666, exist_ok=False)
        usual = temp.stat().st_mode
        temp.unlink()
        yield temp
        with contextlib.suppress(OSError):  # on a file system that has no rights
            temp.chmod(usual)
        sync_file(temp)
        publish(temp, final, replace=force)
    finally:
        temp.unlink(missing_ok=True)
