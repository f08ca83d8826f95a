"""Checkpoints as bytes, sound and otherwise, made without Keras."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from surgeon.checkpoint.identity import name_members
from surgeon.checkpoint.manifest import Manifest

METADATA = b'{"keras_version": "3.15.1", "date_saved": "2025-01-01@00:00:00"}'
CONFIG = json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": []}}).encode()


@cache
def hdf5(payload: int = 2048, seed: int = 0) -> bytes:
    """Return an HDF5 file with one array of `payload` bytes."""
    buffer = io.BytesIO()
    values = (
        np.random.default_rng(seed).normal(size=payload // 4) if payload < 1 << 20 else np.zeros(payload // 4)
    )
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = values.astype("float32")
    return buffer.getvalue()


def superblock(version: int, payload: int = 2048) -> bytes:
    """Return an HDF5 superblock with zeros behind it."""
    end = (96 + payload).to_bytes(8, "little")
    zero = bytes(8)
    if version == 2:
        head = b"\x89HDF\r\n\x1a\n" + bytes([2, 8, 8, 0]) + zero + b"\xff" * 8 + end
    else:
        head = b"\x89HDF\r\n\x1a\n" + bytes([version, 0, 0, 0, 0, 8, 8, 0]) + bytes(8)
        head += (bytes(4) if version == 1 else b"") + zero + b"\xff" * 8 + end
    return head.ljust(96, b"\0") + bytes(payload)


def members() -> dict[str, bytes]:
    """Return the members of a sound archive."""
    return {"metadata.json": METADATA, "config.json": CONFIG, "model.weights.h5": hdf5()}


def archive(content: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in (members() if content is None else content).items():
            file.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return buffer.getvalue()


def write(path: Path, data: bytes | None = None) -> Path:
    """Write a checkpoint (a sound archive, or superblock, by its suffix) and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if data is not None else archive() if path.suffix == ".keras" else hdf5())
    return path


def files(folder: Path) -> list[str]:
    """Return the files under a folder, without Surgeon's own."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0] != ".surgeon")


def assert_recorded(out: Path) -> set[str]:
    """Assert that the manifest says of each output what it is; return the kinds of names for contents."""
    schemes = set()
    with Manifest(out / ".surgeon" / "manifest.sqlite") as manifest:
        done = {output: row for output, row in manifest.rows().items() if row.state == "done"}
    assert sorted(done) == files(out)
    for output, row in done.items():
        data = (out / output).read_bytes()
        assert row.output_size == len(data), output
        scheme = str(row.output_digest).partition(":")[0]
        assert row.output_digest == _named(data, scheme), output
        schemes.add(scheme)
    return schemes


def _named(data: bytes, scheme: str) -> str:
    """Return the name of a content, from what others say of it."""
    if scheme == "sha256":
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    if scheme == "crc32":
        return f"crc32:{zlib.crc32(data):08x}-{len(data)}"
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        return name_members([(each.filename, each.file_size, each.CRC) for each in file.infolist()])


def leftovers(out: Path) -> list[Path]:
    """Return temporary files that a run left behind."""
    return list((out / ".surgeon").glob("tmp/*"))
