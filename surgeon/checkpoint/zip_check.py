"""A strict walk over a `.keras` archive, before Keras opens it.

Nothing is extracted, and never more than one chunk of a member is in memory (JSON members excepted, which
have a budget of their own).
"""

from __future__ import annotations

import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.hdf5 import Layout, Window, read_layout
from surgeon.checkpoint.json_check import bounded_json

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
_KNOWN = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets/.*", re.DOTALL)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_CHUNK = 1 << 20
_LONGEST_END = 22 + 0xFFFF + 20 + 56
_LONGEST_ENTRY = 1 << 10

Refuse = Callable[[str | None, str], Exception]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive.

    Attributes:
        name: Its name.
        offset: Where its content begins in the file.
        size: Bytes of its content.
        crc: CRC-32 of it, as the archive says.
        is_stored: Whether it lies there as it is, not deflated.
    """

    name: str
    offset: int
    size: int
    crc: int
    is_stored: bool


@dataclass(frozen=True)
class Archive:
    """What a `.keras` archive holds.

    Attributes:
        members: By name.
        config: The parsed `config.json`.
        weights: Layout of `model.weights.h5`.
    """

    members: Mapping[str, Member]
    config: Mapping[str, Any]
    weights: Layout


def read_directory(file: BinaryIO, size: int, budgets: Budgets, refuse: Refuse) -> dict[str, Member]:
    """Return the members of a `.keras` archive by name; no content is read.

    Args:
        file: The archive, open for reading.
        size: Its size in bytes.
        budgets: What it may ask for.
        refuse: Makes the exception to raise, from the name of the member at fault (`None`: the archive) and
            the reason.
    """
    with _opened(file, size, budgets, refuse) as archive:
        return _directory(archive, file, size, budgets, refuse)


def check_archive(file: BinaryIO, size: int, budgets: Budgets, refuse: Refuse) -> Archive:
    """Walk a `.keras` archive member by member, and read every byte of it.

    Args:
        file: The archive, open for reading.
        size: Its size in bytes.
        budgets: What it may ask for.
        refuse: As for `read_directory`.
    """
    with _opened(file, size, budgets, refuse) as archive:
        members = _directory(archive, file, size, budgets, refuse)
        read = {
            member.orig_filename: _check_content(archive, member, budgets, refuse)
            for member in archive.infolist()
        }
        weights = members[WEIGHTS]
        try:
            if weights.is_stored:
                layout = _layout(file, weights.offset, weights.size, budgets)
            else:
                with tempfile.TemporaryFile() as unpacked, archive.open(WEIGHTS) as stream:
                    shutil.copyfileobj(stream, unpacked, _CHUNK)
                    layout = _layout(unpacked, 0, weights.size, budgets)
        except ValueError as error:
            raise refuse(WEIGHTS, f"is refused: {error}") from error
    return Archive(members, read[CONFIG] or {}, layout)


def _layout(file: Any, start: int, size: int, budgets: Budgets) -> Layout:
    return read_layout(Window(file, start, size, budgets.description), budgets)


def _opened(file: BinaryIO, size: int, budgets: Budgets, refuse: Refuse) -> zipfile.ZipFile:
    try:
        _check_directory_size(file, size, budgets)
        return zipfile.ZipFile(file)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        ValueError,
        OSError,
        struct.error,
    ) as error:
        raise refuse(None, f"not a readable zip archive (cut off, or something else): {error}") from error


def _check_directory_size(file: BinaryIO, size: int, budgets: Budgets) -> None:
    """Refuse a directory that is too large before somebody makes an object of each entry."""
    start = max(0, size - _LONGEST_END)
    file.seek(start)
    tail = file.read(_LONGEST_END)
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) >= at + 20:
        # A 64-bit directory says -1 here, and its size in a record before this one.
        declared = int.from_bytes(tail[at + 12 : at + 16], "little")
        if declared == 0xFFFFFFFF:
            record = tail.rfind(b"PK\x06\x06", 0, at)
            declared = int.from_bytes(tail[record + 40 : record + 48], "little") if record >= 0 else size
        if declared > budgets.members * _LONGEST_ENTRY:
            raise ValueError(f"a directory of {declared:,} bytes, more than is allowed")
    file.seek(0)


def _directory(
    archive: zipfile.ZipFile, file: BinaryIO, size: int, budgets: Budgets, refuse: Refuse
) -> dict[str, Member]:
    members = archive.infolist()
    if len(members) > budgets.members:
        raise refuse(None, f"{len(members):,} members, more than the {budgets.members:,} allowed")
    _check_names(members, refuse)
    _check_sizes(members, size, budgets, refuse)
    offsets = _check_layout(file, members, archive.start_dir, refuse)
    return {
        member.orig_filename: Member(
            member.orig_filename,
            offsets[member.orig_filename],
            member.file_size,
            member.CRC,
            member.compress_type == zipfile.ZIP_STORED,
        )
        for member in members
    }


def _check_names(members: list[zipfile.ZipInfo], refuse: Refuse) -> None:
    seen: set[str] = set()
    for member in members:
        # `orig_filename` is what the archive says; `filename` ends at the first NUL, with mended separators.
        name = member.orig_filename
        if name in seen:
            raise refuse(name, "is there twice, so that two readers may see two different models")
        seen.add(name)
        path = PurePosixPath(name)
        if (
            not name
            or "\0" in name
            or "\\" in name
            or path.is_absolute()
            or ".." in path.parts
            or ":" in path.parts[0]
        ):
            raise refuse(name, "is a path that leads out of the archive, or is no plain relative path")
        if not _KNOWN.fullmatch(name):
            raise refuse(
                name, f"does not belong in a Keras archive ({METADATA}, {CONFIG}, {WEIGHTS}, assets/)"
            )
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refuse(name, "is a link or a device, not a file")
        if member.flag_bits & _ENCRYPTED:
            raise refuse(name, "is encrypted")
        if member.compress_type not in _METHODS:
            raise refuse(name, f"is compressed by method {member.compress_type}; Keras stores its members")
    for required in (METADATA, CONFIG, WEIGHTS):
        if required not in seen:
            raise refuse(required, "is missing")


def _check_sizes(members: list[zipfile.ZipInfo], size: int, budgets: Budgets, refuse: Refuse) -> None:
    total = assets = 0
    for member in members:
        name = member.filename
        if name in (CONFIG, METADATA) and member.file_size > budgets.json_size:
            raise refuse(
                name, f"declares {member.file_size:,} bytes, more than the {budgets.json_size:,} allowed"
            )
        total += member.file_size
        assets += member.file_size if name.startswith("assets/") else 0
        if assets > budgets.assets:
            raise refuse(
                name, f"brings the assets to {assets:,} bytes, more than the {budgets.assets:,} allowed"
            )
        if total > budgets.expanded(size):
            raise refuse(
                name,
                f"brings the unpacked size to {total:,} bytes, more than the {budgets.expanded(size):,} "
                f"allowed for an archive of {size:,}",
            )


def _check_layout(
    file: BinaryIO, members: list[zipfile.ZipInfo], directory: int, refuse: Refuse
) -> dict[str, int]:
    """Check that the members lie one after the other, and that local headers agree with the directory.

    Returns:
        Where the content of each member begins.
    """
    offsets = {}
    ordered = sorted(members, key=lambda member: member.header_offset)
    if ordered[0].header_offset != 0:
        raise refuse(None, "there is something before the first member of the archive")
    ends = [member.header_offset for member in ordered[1:]] + [directory]
    for member, limit in zip(ordered, ends, strict=True):
        name = member.filename
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise refuse(name, "is not where the archive's directory says")
        name_length, extra_length = _LOCAL_HEADER.unpack(header)[-2:]
        if file.read(name_length) != _raw_name(member):
            raise refuse(name, "has another name in its own header than in the archive's directory")
        end = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length + member.compress_size
        if end > limit:
            raise refuse(name, "overlaps what follows it, or is cut off")
        if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
            raise refuse(name, "has two sizes")
        offsets[member.orig_filename] = end - member.compress_size
    return offsets


def _raw_name(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")


def _check_content(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, budgets: Budgets, refuse: Refuse
) -> Any:
    """Read a member to its end, which verifies its CRC; return its JSON if it is some."""
    name = member.filename
    keep = member.file_size if name in (CONFIG, METADATA) else 0
    kept = bytearray()
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                kept += chunk[: max(0, keep - len(kept))]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise refuse(name, f"is damaged: {error}") from error
    try:
        if name in (CONFIG, METADATA):
            parsed = bounded_json(bytes(kept), budgets)
            if not isinstance(parsed, dict):
                raise refuse(name, "is not a JSON object")
            return parsed
    except (ValueError, RecursionError) as error:
        raise refuse(name, f"is {error}") from error
    return None
