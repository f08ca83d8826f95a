"""Carrying out a byte plan: one file in, one file out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from surgeon.checkpoint.bytepath.archive import ArchiveWriter
from surgeon.checkpoint.bytepath.checksums import crc32
from surgeon.checkpoint.bytepath.opened import Opened
from surgeon.checkpoint.bytepath.plan import Array, BytePlan, Piece, digest_rest
from surgeon.checkpoint.bytepath.reading import reader_of
from surgeon.checkpoint.bytepath.streams import Origin, Target
from surgeon.checkpoint.zip_check import CONFIG, METADATA, WEIGHTS, Member
from surgeon.partial.part import Part

_RATE = re.compile(rb'"learning_rate": (-?[0-9][0-9.eE+-]*)')


def fits(plan: BytePlan, source: Opened) -> bool:
    """Whether a plan fits a file: every byte that is not in an array is as it was in the plan's file."""
    if source.size == plan.size:
        source.keep(plan.gaps)
    return source.size == plan.size and digest_rest(source.read, plan.gaps) == plan.rest


@dataclass(frozen=True)
class Executed:
    """What was found on the way.

    Attributes:
        not_finite: Arrays with NaN or infinite values.
        verified: Whether every byte of the source's weights was checked against a CRC.
        source_crc: CRC-32 of the source's HDF5 part; `None` if not all of it was read.
        output_crc: CRC-32 of the output's HDF5 part.
        members: Name, size and CRC of the output's members; empty for bare weights.
    """

    not_finite: tuple[str, ...]
    verified: bool
    source_crc: int | None
    output_crc: int
    members: tuple[tuple[str, int, int], ...]


def execute(plan: BytePlan, source: Opened, descriptor: int, *, trust: bool = False) -> Executed:
    """Write the output of a plan.

    Args:
        plan: A plan that `fits`.
        source: The source.
        descriptor: An empty file, open for writing.
        trust: Do not look for values that are not finite, and leave bytes unread whose checksum follows from
            what the source says of itself.

    Raises:
        ValueError: If the source is damaged.
        OSError: If something cannot be read or written.
        RuleError: If a criterion cannot order the values.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _Execution(plan, source, descriptor, trust=trust).run()


class _Execution:
    def __init__(self, plan: BytePlan, source: Opened, descriptor: int, *, trust: bool) -> None:
        self._plan, self._source = plan, source
        self._target = Target(descriptor)
        self._arrays = plan.by_path
        self._reader = reader_of(plan, source, self._target, trust=trust)
        self._made_crcs: list[int] = []

    def run(self) -> Executed:
        members: tuple[tuple[str, int, int], ...] = ()
        if self._plan.config is None:
            output_crc = self._weights()
            self._target.flush()
        else:
            archive = ArchiveWriter(self._target)
            for name, data in ((METADATA, self._metadata()), (CONFIG, self._config())):
                with archive.member(name, len(data)):
                    self._target.put(data)
            for name in self._plan.assets:
                self._asset(archive, self._source.members[name])
            with archive.member(WEIGHTS, self._plan.output_size) as member:
                member.crc = output_crc = self._weights()
            archive.close()
            members = archive.listed()
        reader = self._reader
        verified = reader.source_crc is not None and self._source.crc is not None
        return Executed(reader.not_finite, verified, reader.source_crc, output_crc, members)

    def _weights(self) -> int:
        """Write the weights and return their CRC."""
        begin, append, copy = self._target.position, self._target.append, self._reader.copy
        self._target.reserve(self._plan.output_size)
        for step in self._plan.steps:
            if type(step) is bytes:  # thousands of them: this is what a file of many small arrays costs
                append(step)
            elif type(step) is int:
                copy(step)
            else:
                piece = cast("Piece", step)
                data = self._made(piece)
                if len(data) != piece.size:
                    raise ValueError("the plan does not add up")
                self._made_crcs.append(crc32(data))
                append(data)
        if self._target.position - begin != self._plan.output_size:
            raise ValueError("the plan does not add up")
        return self._reader.finish(self._made_crcs)

    def _made(self, piece: Piece) -> bytes:
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
        return b"".join(
            part if isinstance(part, bytes) else json.dumps(self._said(*part)).encode()
            for part in self._plan.config_bytes
        )

    def _said(self, slot: str, which: Any) -> Any:
        if slot == "bits":
            return self._parts[int(which)].to_config()["bits"]
        if slot == "rate":
            return float(np.float32(self._rate))
        return self._values(self._arrays[which]).item()

    @property
    def _rate(self) -> float:
        return learning_rate(self._source.config)

    def _asset(self, archive: ArchiveWriter, member: Member) -> None:
        origin = Origin(self._source.file, member.offset, member.size, self._target.release)
        with archive.member(member.name, member.size):
            for view in origin.range(0, member.size):
                self._target.put(view)
            origin.finish()
            if self._target.crc != member.crc:
                raise ValueError(f"member {member.name!r} is damaged: Bad CRC-32")


def learning_rate(config: bytes) -> float:
    """Return the learning rate that the text of a config says; NaN if it says none."""
    found = _RATE.search(config)
    return float(found[1]) if found else float("nan")
