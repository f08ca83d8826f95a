"""Mutations of sound checkpoints, for fuzzing the readers."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from surgeon.checkpoint.front_door import inspect
from surgeon.checkpoint.sources import Kind
from surgeon.errors import RefusedError
from tests.checkpoint.archives import METADATA, archive

_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
_CONFIG: dict[str, Any] = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "m",
        "layers": [{"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 4}}],
    },
}


def _hdf5(libver: str, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=libver) as file:
        if legacy:
            file.attrs["model_config"] = json.dumps(_CONFIG)
            file.create_group("model_weights").attrs["layer_names"] = [b"d", b"e"]
        for layer in range(4):
            group = file.create_group(f"layers/dense_{layer}/vars")
            group.attrs["name"] = f"d{layer}"
            group["0"] = np.ones((4, 4), "float32")
            group["1"] = np.zeros(4, "float16" if layer else "bool")
    return buffer.getvalue()


def seeds() -> list[tuple[str, bytes]]:
    """Return sound checkpoints of all kinds as `(name, content)`."""
    members = {"metadata.json": METADATA, "config.json": json.dumps(_CONFIG).encode()}
    weights = _hdf5("earliest")
    return [
        ("old.weights.h5", weights),
        ("new.weights.h5", _hdf5("latest")),
        ("legacy.h5", _hdf5("earliest", legacy=True)),
        ("stored.keras", archive({**members, "model.weights.h5": weights, "assets/a": b"abc"})),
        ("deflated.keras", archive({**members, "model.weights.h5": weights}, zipfile.ZIP_DEFLATED)),
    ]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a mutation; an archive is often packed anew after one of its members was changed."""
    if data.startswith(b"PK") and rng.random() < 0.6:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = {name: file.read(name) for name in file.namelist()}
        chosen = rng.choice([name for name, content in members.items() if content])
        members[chosen] = _mutate(members[chosen], rng)
        return archive(members)
    return _mutate(data, rng)


def _mutate(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(changed))
        kind = rng.randrange(6)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice((*_NUMBERS, rng.randrange(len(changed)))) & ((1 << 8 * width) - 1)
            changed[at : at + width] = struct.pack("<Q", number)[:width]
        elif kind == 2 and rng.random() < 0.3:
            del changed[at:]
        elif kind == 3:
            length = rng.randrange(1, 64)
            changed[at : at + length] = changed[:length] if rng.random() < 0.5 else bytes(length)
        elif kind == 4:
            other, length = rng.randrange(len(changed)), rng.choice((8, 16, 40, 64))
            changed[at : at + length] = changed[other : other + length]
        else:
            # An address that is somewhere in the file, put where an address may be.
            aligned = at // 8 * 8
            changed[aligned : aligned + 8] = struct.pack("<Q", rng.randrange(len(changed)) // 8 * 8)
        if not changed:
            return b""
    return bytes(changed)


def admitted_or_refused(path: Path) -> str:
    """Return what the front door makes of a file; anything but a refusal is raised."""
    kind = Kind.of(path)
    assert kind is not None
    try:
        inspect(path, kind)
    except RefusedError:
        return "refused"
    return "admitted"
