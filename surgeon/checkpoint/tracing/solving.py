"""Which bytes of an output are which bytes of its source."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.checkpoint.bytepath.plan import Array, Piece
from surgeon.checkpoint.bytepath.recipe import Recipe
from surgeon.checkpoint.hdf5 import Dataset, Layout
from surgeon.partial.part import Part
from surgeon.paths import STATE

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class ComputesError(Exception):
    """The rules do more than move bytes, or do so in a way that cannot be written down."""


@dataclass(frozen=True)
class Run:
    """One conversion, as bytes.

    Attributes:
        source: The HDF5 part of the source.
        output: The HDF5 part of the output.
        layout: Layout of the output.
        parts: What trains, for each recipe.
        rate: Learning rate in the source's config.
    """

    source: Bytes
    output: Bytes
    layout: Layout
    parts: tuple[Part, ...]
    rate: float


def solve(runs: Sequence[Run], arrays: Sequence[Array], recipes: Sequence[Recipe]) -> tuple[Piece, ...]:
    """Return the pieces of the output.

    Args:
        runs: Conversions of files with different numbers.
        arrays: Arrays of the source.
        recipes: What trains.

    Raises:
        ComputesError: If an array of the output is no array, part of an array, or constant.
    """
    first = runs[0]
    if any(
        run.layout.datasets != first.layout.datasets or run.output.size != first.output.size for run in runs
    ):
        raise ComputesError("the layout of the output depends on the numbers in the file")
    solver = _Solver(runs, {array.path: array for array in arrays}, recipes)
    for dataset in first.layout.datasets.values():
        solver.find_copy(dataset)
    pieces: list[Piece] = []
    at = 0
    for dataset in first.layout.datasets.values():
        if dataset.offset is None:
            if dataset.size:
                raise ComputesError(f"{dataset.path} of the output is not one range of bytes")
            continue
        pieces.append(_raw(solver.constant(at, dataset.offset, "between arrays")))
        pieces.append(solver.piece(dataset))
        at = dataset.end
    pieces.append(_raw(solver.constant(at, first.output.size, "after the arrays")))
    return tuple(_joined(pieces))


class _Solver:
    def __init__(self, runs: Sequence[Run], arrays: Mapping[str, Array], recipes: Sequence[Recipe]) -> None:
        self._runs, self._arrays, self._recipes = runs, arrays, recipes
        self._known: defaultdict[tuple[str, bytes], list[str]] = defaultdict(list)
        for path, array in arrays.items():
            self._known[array.dtype, self._digest([_of(run.source, array) for run in runs])].append(path)
        self._copied: dict[str, str] = {}

    def constant(self, begin: int, end: int, where: str) -> bytes:
        data = {run.output[begin:end].tobytes() for run in self._runs}
        if len(data) != 1:
            raise ComputesError(f"bytes {where} depend on the numbers in the file")
        return data.pop()

    def find_copy(self, dataset: Dataset) -> None:
        """Note which array of the source an array of the output is, if it is one as a whole."""
        same = self._known.get((dataset.dtype, self._digest(self._values(dataset))), ())
        if len(same) > 1:
            raise ComputesError(f"{dataset.path} may be any of {', '.join(same[:3])}")
        if same and dataset.size:
            self._copied[dataset.path] = same[0]

    def _values(self, dataset: Dataset) -> list[Bytes]:
        return [run.output[dataset.offset : dataset.end] for run in self._runs]

    def piece(self, dataset: Dataset) -> Piece:
        if dataset.path in self._copied:
            return Piece("copy", dataset.size, array=self._copied[dataset.path])
        values = self._values(dataset)
        group, _, name = dataset.path.rpartition("/")
        if group.endswith(f"/{STATE}/vars"):
            found = self._index(group.removesuffix(f"/{STATE}/vars"), name, values)
            if found is not None:
                return found
        if all(bytes(value) == bytes(values[0]) for value in values):
            return _raw(bytes(values[0]))
        if all(bytes(v) == np.float32(run.rate).tobytes() for v, run in zip(values, self._runs, strict=True)):
            return Piece("rate", dataset.size)
        return self._taken(dataset, values)

    def _index(self, layer: str, name: str, values: Sequence[Bytes]) -> Piece | None:
        """Return the recipe whose positions these are: by name, by its layer, and by value."""
        own = {source for path, source in self._copied.items() if path.rpartition("/")[0] == f"{layer}/vars"}
        for number, recipe in enumerate(self._recipes):
            if recipe.path.rpartition("/")[2] != name or not recipe.needs_values or recipe.source not in own:
                continue
            made = [run.parts[number].index.astype("<i4").tobytes() for run in self._runs]
            if made == [bytes(value) for value in values]:
                return Piece("index", values[0].size, recipe=number)
        return None

    def _taken(self, dataset: Dataset, values: Sequence[Bytes]) -> Piece:
        size = math.prod(dataset.shape)
        found = []
        for number, recipe in enumerate(self._recipes):
            if self._runs[0].parts[number].size != size:
                continue
            for path, array in self._arrays.items():
                fits = array.shape == recipe.start.shape and array.dtype == dataset.dtype
                if fits and all(
                    _takes(run, number, array, value) for run, value in zip(self._runs, values, strict=True)
                ):
                    found.append(Piece("take", dataset.size, array=path, recipe=number))
        # Two weights may train at the same fixed positions: then it does not matter whose positions they are.
        moving = [piece for piece in found if self._recipes[piece.recipe].needs_values]
        if not found or len({piece.array for piece in found}) > 1 or len(moving) > 1:
            what = "may be several parts" if found else "is no part"
            raise ComputesError(f"{dataset.path} {what} of the source: a rule or a layer computes it")
        return (moving or found)[0]

    def _digest(self, values: Sequence[Bytes]) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for value in values:
            digest.update(np.ascontiguousarray(value).data)
        return digest.digest()


def _takes(run: Run, number: int, array: Array, value: Bytes) -> bool:
    whole = _of(run.source, array).tobytes()
    part = run.parts[number]
    return np.ascontiguousarray(
        part.take(np.frombuffer(whole, array.dtype).reshape(array.shape))
    ).tobytes() == (value.tobytes())


def _of(data: Bytes, array: Array) -> Bytes:
    return data[array.offset : array.offset + array.size]


def _raw(data: bytes) -> Piece:
    return Piece("raw", len(data), data)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Join raw pieces that follow each other, and drop the empty ones."""
    found: list[Piece] = []
    for piece in pieces:
        if piece.kind != "raw":
            found.append(piece)
        elif piece.data and found and found[-1].kind == "raw":
            found[-1] = _raw(found[-1].data + piece.data)
        elif piece.data:
            found.append(piece)
    return found
