"""Archives that are written in one pass are those that `zipfile` would write, byte for byte."""

from __future__ import annotations

import struct
import zipfile

import pytest

from surgeon.checkpoint.bytepath import archive
from surgeon.checkpoint.bytepath.archive import ArchiveWriter
from surgeon.checkpoint.bytepath.streams import Target

MEMBERS = {"metadata.json": b"{}", "größe/模型.txt": b"", "model.weights.h5": b"weights" * 100}


def write(path):
    with path.open("wb") as file:
        writer = ArchiveWriter(Target(file.fileno()))
        for name, data in MEMBERS.items():
            with writer.member(name, len(data)):
                writer.target.put(data)
        writer.close()
    return path


def test_the_same_bytes_as_zipfile(tmp_path):
    with zipfile.ZipFile(tmp_path / "theirs", "w") as theirs:
        for name, data in MEMBERS.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            theirs.writestr(info, data)
    assert write(tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("limit", [2, 100, 701])
def test_what_does_not_fit_into_32_bits(limit, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_LIMIT", limit)
    # A reader takes only the true limit for the sign that the number stands elsewhere.
    monkeypatch.setattr(archive, "min", lambda one, most: 0xFFFFFFFF if one >= most else one, raising=False)
    path = write(tmp_path / "large")
    with zipfile.ZipFile(path) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == MEMBERS
        versions = {info.filename: info.extract_version for info in opened.infolist()}
        offsets = {info.filename: info.header_offset for info in opened.infolist()}
    for name, data in MEMBERS.items():
        assert versions[name] == (45 if len(data) >= limit or offsets[name] >= limit else 20)
        # `zipfile` reads the sizes of the list at the end alone; other readers those before the member, too.
        ahead = path.read_bytes()[offsets[name] :]
        of_name, of_extra = struct.unpack_from("<2H", ahead, 26)
        assert of_extra == (20 if len(data) >= limit else 0)
        if of_extra:
            found = struct.unpack_from("<2H2Q", ahead, 30 + of_name)
            assert found == (1, 16, len(data), len(data))
