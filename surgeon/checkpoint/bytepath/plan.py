"""The byte plan of an architecture, as data: which output bytes are which input bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.checkpoint.bytepath.checksums import crc32, shift
from surgeon.checkpoint.bytepath.derivation import Derivation
from surgeon.checkpoint.bytepath.recipe import Recipe
from surgeon.errors import PlanError, RuleError

FORMAT = 3


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the source: path, shape, dtype as numpy writes it, and offset in the HDF5 file."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.dtype(self.dtype).itemsize) * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of the output's weights.

    Attributes:
        kind: `raw` (the same for every file), `copy` (an array of the source as it is), `take` (the
            elements of an array that train), `index` (the positions that train), `rate` (the learning
            rate of the config).
        size: Bytes.
        data: For `raw`.
        array: Path of the array, for `copy` and `take`.
        recipe: Number of the recipe, for `take` and `index`.
    """

    kind: str
    size: int
    data: bytes = b""
    array: str = ""
    recipe: int = -1


@dataclass(frozen=True)
class BytePlan:
    """How to make the output of every file of one architecture by moving bytes.

    Attributes:
        key: Digest of the config, the rules and the versions; the files that it may fit.
        size: Bytes of the source's HDF5 part.
        rest: SHA-256 of those of its bytes that are not in an array.
        rest_crc: What they contribute to the CRC of the HDF5 part; see `checksums`.
        arrays: Arrays of the source, in the order of their bytes.
        recipes: What trains of the weights that are neither frozen nor trained as a whole.
        pieces: The output's weights, in order.
        output_size: Bytes of the output's weights.
        config: The output's `config.json`: text, and in between `("bits", recipe)`, `("rate", "")` or
            `("scalar", array)`. `None` for bare weights.
        assets: The members of the source that are copied as they are.
        version: Version of Keras that the output is written as.
        notes: What Keras warned about when the plan was made.
        names: What the weights are called that are the output's arrays, by their path; where that was asked.
        model: What a person knows the model by.
    """

    key: str
    size: int
    rest: str
    rest_crc: int
    arrays: tuple[Array, ...]
    recipes: tuple[Recipe, ...]
    pieces: tuple[Piece, ...]
    output_size: int
    config: tuple[str | tuple[str, Any], ...] | None = None
    assets: tuple[str, ...] = ()
    version: str = ""
    notes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    model: str = ""

    def to_json(self) -> str:
        """Return the plan as JSON: data only."""
        return json.dumps(
            {
                "surgeon_byte_plan": FORMAT,
                "key": self.key,
                "size": self.size,
                "rest": self.rest,
                "rest_crc": self.rest_crc,
                "arrays": [[a.path, list(a.shape), a.dtype, a.offset] for a in self.arrays],
                "recipes": [recipe.to_data() for recipe in self.recipes],
                "pieces": [[p.kind, p.size, _pack(p.data), p.array, p.recipe] for p in self.pieces],
                "output_size": self.output_size,
                "config": self.config
                and [part if isinstance(part, str) else list(part) for part in self.config],
                "assets": list(self.assets),
                "version": self.version,
                "notes": list(self.notes),
                "names": dict(self.names),
                "model": self.model,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> BytePlan:
        """Inverse of `to_json`.

        Raises:
            PlanError: If the text is not such a plan.
        """
        try:
            data = json.loads(text)
            if data.get("surgeon_byte_plan") != FORMAT:
                raise PlanError(f"no byte plan of format {FORMAT}")
            config = data["config"]
            return cls(
                key=str(data["key"]),
                size=int(data["size"]),
                rest=str(data["rest"]),
                rest_crc=int(data["rest_crc"]),
                arrays=tuple(Array(p, tuple(shape), d, int(o)) for p, shape, d, o in data["arrays"]),
                recipes=tuple(Recipe.from_data(recipe) for recipe in data["recipes"]),
                pieces=tuple(Piece(k, int(n), _unpack(d), a, int(r)) for k, n, d, a, r in data["pieces"]),
                output_size=int(data["output_size"]),
                config=config and tuple(p if isinstance(p, str) else (str(p[0]), p[1]) for p in config),
                assets=tuple(data["assets"]),
                version=str(data["version"]),
                notes=tuple(data["notes"]),
                names={str(path): str(name) for path, name in data.get("names", {}).items()},
                model=str(data.get("model", "")),
            )
        except (AttributeError, KeyError, TypeError, ValueError, zlib.error, RuleError) as error:
            raise PlanError(f"damaged byte plan: {type(error).__name__}: {error}") from error

    @cached_property
    def config_bytes(self) -> tuple[bytes | tuple[str, Any], ...]:
        """The output's `config.json`, its text encoded."""
        return tuple(part.encode() if isinstance(part, str) else part for part in self.config or ())

    @cached_property
    def steps(self) -> tuple[bytes | int | Piece, ...]:
        """The pieces, as bytes, as the number of an array, or as they are if they must be made."""

        def step(piece: Piece) -> bytes | int | Piece:
            if piece.kind == "raw":
                return piece.data
            return self.numbers[piece.array] if piece.kind == "copy" else piece

        return tuple(map(step, self.pieces))

    @cached_property
    def by_path(self) -> Mapping[str, Array]:
        """The source's arrays by path."""
        return {array.path: array for array in self.arrays}

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Where in `arrays` each path is."""
        return {array.path: number for number, array in enumerate(self.arrays)}

    @cached_property
    def numbers_used(self) -> frozenset[int]:
        """Which arrays the output is made of."""
        named = {piece.array for piece in self.pieces} | {str(recipe.source) for recipe in self.recipes}
        return frozenset(number for path, number in self.numbers.items() if path in named)

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Begin and end of each array in the HDF5 part."""
        return tuple((array.offset, array.offset + array.size) for array in self.arrays)

    @cached_property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Offset and size of what is in no array of the source."""
        return gaps_between(self.arrays, self.size)

    @cached_property
    def derivation(self) -> Derivation:
        """What follows for the output's checksum from those of the arrays."""
        return Derivation(self)


def gaps_between(arrays: Sequence[Array], size: int) -> tuple[tuple[int, int], ...]:
    """Return offset and size of what lies between arrays.

    Args:
        arrays: In the order of their bytes.
        size: Bytes of the HDF5 part.

    Raises:
        ValueError: If two arrays have bytes in common.
    """
    found = []
    at = 0
    for array in arrays:
        if array.offset < at:
            raise ValueError(f"{array.path} overlaps another array")
        if array.offset > at:
            found.append((at, array.offset - at))
        at = array.offset + array.size
    return (*found, (at, size - at)) if size > at else tuple(found)


Read = Callable[[int, int], bytes]
"""`read(offset, size)` returns bytes of an HDF5 part."""


def digest_rest(read: Read, gaps: Sequence[tuple[int, int]]) -> str:
    """Return the SHA-256 of the bytes that are in no array."""
    digest = hashlib.sha256()
    for offset, size in gaps:
        digest.update(read(offset, size))
    return digest.hexdigest()


def crc_of_rest(read: Read, gaps: Sequence[tuple[int, int]], total: int) -> int:
    """Return what the bytes that are in no array contribute to the CRC of all `total` bytes."""
    found = 0
    for offset, size in gaps:
        found ^= shift(crc32(read(offset, size)), total - offset - size)
    return found


def _pack(data: bytes) -> str:
    return base64.b85encode(zlib.compress(data, 6)).decode() if data else ""


def _unpack(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text)) if text else b""
