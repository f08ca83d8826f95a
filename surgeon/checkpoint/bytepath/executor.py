"""Carrying out a byte plan: one file in, one file out, every byte read once and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.checkpoint.bytepath.archive import ArchiveWriter
from surgeon.checkpoint.bytepath.finite import is_finite
from surgeon.checkpoint.bytepath.plan import Array, BytePlan, Piece, digest_rest
from surgeon.checkpoint.bytepath.streams import Origin, Target, read_exactly
from surgeon.checkpoint.zip_check import CONFIG, METADATA, WEIGHTS, Member
from surgeon.partial.part import Part

_RATE = re.compile(rb'"learning_rate": (-?[0-9][0-9.eE+-]*)')


@dataclass(frozen=True)
class Opened:
    """A source that is open, and where things lie in it.

    Attributes:
        descriptor: Open for reading.
        start: Where the HDF5 part begins in the file.
        size: Its bytes.
        crc: Its CRC, if the file says it.
        members: The members of the archive; empty for HDF5 files.
        config: Text of `config.json`; empty for HDF5 files.
        date: When the source was saved, as it says.
    """

    descriptor: int
    start: int
    size: int
    crc: int | None
    members: Mapping[str, Member]
    config: bytes = b""
    date: str = ""

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the HDF5 part."""
        return read_exactly(self.descriptor, self.start + offset, size)


def fits(plan: BytePlan, source: Opened) -> bool:
    """Whether a plan fits a file: every byte that is not in an array is as it was in the plan's file."""
    return source.size == plan.size and digest_rest(source.read, source.size, plan.arrays) == plan.rest


@dataclass(frozen=True)
class Executed:
    """What was found on the way.

    Attributes:
        not_finite: Arrays with NaN or infinite values.
        verified: Whether every byte of the source's weights was checked against a CRC.
        source_crc: CRC-32 of the source's HDF5 part; 0 if it was trusted.
        output_crc: CRC-32 of the output's HDF5 part.
        members: Name, size and CRC of the output's members; empty for bare weights.
    """

    not_finite: tuple[str, ...]
    verified: bool
    source_crc: int
    output_crc: int
    members: tuple[tuple[str, int, int], ...]


def execute(plan: BytePlan, source: Opened, descriptor: int, *, trust: bool = False) -> Executed:
    """Write the output of a plan.

    Args:
        plan: A plan that `fits`.
        source: The source.
        descriptor: An empty file, open for writing.
        trust: Neither check the source's CRC nor look for values that are not finite.

    Raises:
        ValueError: If the source is damaged.
        OSError: If something cannot be read or written.
        RuleError: If a criterion cannot order the values.
    """
    return _Execution(plan, source, descriptor, trust=trust).run()


class _Execution:
    def __init__(self, plan: BytePlan, source: Opened, descriptor: int, *, trust: bool) -> None:
        self._plan, self._source, self._trust = plan, source, trust
        self._target = Target(descriptor)
        self._origin = Origin(
            source.descriptor, source.start, source.size, self._target.flush, checked=not trust
        )
        self._arrays = plan.by_path()
        self._bad: dict[str, None] = {}

    def run(self) -> Executed:
        members: tuple[tuple[str, int, int], ...] = ()
        if self._plan.config is None:
            self._weights()
            self._target.flush()
            output_crc = self._target.crc
        else:
            archive = ArchiveWriter(self._target)
            for name, data in ((METADATA, self._metadata()), (CONFIG, self._config())):
                with archive.member(name, len(data)):
                    self._target.put(data)
            for name in self._plan.assets:
                self._asset(archive, self._source.members[name])
            with archive.member(WEIGHTS, self._plan.output_size):
                self._weights()
            archive.close()
            members = archive.listed()
            output_crc = members[-1][2]
        crc = 0 if self._trust else self._origin.finish()
        if not self._trust and self._source.crc not in (None, crc):
            raise ValueError(f"member {WEIGHTS!r} is damaged: Bad CRC-32")
        verified = not self._trust and self._source.crc is not None
        return Executed(tuple(self._bad), verified, crc, output_crc, members)

    def _weights(self) -> None:
        begin = self._target.position
        for piece in self._plan.pieces:
            if piece.kind == "copy":
                self._copy(self._arrays[piece.array])
            else:
                self._target.put(self._made(piece))
        if self._target.position - begin != self._plan.output_size:
            raise ValueError("the plan does not add up")

    def _copy(self, array: Array) -> None:
        look = None if self._trust else array.dtype
        for view in self._origin.range(array.offset, array.size):
            self._target.put(view)
            if look is not None and not is_finite(view, look):
                self._bad[array.path] = None

    def _made(self, piece: Piece) -> bytes:
        if piece.kind == "raw":
            return piece.data
        if piece.kind == "rate":
            return np.float32(self._rate).tobytes()
        part = self._parts[piece.recipe]
        if piece.kind == "index":
            return part.index.astype("<i4").tobytes()
        return np.ascontiguousarray(part.take(self._values(self._arrays[piece.array]))).tobytes()

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(
            recipe.part(lambda recipe=recipe: self._values(self._arrays[str(recipe.source)]))  # type: ignore[misc]
            for recipe in self._plan.recipes
        )

    def _values(self, array: Array) -> np.ndarray[Any, Any]:
        data = self._source.read(array.offset, array.size)
        return np.frombuffer(data, array.dtype).reshape(array.shape)

    def _metadata(self) -> bytes:
        # The source's own date: the output of a file does not depend on when it was made.
        return json.dumps({"keras_version": self._plan.version, "date_saved": self._source.date}).encode()

    def _config(self) -> bytes:
        text = []
        for part in self._plan.config or ():
            if isinstance(part, str):
                text.append(part)
            elif part[0] == "bits":
                text.append(json.dumps(self._parts[int(part[1])].to_config()["bits"]))
            elif part[0] == "rate":
                text.append(json.dumps(float(np.float32(self._rate))))
            else:
                text.append(json.dumps(self._values(self._arrays[part[1]]).item()))
        return "".join(text).encode()

    @property
    def _rate(self) -> float:
        return learning_rate(self._source.config)

    def _asset(self, archive: ArchiveWriter, member: Member) -> None:
        origin = Origin(self._source.descriptor, member.offset, member.size, self._target.flush)
        with archive.member(member.name, member.size):
            for view in origin.range(0, member.size):
                self._target.put(view)
            if origin.finish() != member.crc:
                raise ValueError(f"member {member.name!r} is damaged: Bad CRC-32")
            self._target.flush()


def learning_rate(config: bytes) -> float:
    """Return the learning rate that the text of a config says; NaN if it says none."""
    found = _RATE.search(config)
    return float(found[1]) if found else float("nan")
