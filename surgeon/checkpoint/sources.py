"""Which files to convert, and what their outputs are called."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

from surgeon.checkpoint.shards import is_shard_of
from surgeon.checkpoint.stamp import Stamp, is_url, same_url
from surgeon.checkpoint.stores import listed
from surgeon.errors import CheckpointError

STATE_FOLDER = ".surgeon"
MANIFEST = "manifest.sqlite"
MARKER = f"{STATE_FOLDER}/outputs"
"""What a run leaves at a place on a store, where its state is not."""


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
        for kind in _KINDS:  # `.weights.h5` comes before `.h5`
            if name.endswith(kind):
                return kind
        return None

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


class Source(NamedTuple):
    """One file to convert. Thousands of them are made before anything is done: a tuple of strings.

    Attributes:
        location: Where it is, as an absolute path or a URL.
        root: The folder that it may not lead out of (by a link).
        relative: Its place under `root`.
        kind: What its name announces.
        output: Place of the output under the output folder: `relative`, but for the suffix.
        stamp: State of an object on a store when it was listed; a file of this machine is looked at anyway.
        fault: Why it is refused for its name alone.
    """

    location: str
    root: Path
    relative: str
    kind: Kind
    output: str
    stamp: Stamp | None = None
    fault: str = ""

    @classmethod
    def of(cls, location: str, root: Path, relative: str, kind: Kind) -> Source:
        """Make the source that a file of this machine is."""
        return cls(location, root, relative, kind, _with_end(relative, kind, kind.converted))

    @property
    def path(self) -> Path:
        """Where it is, for a file of this machine."""
        if self.is_remote:
            raise ValueError(f"{self.location} is not on this machine")
        return Path(self.location)

    @property
    def is_remote(self) -> bool:
        """Whether it is on a store."""
        return self.stamp is not None

    @property
    def output_kind(self) -> Kind:
        """Kind of the output."""
        return self.kind.converted


def _with_end(name: str, kind: Kind, end: Kind) -> str:
    return name if end is kind else name[: -len(kind)] + end


def find_sources(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    pattern: str | None = None,
    since: datetime | None = None,
    suffix: str | None = None,
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
        suffix: Of the outputs, if they are no checkpoints of Keras.

    Raises:
        CheckpointError: If a source is missing, if there is no checkpoint at all, if two files would have
            the same output, or if an output would be a source.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    found: dict[str, Source] = {}
    for item in given:
        if is_url(item):
            for source in remote_sources(os.fspath(item), os.fspath(out), since):
                if pattern is None or _matches(source.relative, pattern):
                    found.setdefault(source.location, source)
            continue
        for source in _expand(Path(item), None if is_url(out) else Path(out)):
            if (pattern is None or _matches(source.relative, pattern)) and (
                since is None or _is_new(source, since)
            ):
                found.setdefault(source.location, source)
    if not found:
        where = ", ".join(str(item) for item in given)
        matching = f" matching {pattern!r}" if pattern else ""
        matching += f" changed since {since:%Y-%m-%d %H:%M}" if since else ""
        kinds = ", ".join(kind.value for kind in Kind)
        raise CheckpointError(
            f"no checkpoint{matching} in {where}; Surgeon looks for files ending in {kinds}"
        )
    if suffix is not None:
        found = {
            place: one._replace(output=one.output[: -len(one.output_kind)] + suffix)
            for place, one in found.items()
        }
    # As if by the parts of their paths: no name holds a character before the one that parts are joined by.
    ordered = sorted(found.values(), key=lambda source: source.output.replace("/", "\0"))
    _check_collisions(ordered, out)
    return ordered


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path without `..`; links stay as they are, unlike with `Path.resolve`."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - see above


def _expand(item: Path, out: Path | None) -> Iterator[Source]:
    path = absolute(item)
    if not os.path.lexists(path):
        raise CheckpointError(f"{item} does not exist")
    if path.is_dir():
        yield from _walk(path, None if out is None else absolute(out))
        return
    kind = Kind.of(path)
    if kind is None:
        kinds = ", ".join(kind.value for kind in Kind)
        raise CheckpointError(f"{item} is not a checkpoint: its name ends in none of {kinds}")
    # Whoever names a link means what it points to; only links found by searching are held to the root.
    yield Source.of(str(path), path.resolve().parent, path.name, kind)


def _walk(folder: Path, out: Path | None) -> Iterator[Source]:
    """Yield what is in a folder, but nothing of `out` or of what was the output folder of another run."""
    real_out = None if out is None else os.path.realpath(out)

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
        inside = "" if here == folder else here.relative_to(folder).as_posix() + "/"
        kinds = {name: kind for name in {*files, *kept} - set(folders) if (kind := Kind.of(name))}
        maps = [name for name, kind in kinds.items() if kind is Kind.SHARDED]
        beside = str(here / "x")[:-1]
        for name in sorted(kinds):
            # Shards belong to their map.
            if not maps or not any(is_shard_of(name, each) for each in maps):
                yield Source.of(beside + name, folder, inside + name, kinds[name])


def remote_sources(url: str, out: str, since: datetime | None = None) -> Iterator[Source]:
    """Yield the checkpoints on a store, but nothing of `out` or of what was the output of another run.

    A key that leads out of the place, as keys may, is in the list, to be refused.

    Raises:
        CheckpointError: If the place cannot be listed, or there is nothing.
    """
    try:
        objects = listed(url)
    except OSError as error:
        raise CheckpointError(f"cannot list {url}: {error}") from error
    if not objects:
        raise CheckpointError(f"{url} does not exist, or there is nothing")
    left_out = tuple(
        found.relative.removesuffix(MARKER) for found in objects if found.relative.endswith(f"/{MARKER}")
    )
    outputs = f"{same_url(out)}/"
    # Whoever names what lies in the output folder means it.
    skips_outputs = not f"{same_url(url)}/".startswith(outputs)
    kinds = [(found, kind) for found in objects if (kind := Kind.of(found.relative))]
    maps = {found.relative for found, kind in kinds if kind is Kind.SHARDED}
    for found, kind in kinds:
        key = found.relative
        if key.startswith(left_out):  # of an empty tuple: never
            continue
        if (
            (skips_outputs and same_url(found.url).startswith(outputs))
            or f"/{STATE_FOLDER}/" in f"/{key}"
            or _is_shard(key, maps)
        ):
            continue
        if since is not None and found.modified is not None and found.modified < since.timestamp():
            continue
        fault = _fault(key)
        # Nothing is ever made under the name of what is refused for it: the row in the manifest has another.
        place = f"refused-{hashlib.sha256(key.encode()).hexdigest()[:16]}{kind}" if fault else key
        output = _with_end(place, kind, kind.converted)
        yield Source(found.url, Path(), key, kind, output, found.stamp, fault)


def _is_shard(key: str, maps: Collection[str]) -> bool:
    folder, _, name = key.rpartition("/")
    return any(
        each.rpartition("/")[0] == folder and is_shard_of(name, each.rpartition("/")[2]) for each in maps
    )


def _fault(key: str) -> str:
    """Return what is wrong with a key as a path under the output folder."""
    if any(part in ("", ".", "..") for part in key.split("/")):
        return "its key is no plain path: a part of it is empty, '.' or '..'"
    if "::" in key:  # fsspec would take what follows for another store
        return "its key is no plain path: it has '::' in it"
    if "\\" in key or not key.isprintable() or (os.name == "nt" and ":" in key):
        return "its key is no plain path: it has a backslash or a control character in it"
    return ""


def _matches(relative: str, pattern: str) -> bool:
    name = relative.rpartition("/")[2]
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(relative, pattern)


def _is_new(source: Source, since: datetime) -> bool:
    try:
        return source.path.stat().st_mtime >= since.timestamp()
    except OSError:  # whatever is wrong with it is for the report to say
        return True


def _check_collisions(sources: list[Source], out: str | os.PathLike[str]) -> None:
    by_output: dict[str, Source] = {}
    for source in sources:
        other = by_output.setdefault(source.output, source)
        if other is not source:
            raise CheckpointError(
                f"{other.location} and {source.location} would both become {source.output}; rename one, or "
                "convert them in two runs into two folders"
            )
    remote = is_url(out)
    beginning = f"{same_url(os.fspath(out))}/" if remote else f"{out}{os.sep}"
    targets = {beginning + output: source for output, source in by_output.items()}
    if remote:
        taken = targets.keys() & {same_url(source.location) for source in sources if source.is_remote}
    else:
        taken = _taken([source.location for source in sources if not source.is_remote], targets)
    for target in sorted(taken)[:1]:
        raise CheckpointError(
            f"the output of {targets[target].location} would take the place of a source ({target}); sources "
            "are never written to: choose another output folder"
        )


def _taken(sources: Sequence[str], targets: Collection[str]) -> set[str]:
    """Return the targets that are sources, whatever links lead to them."""
    real = _RealPaths()
    if not real.may_meet(sources, targets):
        return set()
    paths = {real.of(source) for source in sources}
    return {target for target in targets if real.of(target) in paths}


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

    def may_meet(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Whether two of them may be one file: they lie in one folder, or there are links among them."""
        folders = [{path.rpartition(os.sep)[0] for path in paths} for paths in (some, others)]
        if any(self._links(folder) for folder in set().union(*folders)):
            return True
        one, other = ({self._real_folder(folder) for folder in side} for side in folders)
        return not one.isdisjoint(other)


def _links_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())
    except OSError:  # an output folder that is not there yet
        return frozenset()
