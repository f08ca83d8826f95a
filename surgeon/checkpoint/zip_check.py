"""A strict walk over a `.keras` archive, before Keras opens it.

Nothing is extracted, and never more than one chunk of a member is in memory (JSON members excepted, which
have a budget of their own).
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import BinaryIO

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.hdf5_check import HEAD, check_hdf5
from surgeon.checkpoint.json_check import bounded_json

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
_KNOWN = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets/.*", re.DOTALL)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_CHUNK = 1 << 20

Refuse = Callable[[str | None, str], Exception]


def check_archive(file: BinaryIO, size: int, budgets: Budgets, refuse: Refuse) -> None:
    """Walk a `.keras` archive member by member.

    Args:
        file: The archive, open for reading.
        size: Its size in bytes.
        budgets: What it may ask for.
        refuse: Makes the exception to raise, from the name of the member at fault (`None`: the archive) and
            the reason.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        ValueError,
        OSError,
        struct.error,
    ) as error:
        raise refuse(None, f"not a readable zip archive (cut off, or something else): {error}") from error
    with archive:
        members = archive.infolist()
        if len(members) > budgets.members:
            raise refuse(None, f"{len(members):,} members, more than the {budgets.members:,} allowed")
        _check_names(members, refuse)
        _check_sizes(members, size, budgets, refuse)
        _check_layout(file, members, archive.start_dir, refuse)
        for member in members:
            _check_content(archive, member, budgets, refuse)


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


def _check_layout(file: BinaryIO, members: list[zipfile.ZipInfo], directory: int, refuse: Refuse) -> None:
    """Check that the members lie one after the other, and that local headers agree with the directory."""
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


def _raw_name(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")


def _check_content(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, budgets: Budgets, refuse: Refuse
) -> None:
    """Read a member to its end, which verifies its CRC, and look at what it starts with."""
    name = member.filename
    keep = member.file_size if name in (CONFIG, METADATA) else HEAD
    kept = bytearray()
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                kept += chunk[: max(0, keep - len(kept))]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise refuse(name, f"is damaged: {error}") from error
    try:
        if name == WEIGHTS:
            check_hdf5(bytes(kept), member.file_size)
        elif name in (CONFIG, METADATA) and not isinstance(bounded_json(bytes(kept), budgets), dict):
            raise refuse(name, "is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise refuse(name, f"is {error}") from error
