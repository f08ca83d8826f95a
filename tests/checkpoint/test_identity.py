"""Names for the content of files: a later run knows it again, and nothing else."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest

from surgeon.checkpoint.identity import is_damaged, name_members, name_sha256, still_is
from tests.checkpoint.archives import archive, hdf5, members, write


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def members_name(data: bytes) -> str:
    """Return the name that a plain zip of this content has, by `zipfile`."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return name_members([(each.filename, each.file_size, each.CRC) for each in file.infolist()])


@pytest.mark.parametrize("scheme", ["sha256", "crc32", "members"])
def test_a_file_is_known_again_by_each_name(tmp_path, scheme):
    data = archive() if scheme == "members" else hdf5()
    path = write(tmp_path / "a", data)
    name = {
        "sha256": lambda: name_sha256(path),
        "crc32": lambda: f"crc32:{zlib.crc32(data):08x}-{len(data)}",
        "members": lambda: members_name(data),
    }[scheme]()
    assert still_is(path, name)
    write(path, flipped(data, data.index(b"\x89HDF") + 2100))
    assert not still_is(path, name)
    assert not still_is(write(path, data[:-1]), name)
    assert not still_is(tmp_path / "none", name)
    assert not still_is(path, "unread:")


def test_what_is_damaged_and_what_is_something_else(tmp_path):
    path, data = tmp_path / "a", archive()
    for content, damaged in (
        (data, False),
        (flipped(data, data.index(b"\x89HDF") + 2100), True),
        (data[:-30], True),
        (hdf5(), False),
        (hdf5()[:-1], True),
        (b"", True),
        (b"text of somebody", False),
        (archive({**members(), "assets/a": b"more"}), False),
    ):
        assert is_damaged(write(path, content)) is damaged
    assert not is_damaged(tmp_path)
