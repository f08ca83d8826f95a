"""What the weights are called whose values are the arrays of a weights file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.hdf5 import Dataset, Window, read_layout
from surgeon.paths import join, weights

_BASE, _DIGITS = 15, 4
"""Numbers up to 15 are exact in every dtype that weights have."""


def array_names(model: Any, folder: Path) -> dict[str, str]:
    """Return the path of the weight (`head/kernel`) that Keras saves as each array, by the array's path.

    Keras writes groups with ordinals (`layers/dense_1/vars/0`), not names. So each weight is given its number
    as its value, and one file is written with these: the model is spoiled.

    Args:
        model: A model that nobody needs any more.
        folder: For a temporary file.
    """
    sites = [(join(path, name), variable) for path, name, _, variable in weights(model)]
    for number, (_, variable) in enumerate(sites):
        variable.assign(_numbered(number, tuple(variable.shape), str(variable.dtype)))
    path = folder / "numbers.weights.h5"
    found: dict[str, str] = {}
    try:
        model.save_weights(path)
        with path.open("rb") as file:
            layout = read_layout(Window(file, 0, path.stat().st_size, DEFAULT.description), DEFAULT)
            for dataset in layout.datasets.values():
                # What an optimizer counts may look like one of the numbers.
                number = -1 if dataset.path.startswith("optimizer/") else _number(file, dataset)
                if 0 <= number < len(sites) and tuple(sites[number][1].shape) == dataset.shape:
                    found[dataset.path] = sites[number][0]
    finally:
        path.unlink(missing_ok=True)
    # One name for two arrays would be a name for neither.
    counts = Counter(found.values())
    return {path: name for path, name in found.items() if counts[name] == 1}


def _numbered(number: int, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return values from which a number can be read again; zeros for what cannot hold it."""
    values = np.zeros(int(np.prod(shape, dtype=np.int64)), "int64")
    if values.size >= _DIGITS:
        values[:_DIGITS] = [1 + number // _BASE**place % _BASE for place in range(_DIGITS)]
    elif values.size:
        values[0] = number + 1
    return values.reshape(shape).astype(
        "bool" if dtype == "bool" else "int32" if "int" in dtype else "float32"
    )


def _number(file: Any, dataset: Dataset) -> int:
    """Inverse of `_numbered`; -1 if there is no number."""
    if dataset.offset is None or dataset.dtype in ("|b1", "|V1") or not dataset.size:
        return -1
    kind = np.dtype(dataset.dtype)
    file.seek(dataset.offset)
    data = file.read(min(dataset.size, _DIGITS * kind.itemsize))
    if kind.kind == "V" and kind.itemsize == 2:  # bfloat16 is the upper half of a float32
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(data, kind)
    if dataset.size // kind.itemsize < _DIGITS:
        return int(values[0]) - 1
    digits = [int(value) - 1 for value in values]
    if not all(0 <= digit < _BASE for digit in digits):
        return -1
    return sum(digit * _BASE**place for place, digit in enumerate(digits))
