"""Opening checkpoints with Keras: only after the front door, and never with its safe mode off."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import h5py
import keras

from surgeon.checkpoint.architecture import read_config
from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.json_check import bounded_json
from surgeon.checkpoint.legacy_config import repaired
from surgeon.checkpoint.sources import Kind
from surgeon.errors import CheckpointError, RefusedError

_WIDTHS = {
    "float64": 8,
    "int64": 8,
    "uint64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
"""Bytes of an element, where it is not 4."""


def load_admitted(path: Path, kind: Kind, architecture: Path | None = None, *, compiled: bool = True) -> Any:
    """Load a checkpoint that has passed the front door. Raises whatever Keras raises.

    Args:
        path: The checkpoint.
        kind: Its kind.
        architecture: The model that bare weights belong to.
        compiled: Whether a compiled model is compiled again: with loss, metrics and the optimizer's state.
    """
    with warnings.catch_warnings():
        # Two are the step and the learning rate: the optimizer was never used, and nothing is lost.
        unused = "Skipping variable loading for optimizer.*the saved optimizer has 2 variables"
        warnings.filterwarnings("ignore", message=unused)
        return _load(path, kind, architecture, compiled=compiled)


@contextmanager
def weight_budget(allowed: int) -> Iterator[None]:
    """Refuse a model whose weights would take more bytes than its file can hold, before they are made.

    Args:
        allowed: Bytes of weights.
    """
    add = keras.layers.Layer.add_weight
    held = 0

    @wraps(add)
    def add_weight(
        layer: Any, shape: Any = None, initializer: Any = None, dtype: Any = None, *a: Any, **k: Any
    ) -> Any:
        nonlocal held
        sizes = (shape,) if isinstance(shape, int) else tuple(shape or ())
        name = keras.backend.standardize_dtype(dtype or layer.variable_dtype)
        held += math.prod(sizes) * _WIDTHS.get(name, 4)
        if held > allowed:
            raise RefusedError(
                f"layer {layer.name!r} wants a weight of shape {sizes}: the model would take {held:,} bytes, "
                f"more than the {allowed:,} allowed for this file"
            )
        return add(layer, shape, initializer, dtype, *a, **k)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add


def _load(path: Path, kind: Kind, architecture: Path | None, *, compiled: bool) -> Any:
    if kind is Kind.LEGACY:
        return _load_legacy(path, compiled=compiled)
    if kind is Kind.KERAS:
        return keras.saving.load_model(path, safe_mode=True, compile=compiled)
    if architecture is None:
        raise CheckpointError(f"{path} holds bare weights and no architecture was given")
    # Made anew for each file: where a file lacks something, nothing is left from the file before.
    if Kind.of(architecture) is Kind.KERAS:
        model = keras.saving.load_model(architecture, safe_mode=True, compile=compiled)
        if model.compiled and (compiling := model.get_compile_config()):
            # Of this file only the architecture counts: its optimizer's momentum belongs to other weights.
            model.compile_from_config(compiling)
    else:
        config = read_config(architecture)
        if not compiled:
            config.pop("compile_config", None)
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    model.load_weights(path)
    return model


def _load_legacy(path: Path, *, compiled: bool) -> Any:
    with _repaired(path) as file:
        try:
            return keras.saving.load_model(file, safe_mode=True, compile=compiled)
        except (TypeError, ValueError) as error:
            if not compiled:
                raise
            # Keras 3 cannot read what it wrote for `loss="mse"` here, nor for a function that nobody
            # registered. The model itself may be sound.
            model = keras.saving.load_model(file, safe_mode=True, compile=False)
            text = " ".join(str(error).split())
            warnings.warn(
                f"loss, metrics and optimizer are dropped, Keras cannot read them: {text}", stacklevel=2
            )
            return model


@contextmanager
def _repaired(path: Path) -> Iterator[Path]:
    """Yield the path of a file that Keras 3 reads as Keras 2 meant it: the file itself, or a copy of it."""
    with h5py.File(path) as file:
        text, version = (_text(file.attrs.get(name, "")) for name in ("model_config", "keras_version"))
    if not text or version.startswith("3."):
        yield path
        return
    config, notes = repaired(bounded_json(text.encode(), DEFAULT))
    if not notes:
        yield path
        return
    import surgeon.partial.keras2  # noqa: F401 - registers the formulas of Keras 2

    for note in notes:
        warnings.warn(f"repaired: {note}", stacklevel=2)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config).encode()
        yield copy


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def import_modules(names: Iterable[str]) -> None:
    """Import the modules in which a user registers classes of their own.

    Raises:
        CheckpointError: If one cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise CheckpointError(
                f"cannot import {name!r}, which --import asks for: {error}. Modules are looked for "
                "among what is installed, and in the folders of PYTHONPATH: PYTHONPATH=. adds this one"
            ) from error
