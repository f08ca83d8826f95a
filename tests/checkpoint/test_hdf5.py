"""The reader of HDF5 layouts: what it reads, and each field that it does not believe."""

from __future__ import annotations

import io
import struct

import h5py
import numpy as np
import pytest

from surgeon.checkpoint.budgets import DEFAULT, Budgets
from surgeon.checkpoint.hdf5 import Window, check_hdf5
from surgeon.checkpoint.hdf5.messages import Message
from tests.checkpoint.archives import hdf5, superblock
from tests.checkpoint.hand_made import (
    ARRAY,
    FIRST,
    FLOAT,
    ROOT,
    UNDEFINED,
    array,
    attribute,
    hdf5_of,
    header,
    layout_of,
    link,
    read_bytes,
    shape,
)

LONG_TEXT = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16)
COLLECTION = 0x400


def rooted(*messages):
    return {ROOT: header(*messages)}


def reference(length, address=COLLECTION, index=1):
    return struct.pack("<IQI", length, address, index)


def collection(*texts, first=1):
    body = b""
    for number, text in enumerate(texts, first):
        body += struct.pack("<HHIQ", number, 1, 0, len(text)) + text.ljust(-(-len(text) // 8) * 8, b"\0")
    return b"GCOL\x01\0\0\0" + struct.pack("<Q", 16 + len(body) + 16) + body + bytes(16)


def test_a_file_made_by_hand_is_read():
    found = layout_of({**rooted(link(b"a", FIRST)), FIRST: header(*array())})
    assert found.groups == ("",)
    assert [(d.path, d.shape, d.dtype, d.offset) for d in found.datasets.values()] == [
        ("a", (4,), "<f4", ARRAY)
    ]


TREE, HEAP = 0x600, 0x700


SYMBOLS = struct.pack("<QQ", TREE, HEAP)


def symbols(body=SYMBOLS):
    return rooted((Message.SYMBOL_TABLE, body))


LOOPED = b"TREE\0\x01\x01\0" + struct.pack("<QQQQ", UNDEFINED, UNDEFINED, 0, TREE)
NAMES = b"HEAP\0\0\0\0" + struct.pack("<QQQ", 16, UNDEFINED, HEAP + 32)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        (symbols(SYMBOLS[:8]), "/: damaged HDF5: a group that is cut off"),
        ({**symbols(), HEAP: NAMES, TREE: LOOPED}, "a tree with a cycle"),
        (rooted(link(b"n" * 1025, FIRST)), "a name that is too long"),
        (
            {
                **rooted(link(b"a", FIRST), link(b"a", FIRST + 0x80)),
                FIRST: header(*array()),
                FIRST + 0x80: header(*array()),
            },
            "/: two objects of one name",
        ),
        (
            {**rooted(link(b"a", FIRST)), FIRST: header(*array(space=b"\x02\0\0\x02"))},
            "a: an array without a shape",
        ),
        ({**rooted(link(b"a", FIRST)), FIRST: header(*array(space=shape(4)[:8]))}, "a shape that is cut off"),
        ({**rooted(link(b"a", FIRST)), FIRST: header(*array(address=16))}, "a lies on the start of the file"),
        (
            {
                **rooted(link(b"a", FIRST), link(b"b", FIRST + 0x80)),
                FIRST: header(*array()),
                FIRST + 0x80: header(*array(address=ARRAY + 12)),
            },
            "a and b lie on the same bytes",
        ),
        (
            {
                **rooted(link(b"a", FIRST)),
                FIRST: header(*array()[:1], (Message.DATATYPE, FLOAT[:4]), array()[2]),
            },
            "a type that is cut off",
        ),
        (
            {**rooted(link(b"a", FIRST)), FIRST: header(*array()[:2], (Message.LAYOUT, b"\x03\x01\0"))},
            "a data layout that is cut off",
        ),
        ({ROOT: b"OHDR\x03\x02" + bytes(8)}, "an object header of unknown version 3"),
    ],
)
def test_a_wrong_field_is_named(objects, reason):
    with pytest.raises(ValueError, match=reason):
        layout_of(objects)


def test_arrays_that_the_header_itself_keeps_are_as_long_as_declared():
    def compact(size):
        body = struct.pack("<BBH", 3, 0, size) + bytes(size)
        return {**rooted(link(b"a", FIRST)), FIRST: header(*array()[:2], (Message.LAYOUT, body))}

    assert layout_of(compact(16)).datasets["a"].offset is None
    with pytest.raises(ValueError, match="a: declares 16 bytes and stores 12"):
        layout_of(compact(12))


def test_a_header_of_endless_parts():
    """Each block says that the header goes on at a block that says the same."""
    more = struct.pack("<BHBQQ", Message.CONTINUATION, 16, 0, FIRST, 28)
    objects = {ROOT: header((Message.CONTINUATION, more[4:])), FIRST: b"OCHK" + more + bytes(4)}
    with pytest.raises(ValueError, match="/: damaged HDF5: an object header without an end"):
        layout_of(objects)
    many = header(*[(0, b"")] * 4097)
    with pytest.raises(ValueError, match="/: HDF5 with an object of more than 4,096 messages"):
        layout_of({ROOT: many}, size=1 << 16)
    old = struct.pack("<BBHII4x", 1, 0, 2, 1, 24) + struct.pack(
        "<HHB3xQQ", Message.CONTINUATION, 16, 0, ROOT + 16, 24
    )
    with pytest.raises(ValueError, match="/: damaged HDF5: an object header without an end"):
        layout_of({ROOT: old})


def test_budgets_of_objects_and_of_depth():
    objects = {
        ROOT: header(link(b"a", FIRST)),
        FIRST: header(link(b"b", FIRST + 0x80)),
        FIRST + 0x80: header(),
    }
    assert layout_of(objects, Budgets(objects=3, groups_depth=2)).groups == ("", "a", "a/b")
    with pytest.raises(ValueError, match="a/b: more than the 2 objects allowed"):
        layout_of(objects, Budgets(objects=2))
    with pytest.raises(ValueError, match="a/b: groups deeper than the 1 levels allowed"):
        layout_of(objects, Budgets(groups_depth=1))


def texts_of(*attributes, **objects):
    placed = {COLLECTION: objects["kept"]} if "kept" in objects else {}
    return layout_of(
        {**rooted(*attributes), **placed}, objects.get("budgets", DEFAULT), with_texts=True
    ).texts


def test_text_of_both_kinds():
    """Of fixed length as Keras 2 wrote lists of names; of variable length as it wrote configs."""
    names = attribute(b"names", struct.pack("<BBBBI", 0x13, 0, 0, 0, 3), b"abcd\0\0", shape(2))
    config = attribute(b"config", LONG_TEXT, reference(5, index=2))
    none = attribute(b"none", LONG_TEXT, reference(0, address=0))
    number = attribute(b"number", FLOAT, bytes(4))
    found = texts_of(names, config, none, number, kept=collection(b"other", b"{1:2}"))
    assert found == {"names": ("abc", "d"), "config": ("{1:2}",), "none": ("",)}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["fixed"] = np.bytes_(b"ab")
        file.attrs["long"] = ["c", "def"]
        file.attrs["nothing"] = h5py.Empty("S1")
    assert read_bytes(buffer.getvalue(), with_texts=True).texts == {
        "fixed": ("ab",),
        "long": ("c", "def"),
        "nothing": (),
    }


@pytest.mark.parametrize(
    ("said", "kept", "reason"),
    [
        (attribute(b"a", LONG_TEXT, reference(5)), b"", "text that is not where it should be"),
        (attribute(b"a", LONG_TEXT, reference(5)), collection(b"ab"), "text that is cut off"),
        (attribute(b"a", LONG_TEXT, reference(2, index=7)), collection(b"ab"), "text that is missing"),
        (attribute(b"a", LONG_TEXT, reference(2, index=7)), collection(b"ab")[:8] + b"\x28" + bytes(7) +
         collection(b"ab")[16:-16], "text that is missing"),
        (attribute(b"a", LONG_TEXT, reference(101)), collection(b"ab"), "101 bytes, more than the 100"),
        (attribute(b"a", LONG_TEXT, reference(1)), collection(b"\xff"), "the attribute 'a' is not UTF-8"),
        (attribute(b"a", struct.pack("<BBBBI", 0x13, 0, 0, 0, 0), b""), b"", "the attribute 'a' is no text"),
        (attribute(b"a", LONG_TEXT[:4] + b"\x08\0\0\0", bytes(8)), b"", "the attribute 'a' is no text"),
        (attribute(b"a", LONG_TEXT, reference(2)[:12]), b"", "an attribute that is cut off"),
        (attribute(b"a", LONG_TEXT, reference(2), version=4), b"", "damaged HDF5: no attribute"),
        ((Message.ATTRIBUTE, b"\x03\0\x02\0"), b"", "damaged HDF5: no attribute"),
    ],
)  # fmt: skip
def test_text_that_is_not_believed(said, kept, reason):
    with pytest.raises(ValueError, match=f"/: .*{reason}"):
        texts_of(said, kept=kept, budgets=Budgets(json_size=100))


def test_the_start_of_a_file():
    good = hdf5_of(rooted())
    assert read_bytes(good).datasets == {}
    for head, size, reason in (
        (good[:8], 8, "ends after its signature"),
        (good[:30], 30, "ends within its superblock"),
        (good[:8] + b"\x09" + good[9:], len(good), "an HDF5 superblock of unknown version 9"),
        (good[:9] + b"\x03" + good[10:], len(good), "superblock with addresses of 3 bytes"),
        (good[:28] + b"\xff" * 8 + good[36:], len(good), "without an end-of-file address"),
    ):
        with pytest.raises(ValueError, match=reason):
            check_hdf5(head[:96], size)
    for version in (0, 1, 2):
        data = superblock(version)
        check_hdf5(data[:96], len(data))


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (10, b"\x04", "addresses that are not 8 bytes wide"),
        (12, b"\x10", "does not start at the start of the file"),
        (20, bytes(8), "a driver or an extension of its superblock"),
    ],
)
def test_a_file_that_is_laid_out_otherwise(at, value, reason):
    data = bytearray(hdf5_of(rooted()))
    data[at : at + len(value)] = value
    with pytest.raises(ValueError, match=reason):
        read_bytes(bytes(data))


class Shrinking(io.BytesIO):
    """A file of which the end is missing once it is read."""

    def read(self, size=-1):
        return super().read(size)[:-1]


def test_a_window_reads_across_blocks_and_forgets_old_ones():
    data = np.random.default_rng(0).bytes(70 << 16)
    window = Window(io.BytesIO(data), 0, len(data), budget=1 << 30)
    for at in (*range(0, len(data), 1 << 16), 5):  # the last is asked for anew
        assert window.read(at, 9) == data[at : at + 9]
    assert window.read((1 << 16) - 3, 9) == data[(1 << 16) - 3 : (1 << 16) + 6]
    for at in (0, (1 << 16) - 3):
        shorter = Window(Shrinking(data), 0, len(data), budget=1 << 30)
        with pytest.raises(ValueError, match="the file became shorter while it was read"):
            shorter.read(at, 9)


def test_a_description_has_a_budget_of_bytes():
    data = hdf5()
    with pytest.raises(ValueError, match="takes more bytes than are allowed"):
        read_bytes(data, Budgets(description=200))
