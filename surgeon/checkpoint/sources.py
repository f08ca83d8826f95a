"""Which files to convert, and what their outputs are called."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from surgeon.checkpoint.shards import is_shard_of
from surgeon.errors import CheckpointError

STATE_FOLDER = ".surgeon"
MANIFEST = "manifest.sqlite"


class Kind(StrEnum):
    """The kinds of checkpoint; the value is the suffix."""

    SHARDED = ".weights.json"
    WEIGHTS = ".weights.h5"
    KERAS = ".keras"
    LEGACY = ".h5"

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Kind | None:
        """Return the kind that a file's name announces, or `None`."""
        name = os.fspath(path).lower()
        # `.weights.h5` comes first: it ends in `.h5` too.
        return next((kind for kind in _KINDS if name.endswith(kind)), None)

    @property
    def is_bare(self) -> bool:
        """Whether it holds weights without the model that they are of."""
        return self in (Kind.WEIGHTS, Kind.SHARDED)

    @property
    def converted(self) -> Kind:
        """Kind of what is made of it: sharded weights are joined, legacy models become archives."""
        return _BECOMES.get(self, self)


def kind_of(path: Path, *, has_architecture: bool) -> Kind:
    """Return the kind of one checkpoint that is to be opened.

    Args:
        path: The checkpoint.
        has_architecture: Whether there is a model that bare weights can be loaded into.

    Raises:
        CheckpointError: If it is a folder, no checkpoint, or bare weights come without a model; with what
            to do about it.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: {_about_folder(path)}")
    kind = Kind.of(path)
    if kind is None:
        kinds = ", ".join(known.value for known in Kind)
        raise CheckpointError(f"{path} is not a checkpoint: its name ends in none of {kinds}")
    if kind.is_bare and not has_architecture:
        raise CheckpointError(f"{path} holds bare weights; say which model they are of: --model FILE")
    return kind


def _about_folder(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    save = "model.save('model.keras')"
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        return f"a SavedModel holds functions, but no layers; save the model that it was made of: {save}"
    if {"config.json", "model.weights.h5"} <= set(names):
        how = "keras.saving.load_model, or from_preset of keras_hub"
        return f"load it with what has written it ({how}) and save it as one file: {save}"
    if any(name.endswith(".index") for name in names):
        return f"a TensorFlow checkpoint holds values alone; load them into their model, then {save}"
    found = [name for name in names if Kind.of(name)]
    if not found:
        return "there is no checkpoint in it; give a file"
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
    return f"say which file in it ({', '.join(found[:3])}{more}), or convert all of them: surgeon convert"


_KINDS = tuple(Kind)
_BECOMES = {Kind.LEGACY: Kind.KERAS, Kind.SHARDED: Kind.WEIGHTS}


@dataclass(frozen=True)
class Source:
    """One file to convert.

    Attributes:
        path: Where it is.
        root: The folder that it may not lead out of (by a link).
        relative: Its place under `root`, which is also the output's place, but for the suffix.
        kind: What its name announces.
    """

    path: Path
    root: Path
    relative: PurePosixPath
    kind: Kind

    def __hash__(self) -> int:
        # Of all fields it would cost as much as all else that a resumed run does for a file.
        return hash(self.path)

    @cached_property
    def output(self) -> PurePosixPath:
        """Place of the output under the output folder; its suffix may be another."""
        if self.output_kind is self.kind:
            return self.relative
        return self.relative.with_name(self.relative.name[: -len(self.kind)] + self.output_kind)

    @property
    def output_kind(self) -> Kind:
        """Kind of the output."""
        return self.kind.converted


def find_sources(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: Path,
    pattern: str | None = None,
    since: datetime | None = None,
) -> list[Source]:
    """Return the checkpoints among `sources`, sorted by output.

    What merely looks like a checkpoint (a FIFO or folder named `x.keras`) is in the list, so that the
    report names it.

    Args:
        sources: A folder (searched to any depth), a file, or several of both. Folders in it that another run
            converted into are left out; to convert what is in such a folder, name it.
        out: The output folder; nothing in it counts as a source.
        pattern: A glob over a file's name or its path under the folder.
        since: Only files that were changed then or later; local time unless it says otherwise.

    Raises:
        CheckpointError: If a source is missing, if there is no checkpoint at all, if two files would have
            the same output, or if an output would be a source.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    found: dict[Path, Source] = {}
    for item in given:
        for source in _expand(Path(item), out):
            if (pattern is None or _matches(source.relative, pattern)) and _is_new(source, since):
                found.setdefault(source.path, source)
    if not found:
        where = ", ".join(str(item) for item in given)
        matching = f" matching {pattern!r}" if pattern else ""
        matching += f" changed since {since:%Y-%m-%d %H:%M}" if since else ""
        kinds = ", ".join(kind.value for kind in Kind)
        raise CheckpointError(
            f"no checkpoint{matching} in {where}; Surgeon looks for files ending in {kinds}"
        )
    ordered = sorted(found.values(), key=lambda source: source.output.parts)
    _check_collisions(ordered, out)
    return ordered


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path without `..`; links stay as they are, unlike with `Path.resolve`."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - see above


def _expand(item: Path, out: Path) -> Iterator[Source]:
    path = absolute(item)
    if not os.path.lexists(path):
        raise CheckpointError(f"{item} does not exist")
    if path.is_dir():
        yield from _walk(path, absolute(out))
        return
    kind = Kind.of(path)
    if kind is None:
        kinds = ", ".join(kind.value for kind in Kind)
        raise CheckpointError(f"{item} is not a checkpoint: its name ends in none of {kinds}")
    # Whoever names a link means what it points to; only links found by searching are held to the root.
    root = path.resolve().parent
    yield Source(path, root, PurePosixPath(path.name), kind)


def _walk(folder: Path, out: Path) -> Iterator[Source]:
    """Yield what is in a folder, but nothing of `out` or of what was the output folder of another run."""
    real_out = os.path.realpath(out)

    def stop(error: OSError) -> None:
        raise CheckpointError(f"cannot search {error.filename}: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=stop):
        here = Path(place)
        if here != folder and (here / STATE_FOLDER / MANIFEST).is_file():
            folders.clear()
            continue
        real = os.path.realpath(place)
        kept = [name for name in folders if name != STATE_FOLDER and f"{real}{os.sep}{name}" != real_out]
        # A folder that calls itself a checkpoint is listed (to be refused), not searched.
        folders[:] = sorted(name for name in kept if not name.lower().endswith(Kind.KERAS))
        inside = PurePosixPath(here.relative_to(folder).as_posix())
        maps = [name for name in files if Kind.of(name) is Kind.SHARDED]
        for name in sorted({*files, *kept} - set(folders)):
            kind = Kind.of(name)
            # Shards belong to their map.
            if kind is not None and not any(is_shard_of(name, each) for each in maps):
                yield Source(here / name, folder, inside / name, kind)


def _matches(relative: PurePosixPath, pattern: str) -> bool:
    return fnmatch.fnmatchcase(relative.name, pattern) or fnmatch.fnmatchcase(str(relative), pattern)


def _is_new(source: Source, since: datetime | None) -> bool:
    try:
        return since is None or source.path.stat().st_mtime >= since.timestamp()
    except OSError:  # whatever is wrong with it is for the report to say
        return True


def _check_collisions(sources: list[Source], out: Path) -> None:
    by_output: dict[PurePosixPath, Source] = {}
    for source in sources:
        other = by_output.setdefault(source.output, source)
        if other is not source:
            raise CheckpointError(
                f"{other.path} and {source.path} would both become {source.output}; rename one, or convert "
                "them in two runs into two folders"
            )
    real = _RealPaths()
    paths = {real.of(str(source.path)) for source in sources}
    for output, source in by_output.items():
        if real.of(f"{out}{os.sep}{output}") in paths:
            raise CheckpointError(
                f"the output of {source.path} would take the place of a source ({out / output}); sources are "
                "never written to: choose another output folder"
            )


class _RealPaths:
    """What `os.path.realpath` gives, with one look at each folder instead of one at each file in it."""

    def __init__(self) -> None:
        self._real_folder = cache(os.path.realpath)
        self._links = cache(_links_in)

    def of(self, path: str) -> str:
        folder, _, name = path.rpartition(os.sep)
        if name in self._links(folder):
            return os.path.realpath(path)
        return f"{self._real_folder(folder)}{os.sep}{name}"


def _links_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except OSError:  # an output folder that is not there yet
        return frozenset()
