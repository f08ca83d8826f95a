"""Checkpoints to be refused before Keras, or libhdf5, sees them; `scripts/make_bad_inputs` writes them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from tests.checkpoint.archives import archive, hdf5, members

GIB = 1 << 30


@dataclass(frozen=True)
class Bad:
    """A bad file.

    Attributes:
        name: Its name, with suffix.
        data: Its content.
        reason: What the refusal says.
    """

    name: str
    data: bytes
    reason: str


def bad_inputs() -> Iterator[Bad]:
    """Yield every bad file that needs no file system to be bad."""
    yield from _structures()
    yield from _configs()
    for name, (make, reason) in _HDF5.items():
        data = _hdf5_with(make)
        yield Bad(f"{name}.keras", archive({**members(), "model.weights.h5": data}), reason)
        yield Bad(f"{name}.weights.h5", data, reason)
    yield Bad(
        "legacy_lambda.h5", _legacy(_layer("Lambda", {"function": ["4wAAAA", None, None]})), "runs code"
    )
    yield Bad("legacy_units.h5", _legacy(_layer("Dense", {"units": 1e9})), "the file holds")


def _structures() -> Iterator[Bad]:
    good = archive()
    yield Bad("empty.keras", b"", "is empty")
    yield Bad("hdf5_named.keras", hdf5(), "not a readable zip")
    yield Bad("zip_named.h5", good, "a zip archive under an HDF5 name")
    for part in (1, 10, 50, 90, 99):
        yield Bad(f"cut_at_{part}.keras", good[: len(good) * part // 100], "not a readable zip archive")
        yield Bad(f"cut_at_{part}.weights.h5", hdf5()[: len(hdf5()) * part // 100], "HDF5|truncated")
    for number, name in enumerate(("../config.json", "/config.json", "assets/../../x")):
        yield Bad(
            f"leads_out_{number}.keras", archive({**members(), name: b"{}"}), "leads out of the archive"
        )
    yield Bad(
        "pickled.keras", archive({**members(), "model.weights.npz": b"\x80\x04K\x01."}), "does not belong"
    )
    flipped = bytearray(good)
    flipped[good.index(b"\x89HDF") + 3000] ^= 4
    yield Bad("flipped.keras", bytes(flipped), "Bad CRC")
    link = io.BytesIO(good)
    with zipfile.ZipFile(link, "a") as file:
        info = zipfile.ZipInfo("assets/passwd")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    yield Bad("symlink_member.keras", link.getvalue(), "is a link")
    data = archive(
        {"metadata.json": b"{}", "config.json": b"{}", "config.jsom": b"{}", "model.weights.h5": hdf5()}
    )
    yield Bad("duplicate.keras", data.replace(b"config.jsom", b"config.json"), "is there twice")
    overlap = bytearray(good)
    first = good.index(b"PK\x01\x02")
    for at in (20, 24):
        struct.pack_into("<I", overlap, first + at, struct.unpack_from("<I", overlap, first + at)[0] + 500)
    yield Bad("overlap.keras", bytes(overlap), "overlaps what follows it")
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield Bad("deep.keras", archive({**members(), "config.json": deep}), "nested deeper")
    bomb = _deflated("config.json", b'{"a": "' + bytes(70 << 20) + b'"}')
    yield Bad("config_bomb.keras", bomb, "declares|unpacked size")
    yield Bad(
        "assets_bomb.keras", _deflated("assets/vocabulary.txt", bytes(600 << 20)), "unpacked size|assets to"
    )


def _deflated(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for other, data in {**members(), name: content}.items():
            file.writestr(zipfile.ZipInfo(other), data, zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def _layer(name: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None, **more}


def _model(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "m", "layers": list(layers)},
        **more,
    }


def _function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _configs() -> Iterator[Bad]:
    code = _layer(
        "Lambda", {"name": "code", "function": {"class_name": "__lambda__", "config": {"value": "4wA="}}}
    )
    nested = _model(_layer("Functional", {"name": "inner", "layers": [code]}))
    wrapped = _model(_layer("TimeDistributed", {"name": "td", "layer": code}))
    activation = _layer(
        "Dense", {"name": "d", "units": 2, "activation": {"class_name": "__lambda__", "config": {}}}
    )
    for name, config in {
        "lambda": _model(code),
        "lambda_nested": nested,
        "lambda_wrapped": wrapped,
        "lambda_activation": _model(activation),
        "lambda_loss": _model(
            compile_config={"loss": {"class_name": "__lambda__", "config": {"value": "4wA="}}}
        ),
        "tfsm": _model(_layer("TFSMLayer", {"filepath": "saved"})),
        "torch_module": _model(_layer("TorchModuleWrapper", {"module": "gASVAAAA"})),
        "jax_layer": _model(_layer("JaxLayer", {"call_fn": "x"})),
    }.items():
        yield _config(name, config, "runs code")
    for name, item in {
        "cve_2025_1550": {"module": "os", "class_name": "system", "config": {"command": "true"}},
        "cve_subprocess": _function("subprocess", "run"),
        "cve_2025_8747": _function("keras.utils", "get_file"),
        "cve_2025_9906": _function("keras.config", "enable_unsafe_deserialization"),
        "saving": _function("keras.saving", "load_model"),
        "builtins_eval": _function("builtins", "eval"),
        "registered_elsewhere": {**_function("builtins", "mystery>run"), "registered_name": "function"},
    }.items():
        yield _config(
            name,
            _model(_layer("Dense", {"name": "d", "units": 2, "activation": item})),
            "is not one|no class",
        )
        yield _config(f"{name}_loss", _model(compile_config={"loss": item}), "is not one|no class")
    unknown = {
        "module": "mystery.layers",
        "class_name": "Layer",
        "config": {},
        "registered_name": "mystery>Layer",
    }
    yield _config("unknown_class", _model(unknown), "--import")
    lookup = _layer("StringLookup", {"name": "words", "vocabulary": "/etc/passwd"})
    yield _config("lookup_path", _model(lookup), "names a file")
    for name, units in {
        "units_1e9": 1e9,
        "units_nan": float("nan"),
        "units_negative": -3,
        "units_inf": float("inf"),
    }.items():
        yield _config(name, _model(_layer("Dense", {"name": "d", "units": units})), "units is")
    yield _config(
        "units_10_to_400", _model(_layer("Dense", {"name": "d", "units": 10**400})), "the file holds"
    )
    for name, shape, reason in (
        ("huge", [None, 100_000, 100_000], "positions"),
        ("10_to_400", [None, 10**400], "positions"),
        ("nan", [None, float("nan")], "no shape"),
        ("by_name", {"x": [None, -7]}, "no shape"),
        ("by_number", [[None, 2], [None, True]], "no shape"),
    ):
        entry = _layer("InputLayer", {"name": "i", "batch_shape": shape})
        yield _config(f"input_{name}", _model(entry), reason)
    strange = {**_layer("Dense", {"name": "d", "units": 2}), "module": 7}
    yield _config("module_7", _model(strange), "the module of Dense is no text")


def _config(name: str, config: dict[str, Any], reason: str) -> Bad:
    return Bad(f"{name}.keras", archive({**members(), "config.json": json.dumps(config).encode()}), reason)


def _legacy(layer: dict[str, Any]) -> bytes:
    def make(file: Any) -> None:
        file.attrs["model_config"] = json.dumps(_model(layer))
        file["model_weights/d/kernel"] = np.zeros((3, 3), "float32")

    return _hdf5_with(make)


def _hdf5_with(make: Callable[[Any], None]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 4), "float32")
        make(file)
    return buffer.getvalue()


def _external(file: Any) -> None:
    file.create_dataset("x", (100,), "float32", external=[("/etc/passwd", 0, 400)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((10,), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (10,))
    file.create_virtual_dataset("x", layout)


def _unwritten(count: int) -> Callable[[Any], None]:
    return lambda file: file.create_dataset("x", (count,), "float32")


def _set(name: str, value: Callable[[Any], Any]) -> Callable[[Any], None]:
    def make(file: Any) -> None:
        file[name] = value(file)

    return make


_HDF5: dict[str, tuple[Callable[[Any], None], str]] = {
    "external_storage": (_external, "external storage"),
    "virtual": (_virtual, "virtual"),
    "external_link": (
        _set("x", lambda _: h5py.ExternalLink("/etc/passwd", "/x")),
        "external link|HDF5|no object",
    ),
    "soft_link": (_set("x", lambda _: h5py.SoftLink("/layers")), "soft link"),
    "cycle": (_set("layers/dense/up", lambda file: file["layers"]), "hard link"),
    "alias": (_set("y", lambda file: file["layers/dense/vars/0"]), "hard link"),
    "committed_type": (_set("t", lambda _: np.dtype("float32")), "array without|type"),
    "shape_8_gib": (_unwritten(2 * GIB), "declares 8,589,934,592 bytes and stores 0"),
    "shape_3_9_gib": (_unwritten(39 * GIB // 40), "and stores 0"),
    "shape_1_gib_chunked": (
        lambda file: file.create_dataset("x", (GIB // 4,), "float32", chunks=(1 << 20,), compression="gzip"),
        "unpack to 1,073,741,8",
    ),
    "strings": (_set("x", lambda _: np.array([b"ab", b"cd"])), "an array of text"),
    "long_strings": (_set("x", lambda _: ["ab", "cd"]), "an array of text"),
    "complex": (_set("x", lambda _: np.zeros(3, "complex64")), "an array of compound"),
    "records": (_set("x", lambda _: np.zeros(3, [("a", "f4"), ("b", "i4")])), "an array of compound"),
    "ragged": (
        lambda file: file.create_dataset("x", (3,), h5py.vlen_dtype(np.dtype("float32"))),
        "an array of sequence",
    ),
}
