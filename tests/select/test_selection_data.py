"""Selections as JSON data, and packed masks."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from surgeon.errors import SelectionError
from surgeon.select import channels, elements, rows, selection_from_data
from surgeon.select.packing import pack_mask, unpack_mask
from tests.select.test_selections import fitting_selections


@given(fitting_selections())
def test_data_reads_back_equal(case):
    data = json.loads(json.dumps(case[0].to_data(), sort_keys=True))
    assert selection_from_data(data) == case[0]


def test_what_the_data_looks_like():
    assert channels(0.1, by="magnitude").to_data() == {"channels": 0.1, "by": "magnitude"}
    assert elements(5, by="random", seed=7).to_data() == {"elements": 5, "by": "random", "seed": 7}
    assert channels([0, -3]).to_data() == {"channels": [0, -3]}
    assert rows(slice(0, 8)).to_data() == {"rows": {"from": 0, "to": 8}}
    assert rows(slice(None, None, 2)).to_data() == {"rows": {"step": 2}}


def test_masks_may_be_written_out():
    assert selection_from_data({"channels": [True, False]}) == channels([True, False])
    assert selection_from_data({"elements": [[True, False]]}) == elements(np.array([[True, False]]))


def test_a_large_regular_mask_is_small():
    mask = np.zeros((1000, 1000), bool)
    mask[:, :100] = True
    assert len(json.dumps(elements(mask).to_data())) < 2000


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=0, min_side=0)))
def test_masks_pack_without_loss(mask):
    again = unpack_mask(json.loads(json.dumps(pack_mask(mask))))
    assert again.shape == mask.shape
    assert (again == mask).all()


def bits(count: int) -> str:
    return base64.b85encode(zlib.compress(bytes(count))).decode()


@pytest.mark.parametrize(
    "data, message",
    [
        ({"shape": [16], "bits": bits(3)}, r"3 bytes where its shape \(16,\) needs 2"),
        ({"shape": [16], "bits": bits(1)}, r"1 bytes where its shape \(16,\) needs 2"),
        ({"shape": [8], "bits": bits(50_000_000)}, r"2 bytes where"),
        ({"shape": [2**40], "bits": bits(1)}, r"no mask has the shape"),
        ({"shape": [-8], "bits": bits(1)}, r"no mask has the shape \(-8,\)"),
        ({"shape": [8], "bits": "\x00"}, r"a mask is damaged"),
        ({"shape": [8], "bits": "abcde"}, r"a mask is damaged: error"),
        ({"shape": [8], "bits": 3}, r"a mask is damaged"),
        ({"shape": 8, "bits": bits(1)}, r"a mask is damaged: TypeError"),
        ({"shape": [8]}, r"a mask is damaged: KeyError: 'bits'"),
    ],
)
def test_damaged_masks_are_refused(data, message):
    with pytest.raises(SelectionError, match=message):
        unpack_mask(data)
    with pytest.raises(SelectionError, match=f"^elements: .*{message}"):
        selection_from_data({"elements": data})


@given(
    st.dictionaries(
        st.sampled_from(["shape", "bits", "from"]), st.none() | st.integers() | st.text(), min_size=1
    )
)
def test_no_data_gets_through_as_another_exception(data):
    try:
        selection_from_data({"elements": data})
    except SelectionError as error:
        assert str(error).startswith("elements")  # noqa: PT017 - that it is accepted is as good


@pytest.mark.parametrize(
    "data, message",
    [
        (
            {"chanels": 3, "by": "random"},
            r"^chanels: a selection has no key 'chanels'; close: 'channels'.*; its keys are",
        ),
        ({"channels": 3, "rows": 3, "by": "random"}, r"^a selection has exactly one of .*; here are 2"),
        ({"by": "random"}, r"here are 0"),
        (
            {"channels": 0.1, "by": "magnitud"},
            r"^by: channels\(0\.1\): no criterion 'magnitud'; close: 'magnitude'",
        ),
        ({"channels": 1.5, "by": "magnitude"}, r"^channels: channels\(1\.5\): a fraction is"),
        ({"channels": 0.1, "by": 3}, r"^by: 'by' is text, not 3"),
        ({"channels": 0.1}, r"^channels: .*add by='magnitude'"),
        (
            {"channels": "0.1", "by": "random"},
            r"^channels: 'channels' takes a number or a list, not the text '0\.1'",
        ),
        ({"channels": None}, r"^channels: channels\(\.\.\.\) takes .*, not None"),
        ({"rows": {"from": 0, "too": 8}}, r"^rows\.too: a slice of rows has no key 'too'; close: 'to'"),
        ({"rows": {}}, r"^rows: a slice of rows is a mapping with at least one key"),
        ({"rows": {"from": "a"}}, r"^rows: .*a slice has whole numbers, not 'a'"),
        (
            {"elements": {"shape": [2], "bitz": ""}},
            r"^elements\.bitz: a packed mask of elements has no key 'bitz'",
        ),
        ([], r"^a selection is a mapping"),
        (0.1, r"^a selection is a mapping with at least one key, not 0\.1"),
    ],
)
def test_wrong_data_says_where_and_what(data, message):
    with pytest.raises(SelectionError, match=message):
        selection_from_data(data)
