"""Opening checkpoints with Keras: only after the front door, and never with its safe mode off."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

# Makes the classes known that Surgeon's own outputs name.
import surgeon.partial  # noqa: F401 - imported for its effect
from surgeon.checkpoint.architecture import read_config
from surgeon.checkpoint.sources import Kind
from surgeon.errors import CheckpointError


def load_admitted(path: Path, kind: Kind, architecture: Path | None = None) -> Any:
    """Load a checkpoint that has passed the front door. Raises whatever Keras raises."""
    with warnings.catch_warnings():
        # Two are the step and the learning rate: the optimizer was never used, and nothing is lost.
        unused = "Skipping variable loading for optimizer.*the saved optimizer has 2 variables"
        warnings.filterwarnings("ignore", message=unused)
        return _load(path, kind, architecture)


def _load(path: Path, kind: Kind, architecture: Path | None) -> Any:
    if kind is Kind.LEGACY:
        return _load_legacy(path)
    if kind is Kind.KERAS:
        return keras.saving.load_model(path, safe_mode=True)
    if architecture is None:
        raise CheckpointError(f"{path} holds bare weights and no architecture was given")
    # Made anew for each file: where a file lacks something, nothing is left from the file before.
    if Kind.of(architecture) is Kind.KERAS:
        model = keras.saving.load_model(architecture, safe_mode=True)
    else:
        model = keras.saving.deserialize_keras_object(read_config(architecture), safe_mode=True)
    model.load_weights(path)
    return model


def _load_legacy(path: Path) -> Any:
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except ValueError as error:
        # Keras 3 cannot read what it wrote for `loss="mse"` in this format. The model itself may be sound.
        model = keras.saving.load_model(path, safe_mode=True, compile=False)
        text = " ".join(str(error).split())
        warnings.warn(
            f"loss, metrics and optimizer are dropped, Keras cannot read them: {text}", stacklevel=2
        )
        return model


def import_modules(names: Iterable[str]) -> None:
    """Import the modules in which a user registers classes of their own.

    Raises:
        CheckpointError: If one cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise CheckpointError(f"cannot import {name!r}, which --import asks for: {error}") from error
