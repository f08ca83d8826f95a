"""Writes `.h5` files as Keras 2 did, from a config and arrays: no Keras of today is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Arrays = Mapping[str, np.ndarray[Any, Any]]


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    """Return a layer as Keras 2 described it."""
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def glorot() -> dict[str, Any]:
    """Return an initializer as Keras 2 described it: without a module."""
    return {
        "class_name": "VarianceScaling",
        "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
    }


def write_keras2(
    path: Path, model: Mapping[str, Any], weights: Mapping[str, Arrays], version: str = "2.2.4"
) -> Path:
    """Write a legacy file.

    Args:
        path: Where.
        model: The config of the model.
        weights: Arrays of each layer by their names in Keras 2, in order.
        version: The release that the file says to be from.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(model).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        group.attrs["keras_version"] = version.encode()
        group.attrs["backend"] = b"tensorflow"
        for name, arrays in weights.items():
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [f"{name}/{weight}:0".encode() for weight in arrays]
            for weight, value in arrays.items():
                inner[f"{name}/{weight}:0"] = value.astype("float32")
    return path
