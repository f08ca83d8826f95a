"""The checks that every file passes before Keras, or libhdf5, sees it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from surgeon.checkpoint.budgets import DEFAULT, Budgets
from surgeon.checkpoint.config_check import check_config
from surgeon.checkpoint.describing import described
from surgeon.checkpoint.hdf5 import HEAD, Layout, Window, check_hdf5, read_layout
from surgeon.checkpoint.json_check import bounded_json
from surgeon.checkpoint.shards import read_shards, shard_names
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.stamp import Fingerprint, Stamp
from surgeon.checkpoint.zip_check import Member, Refuse, check_archive
from surgeon.errors import RefusedError


@dataclass(frozen=True)
class Admitted:
    """A file that the front door has let pass.

    Attributes:
        fingerprint: Which state of the file was looked at.
        layout: Where its arrays lie (in the weights, for an archive).
        members: Members of the archive by name; empty for HDF5 files.
        size: Bytes of the file, or of all shards.
        model: What a person knows the model by.
        config: What it says of its model, compilation included; empty for bare weights.
    """

    fingerprint: Fingerprint
    layout: Layout
    members: Mapping[str, Member]
    size: int
    model: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


def admit(
    path: Path,
    kind: Kind,
    *,
    root: Path | None = None,
    budgets: Budgets = DEFAULT,
    allowed: Collection[str] = (),
) -> Fingerprint:
    """Check a checkpoint file and return its fingerprint; see `inspect`."""
    return inspect(path, kind, root=root, budgets=budgets, allowed=allowed).fingerprint


def inspect(
    path: Path,
    kind: Kind,
    *,
    root: Path | None = None,
    budgets: Budgets = DEFAULT,
    allowed: Collection[str] = (),
) -> Admitted:
    """Check a checkpoint file and return what is known of it then.

    Reads the file twice at most, in chunks; runs nothing from it and unpacks nothing but into a nameless
    temporary file.

    Args:
        path: The file.
        kind: What its name announces; the content must agree.
        root: A folder that `path` may not lead out of by a link. `None` follows any link.
        budgets: What the file may ask for.
        allowed: Modules whose classes the user vouches for.

    Raises:
        RefusedError: With the file, the member at fault and the reason.
    """
    refuse = refuser(path)
    with open_regular(path, root, refuse) as file:
        state = os.fstat(file.fileno())
        try:
            if state.st_size == 0:
                raise refuse(None, "the file is empty")
            members: Mapping[str, Member] = {}
            if kind is Kind.SHARDED:
                return _inspect_map(path, file, root, budgets, refuse)
            if kind is Kind.KERAS:
                archive = check_archive(file, state.st_size, budgets, refuse)
                members, layout, config = archive.members, archive.weights, archive.config
            else:
                _check_hdf5_file(file, state.st_size)
                layout = read_layout(
                    Window(file, 0, state.st_size, budgets.description), budgets, with_texts=True
                )
                config = _legacy_config(layout, budgets)
            check_config(config, budgets, elements=layout.elements, allowed=allowed)
            file.seek(0)
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except ValueError as error:
            raise refuse(None, str(error)) from error
        except OSError as error:
            raise refuse(None, f"cannot be read: {error}") from error
    mark = Stamp.of_file(state).named(digest)
    return Admitted(mark, layout, members, state.st_size, described(config, layout), config)


def _inspect_map(
    path: Path, file: BufferedReader, root: Path | None, budgets: Budgets, refuse: Refuse
) -> Admitted:
    """Check a map of sharded weights, and its shards.

    Raises:
        ValueError: If something is wrong.
        RefusedError: If a shard cannot be opened, or is no regular file.
    """
    stamp = Stamp.at(path)  # before anything is read
    data = file.read(budgets.json_size + 1)
    paths = [path.with_name(name) for name in shard_names(data, budgets)]
    layout, total, digest = read_shards(
        paths, lambda shard: open_regular(shard, root or path.parent, refuse), budgets
    )
    digest.update(data)
    # Of no scheme that `identity` knows: another state of the map is another source.
    mark = stamp.named(f"sharded:{digest.hexdigest()}")
    return Admitted(mark, layout, {}, total, described({}, layout))


def refuser(path: str | Path) -> Refuse:
    """Return what makes the exception for a file that is refused."""

    def refuse(member: str | None, reason: str) -> RefusedError:
        return RefusedError(f"{path}: {f'member {member!r} {reason}' if member is not None else reason}")

    return refuse


def _legacy_config(layout: Layout, budgets: Budgets) -> dict[str, Any]:
    """Return what a legacy file says of its model and how it was compiled; nothing for bare weights."""
    return {
        name: bounded_json(layout.texts[name][0].encode(), budgets)
        for name in ("model_config", "training_config")
        if layout.texts.get(name)
    }


def _check_hdf5_file(file: BufferedReader, size: int) -> None:
    head = file.read(HEAD)
    if head.startswith(b"PK\x03\x04"):
        raise ValueError("a zip archive under an HDF5 name; if it is a Keras archive, rename it to .keras")
    check_hdf5(head, size)


def open_regular(path: Path, root: Path | None, refuse: Refuse) -> BufferedReader:
    """Open a regular file; a FIFO, a device or a folder is refused without waiting for it."""
    if root is not None and not path.resolve().is_relative_to(root.resolve()):
        raise refuse(None, f"a link that leads out of {root}")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        # What is opened is what is checked: a name could come to mean something else in between.
        descriptor = os.open(path, flags)
    except OSError as error:
        raise refuse(None, f"cannot be opened: {error.strerror or error}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise refuse(None, f"not a regular file but a {_what_is(mode)}")
    return os.fdopen(descriptor, "rb")


def _what_is(mode: int) -> str:
    names = {
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
    }
    return names.get(stat.S_IFMT(mode), "special file")
