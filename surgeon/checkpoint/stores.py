"""Files on the stores that fsspec knows: S3, Google Cloud Storage, Azure, memory.

Who may do what there is the store's affair: keys and endpoints come from its own environment variables and
files (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, …) or from fsspec's (`FSSPEC_S3_…`), and are written nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.stamp import Stamp, is_map, named_shards
from surgeon.errors import CheckpointError

_ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}
"""Stores where an object is there as a whole or not at all."""

_PLACES_OF_TIME = ("LastModified", "last_modified", "updated", "mtime", "created")


class Object(NamedTuple):
    """An object that a listing has found.

    Attributes:
        relative: Its key below the place that was listed; its name, if it was listed itself.
        url: Where it is.
        stamp: State of it.
        modified: When it was changed last, in seconds since 1970; `None` if the store does not say.
    """

    relative: str
    url: str
    stamp: Stamp
    modified: float | None


def open_store(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises:
        CheckpointError: If fsspec, or what it needs for this store, is not installed, or if it knows no such.
    """
    scheme = url.partition("://")[0]
    if "::" in url:
        raise CheckpointError(f"{url}: chained URLs are not followed; name the store itself")
    try:
        fsspec = import_module("fsspec.core")
        file_system, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        package = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}.get(scheme)
        more = f" {package}" if package and scheme not in ("s3", "s3a") else ""
        raise CheckpointError(
            f"{url}: {error}; pip install 'surgeon-keras[remote]'{more}, or convert files of this machine"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{url}: fsspec knows no such store: {error}") from error
    return file_system, str(path).rstrip("/")


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn whatever a store's library raises into an `OSError` that names the URL."""
    try:
        yield
    except (OSError, CheckpointError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise OSError(f"{url}: {type(error).__name__}: {text}") from error


def check_output_store(url: str) -> None:
    """Check that outputs on a store are there as a whole or not at all.

    Raises:
        CheckpointError: If that is not known of the store.
    """
    scheme = url.partition("://")[0]
    if scheme not in _ATOMIC:
        raise CheckpointError(
            f"{url}: of {scheme}:// it is not known that a file is there as a whole or not at all; convert "
            f"into a folder, or a store of {', '.join(sorted(_ATOMIC))}"
        )
    open_store(url)


def listed(url: str) -> list[Object]:
    """Return every object below a URL, or the object that it names.

    Raises:
        CheckpointError: If the store cannot be used.
        OSError: If it cannot be asked.
    """
    store, path = open_store(url)
    with _told(url):
        found: dict[str, dict[str, Any]] = store.find(path, detail=True)
        objects = []
        for name, info in found.items():
            if name == path:
                relative = path.rpartition("/")[2]
            elif name.startswith(f"{path}/"):
                relative = name[len(path) + 1 :]
            else:
                continue
            where = url.rstrip("/") if name == path else f"{url.rstrip('/')}/{relative}"
            objects.append(Object(relative, where, _stamp(info), _modified(info)))
        return objects


def stamp_of(url: str) -> Stamp:
    """Return the state of an object; of sharded weights, of the map and of all shards.

    Raises:
        OSError: If there is none, or it cannot be asked for.
    """
    store, path = open_store(url)
    with _told(url):
        stamp = _stamp(store.info(path))
        if not is_map(path) or stamp.size > DEFAULT.json_size:
            return stamp
        names = named_shards(bytes(store.cat_file(path)))
        beside = {
            info["name"].rpartition("/")[2]: info for info in store.ls(path.rpartition("/")[0], detail=True)
        }
        return stamp.with_shards(_stamp(beside[name]) for name in names if name in beside)


def download(url: str, target: Path) -> None:
    """Copy an object into a new file.

    Raises:
        OSError: If it cannot be read or written.
    """
    store, path = open_store(url)
    with _told(url):
        store.get_file(path, str(target))


def upload(source: Path, url: str, *, replace: bool) -> None:
    """Copy a file to a store, where it is there as a whole or not at all.

    Raises:
        FileExistsError: If there is something and `replace` is off.
        OSError: If it cannot be written.
    """
    store, path = open_store(url)
    with _told(url):
        if replace:
            store.put_file(str(source), path)
            return
        if store.exists(path):
            raise FileExistsError(f"{url} exists and is left as it is")
        try:
            # Where the store can do that, even what appears in this moment is not overwritten.
            store.put_file(str(source), path, mode="create")
        except FileExistsError as error:
            raise FileExistsError(f"{url} exists and is left as it is") from error


def write_small(url: str, data: bytes) -> None:
    """Write a small object.

    Raises:
        OSError: If it cannot be written.
    """
    store, path = open_store(url)
    with _told(url):
        store.pipe_file(path, data)


def read_ranges(url: str, ranges: list[tuple[int, int]]) -> list[bytes]:
    """Return bytes of an object, for each `(begin, end)`; several are asked for at a time.

    Raises:
        OSError: If they cannot be read.
    """
    store, path = open_store(url)
    with _told(url):
        starts, ends = [begin for begin, _ in ranges], [end for _, end in ranges]
        found = store.cat_ranges([path] * len(ranges), starts, ends, on_error="raise")
        return [bytes(data) for data in found]


def _stamp(info: dict[str, Any]) -> Stamp:
    tag = next((info[key] for key in ("ETag", "etag", "md5Hash", "content_md5") if info.get(key)), None)
    if tag is not None:
        number = int.from_bytes(hashlib.blake2b(str(tag).encode(), digest_size=8).digest(), "big")
        return Stamp(int(info["size"]), 0, number)
    return Stamp(int(info["size"]), int((_modified(info) or 0) * 1e9), 0)


def _modified(info: dict[str, Any]) -> float | None:
    said = next((info[key] for key in _PLACES_OF_TIME if info.get(key)), None)
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said)
        except ValueError:
            return None
    return said.timestamp() if isinstance(said, datetime) else said
