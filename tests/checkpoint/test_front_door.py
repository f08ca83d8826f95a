"""Each way in which a file can be bad is refused, with the file, the member and the reason."""

from __future__ import annotations

import inspect
import json
import os
import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.checkpoint.budgets import DEFAULT, MIB, Budgets
from surgeon.checkpoint.front_door import admit
from surgeon.checkpoint.hdf5 import HEAD, check_hdf5
from surgeon.checkpoint.json_check import bounded_json
from surgeon.checkpoint.keras_functions import FUNCTIONS
from surgeon.checkpoint.sources import Kind
from surgeon.errors import RefusedError
from tests.checkpoint.archives import CONFIG, archive, hdf5, members, superblock, write


def kind_of(path: Path) -> Kind:
    """Return the kind that a name announces."""
    kind = Kind.of(path)
    assert kind is not None
    return kind


def refusal(path: Path, data: bytes, **options) -> str:
    """Return why a file with this content is refused."""
    write(path, data)
    with pytest.raises(RefusedError) as caught:
        admit(path, kind_of(path), **options)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


@pytest.fixture
def keras_file(tmp_path):
    return tmp_path / "a.keras"


def test_a_sound_archive_passes_and_is_identified(keras_file):
    mark = admit(write(keras_file), Kind.KERAS)
    assert mark.size == keras_file.stat().st_size
    assert mark.still_holds(keras_file)
    keras_file.write_bytes(archive() + b"x")
    assert not mark.still_holds(keras_file)


def test_deflated_members_and_assets_pass(keras_file):
    content = {**members(), "assets/": b"", "assets/lookup/vocabulary.txt": b"a\nb\n"}
    admit(write(keras_file, archive(content, compression=zipfile.ZIP_DEFLATED)), Kind.KERAS)


def compiled_with(loss: object, registered: str | None = "function") -> bytes:
    """Return an archive of which the loss is the function of this name, as Keras writes it."""
    named = {"module": "builtins", "class_name": "function", "config": loss, "registered_name": registered}
    config = {**json.loads(CONFIG), "compile_config": {"loss": named}}
    return archive({**members(), "config.json": json.dumps(config).encode()})


def test_functions_of_keras_pass_by_name(keras_file):
    """Those that are losses, metrics and activations, and no helper that Keras would find, too."""
    found = [
        {name for name, value in vars(module).items() if inspect.isfunction(value)}
        for module in (keras.losses, keras.metrics, keras.activations)
    ]
    # A release that has more, or no longer has one, shows here. They are the same from 3.12 to 3.15.
    assert set().union(*found) - {"get", "serialize", "deserialize"} == FUNCTIONS
    for name in FUNCTIONS:
        admit(write(keras_file, compiled_with(name)), Kind.KERAS)


@pytest.mark.parametrize(
    "name",
    [
        *("eval", "open", "__import__", "get", "deserialize", "os.system", "my>loss", "my_loss", "Adam"),
        *(None, float("nan"), ["mean_squared_error"], {"hinge": 1}),
    ],
)
@pytest.mark.parametrize("registered", ["function", "keras>x", "my>loss", None])
def test_functions_of_python_and_of_others_do_not(keras_file, name, registered):
    """Not by a bare name either, nor under the cover of another one: Keras finds all that is registered."""
    reason = refusal(keras_file, compiled_with(name, registered))
    if registered == "my>loss":
        assert "my>loss is a class of 'my'" in reason
        return
    assert f"compile_config/loss: the function {name!r} of 'builtins' is not one of a model" in reason
    assert "--import" in reason


def test_a_member_that_is_there_twice(keras_file):
    write(keras_file)
    with zipfile.ZipFile(keras_file, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("config.json", b"{}")
    assert "member 'config.json' is there twice" in refusal(keras_file, keras_file.read_bytes())


@pytest.mark.parametrize(
    "name", ["../config.json", "/etc/x", "assets/../../x", "assets\\..\\x", "C:/x", "assets/../x"]
)
def test_a_member_that_leads_out(keras_file, name):
    reason = refusal(keras_file, archive({**members(), name: b""}))
    assert repr(name) in reason
    assert "leads out of the archive" in reason


@pytest.mark.parametrize("name", ["model.weights.npz", "config.pkl", "assets", "Config.json"])
def test_a_member_that_does_not_belong(keras_file, name):
    assert f"member {name!r} does not belong" in refusal(keras_file, archive({**members(), name: b""}))


@pytest.mark.parametrize("name", ["metadata.json", "config.json", "model.weights.h5"])
def test_a_member_that_is_missing(keras_file, name):
    content = {key: value for key, value in members().items() if key != name}
    assert refusal(keras_file, archive(content)) == f"member {name!r} is missing"


def test_a_link_as_member(keras_file):
    write(keras_file)
    with zipfile.ZipFile(keras_file, "a") as file:
        link = zipfile.ZipInfo("assets/link")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    assert "'assets/link' is a link" in refusal(keras_file, keras_file.read_bytes())


def test_an_encrypted_member(keras_file):
    data = bytearray(archive())
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    assert refusal(keras_file, bytes(data)) == "member 'model.weights.h5' is encrypted"


def test_a_flipped_bit_in_any_member(keras_file):
    data = archive()
    for needle, name in ((b"Sequential", "config.json"), (b"date_saved", "metadata.json")):
        flipped = data.replace(needle, bytes([needle[0] ^ 4]) + needle[1:])
        assert refusal(keras_file, flipped).startswith(f"member {name!r} is damaged: Bad CRC")
    weights = bytearray(data)
    weights[data.index(b"\x89HDF") + 1000] ^= 1
    assert refusal(keras_file, bytes(weights)).startswith("member 'model.weights.h5' is damaged: Bad CRC")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_an_archive_that_was_cut_off(keras_file, kept):
    data = archive()
    reason = refusal(keras_file, data[: int(len(data) * kept)])
    assert "empty" in reason or "not a readable zip archive" in reason


def test_members_that_overlap(keras_file):
    data = bytearray(archive())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    # The first member claims 200 bytes more than there are before the second.
    for offset in (20, 24):
        size = struct.unpack_from("<I", data, first + offset)[0]
        struct.pack_into("<I", data, first + offset, size + 200)
    assert second > first
    assert "overlaps what follows it" in refusal(keras_file, bytes(data))


def test_a_local_header_that_disagrees(keras_file):
    data = archive().replace(b"config.json", b"konfig.json", 1)
    assert "another name in its own header" in refusal(keras_file, data)


def test_something_before_the_archive(keras_file):
    assert "before the first member" in refusal(keras_file, b"#!/bin/sh\n" + archive())


def test_an_archive_that_unpacks_to_too_much(keras_file):
    content = {**members(), "model.weights.h5": hdf5(payload=80 * MIB)}
    data = archive(content, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < MIB
    assert "brings the unpacked size to" in refusal(keras_file, data)


def test_budgets_for_members_json_and_assets(keras_file):
    data = archive({**members(), "assets/a": bytes(5000), "assets/b": bytes(5000)})
    assert "'assets/b' brings the assets to 10,000" in refusal(keras_file, data, budgets=Budgets(assets=9000))
    assert "5 members, more than the 4" in refusal(keras_file, data, budgets=Budgets(members=4))
    assert "'metadata.json' declares" in refusal(keras_file, data, budgets=Budgets(json_size=10))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "nested deeper than the 200 levels"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than the 200 levels"),
    ],
)
def test_a_config_that_is_no_config(keras_file, config, reason):
    assert reason in refusal(keras_file, archive({**members(), "config.json": config}))


def test_weights_that_are_not_hdf5_or_were_cut_off_within_the_archive(keras_file):
    content = members()
    assert "not an HDF5 file" in refusal(
        keras_file, archive({**content, "model.weights.h5": b"\x80\x04K\x01."})
    )
    cut = {**content, "model.weights.h5": content["model.weights.h5"][:500]}
    assert "truncated: its header says" in refusal(keras_file, archive(cut))


def test_names_that_lie_about_the_format(tmp_path):
    assert "a zip archive under an HDF5 name" in refusal(tmp_path / "a.h5", archive())
    assert "not a readable zip archive" in refusal(tmp_path / "a.keras", hdf5())


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.weights.h5"])
def test_what_is_no_regular_file(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(RefusedError, match="not a regular file but a FIFO"):
        admit(path, kind_of(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(RefusedError, match="not a regular file but a folder"):
        admit(path, kind_of(path))
    path.rmdir()
    with pytest.raises(RefusedError, match="cannot be opened: No such file"):
        admit(path, kind_of(path))


def test_a_link_out_of_the_root(tmp_path):
    outside = write(tmp_path / "outside" / "a.keras")
    root = tmp_path / "root"
    inside = write(root / "b.keras")
    (root / "out.keras").symlink_to(outside)
    (root / "in.keras").symlink_to(inside)
    with pytest.raises(RefusedError, match="leads out of"):
        admit(root / "out.keras", Kind.KERAS, root=root)
    admit(root / "in.keras", Kind.KERAS, root=root)
    admit(root / "out.keras", Kind.KERAS)


@given(cut=st.integers(0, 95), version=st.sampled_from([0, 1, 2, 3]))
def test_any_start_of_a_superblock_is_refused_not_crashed_on(cut, version):
    data = superblock(2 if version == 3 else version)
    with pytest.raises(ValueError, match=r"HDF5|truncated"):
        check_hdf5(data[:cut], cut)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("values", [1, 10_000])
def test_real_hdf5_files_pass_whole_and_not_cut(tmp_path, libver, values):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["x"] = np.arange(values)
    data = path.read_bytes()
    check_hdf5(data[:HEAD], len(data))
    with pytest.raises(ValueError, match="truncated"):
        check_hdf5(data[:HEAD], len(data) - 1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_json_within_the_budgets_is_what_json_says(value):
    assert bounded_json(json.dumps(value).encode(), DEFAULT) == value


@given(st.text(alphabet='[]{}"\\ab', max_size=30), st.integers(1, 5))
def test_depth_counts_brackets_outside_strings(text, depth):
    nested: object = text
    for _ in range(depth):
        nested = [nested]
    data = json.dumps(nested).encode()
    assert bounded_json(data, Budgets(json_depth=depth)) == nested
    with pytest.raises(ValueError, match="nested deeper"):
        bounded_json(data, Budgets(json_depth=depth - 1))


@given(st.binary(max_size=300))
def test_bytes_that_are_anything_are_refused_or_json(data):
    try:
        bounded_json(data, DEFAULT)
    except ValueError:
        return
    json.loads(data)


@given(position=st.integers(0, len(archive()) - 1), value=st.integers(0, 255))
def test_no_mutation_of_an_archive_gets_more_than_a_refusal(tmp_path_factory, position, value):
    path = tmp_path_factory.mktemp("mutated") / "a.keras"
    data = bytearray(archive())
    data[position] = value
    path.write_bytes(bytes(data))
    try:
        admit(path, Kind.KERAS)
    except RefusedError:
        return
    # What passed says what the original said, or says it in harmless fields (a date, a version of zip).
    with zipfile.ZipFile(path) as file:
        assert file.read("config.json") == CONFIG


def test_a_directory_has_a_budget_before_it_is_read(keras_file):
    good = archive()
    end, start = good.rindex(b"PK\x05\x06"), good.index(b"PK\x01\x02")
    small = bytearray(good)
    struct.pack_into("<I", small, end + 12, 20_000_000)
    assert "a directory of 20,000,000 bytes, more than is allowed" in refusal(keras_file, bytes(small))
    # In a 64-bit directory the size stands in a record of its own.
    struct.pack_into("<I", small, end + 12, 0xFFFFFFFF)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 3, 3, 30_000_000, start)
    large = bytes(small[:end]) + record + bytes(small[end:])
    assert "a directory of 30,000,000 bytes, more than is allowed" in refusal(keras_file, large)
    assert "not a readable zip archive" in refusal(keras_file, bytes(small))


def test_a_stored_member_of_two_sizes(keras_file):
    data = bytearray(archive())
    at = data.index(b"PK\x01\x02")
    (size,) = struct.unpack_from("<I", data, at + 24)
    struct.pack_into("<I", data, at + 24, size + 1)
    assert refusal(keras_file, bytes(data)).endswith("has two sizes")


def test_numbers_of_units_that_are_none_or_words_are_for_keras_to_judge(keras_file):
    for units in (None, "many", [3], 512):
        dense = {"class_name": "Dense", "config": {"name": "d", "units": units}}
        config = {**json.loads(CONFIG), "config": {"layers": [dense]}}
        admit(
            write(keras_file, archive({**members(), "config.json": json.dumps(config).encode()})), Kind.KERAS
        )
