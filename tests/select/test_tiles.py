"""Blocks, N:M patterns and slices along any axis: which elements they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from surgeon.errors import SelectionError
from surgeon.select import Axes, along, blocks, n_of_m, selection_from_data

DENSE = Axes(channel=1, row=0)


def mask_of(selection, weight, axes=DENSE):
    part = selection.resolve("d/kernel", weight.shape, axes, lambda: weight)
    assert part.size == selection.size(weight.shape, axes)
    return part.to_mask()


def test_blocks_are_counted_in_c_order():
    mask = mask_of(blocks([1, -1], of=(2, 3)), np.zeros((4, 6)))
    expected = np.zeros((4, 6), bool)
    expected[:2, 3:] = expected[2:, 3:] = True
    assert (mask == expected).all()


def test_a_block_of_a_convolution_holds_its_whole_window():
    mask = mask_of(blocks([0], of=2), np.zeros((3, 3, 4, 6)))
    assert mask[:, :, :2, :2].all()
    assert mask.sum() == 3 * 3 * 2 * 2


def test_the_heaviest_block_is_that_of_the_largest_norm():
    weight = np.ones((4, 4), "float32")
    weight[2:, :2] = 2
    weight[0, 3] = 3  # the largest element, in a lighter block
    mask = mask_of(blocks(1, of=2, by="magnitude"), weight)
    assert mask[2:, :2].all()
    assert mask.sum() == 4


@given(
    hnp.arrays("float32", (8, 3), elements=st.integers(-3, 3)),
    st.integers(1, 3),
    st.sampled_from(["magnitude", "random"]),
)
def test_n_of_every_m_along_the_inputs(weight, n, by):
    mask = mask_of(n_of_m(n, 4, by=by), weight)
    groups, sizes = mask.reshape(2, 4, 3), np.abs(weight).reshape(2, 4, 3)
    assert (groups.sum(axis=1) == n).all()
    if by == "magnitude":
        smallest_in = np.where(groups, sizes, 9).min(axis=1)
        largest_out = np.where(groups, 0, sizes).max(axis=1)
        assert (smallest_in >= largest_out).all()


def test_of_equal_elements_the_first_ones_train():
    mask = mask_of(n_of_m(2, 4), np.ones((4, 2)))
    assert mask[:2].all()
    assert not mask[2:].any()


def test_the_axis_of_groups_can_be_chosen_and_is_the_only_one_of_a_vector():
    assert (mask_of(n_of_m(1, 2, axis=-1), np.ones((3, 4))).sum(axis=1) == 2).all()
    assert mask_of(n_of_m(1, 2), np.ones(4), Axes(0, None)).tolist() == [True, False, True, False]


def test_slices_along_any_axis():
    mask = mask_of(along(0, [1]), np.zeros((3, 3, 2, 2)), Axes(3, 2))
    assert mask[1].all()
    assert mask.sum() == 12


@pytest.mark.parametrize(
    "selection, message",
    [
        (
            blocks([0], of=(3, 4)),
            "blocks of .3, 4. do not divide the last axes of 'd/kernel' of shape .4, 6.",
        ),
        (blocks([0], of=(1, 1, 1)), "do not divide the last axes"),
        (blocks(9, of=2, by="magnitude"), "9 blocks are too many"),
        (blocks([6], of=2), "6 is outside"),
        (n_of_m(2, 3), "groups of 3 do not divide axis 0"),
        (n_of_m(1, 2, axis=2), "has no axis 2"),
        (along(2, [0]), "has no axis 2"),
    ],
    ids=str,
)
def test_what_does_not_fit_a_weight(selection, message):
    with pytest.raises(SelectionError, match=message):
        selection.size((4, 6), DENSE, "d/kernel")
    with pytest.raises(SelectionError, match=message):
        selection.resolve("d/kernel", (4, 6), DENSE, lambda: np.zeros((4, 6)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: blocks([0], of=(2, 0)), "whole sizes from 1 up"),
        (lambda: blocks([0], of="ab"), "whole sizes from 1 up"),  # type: ignore[arg-type]
        (lambda: blocks(0.1, of=2), "add by="),
        (lambda: n_of_m(4, 4), "below m"),
        (lambda: n_of_m(4, 2), r"write n_of_m\(2, 4\)"),
        (lambda: n_of_m(0, 4), "at least 1"),
        (lambda: n_of_m(1.5, 4), "whole numbers, not 1.5"),  # type: ignore[arg-type]
        (lambda: n_of_m(1, 4, by="magnitud"), "close: 'magnitude'|no criterion"),
        (lambda: along("0", [1]), "an axis is a whole number$"),  # type: ignore[arg-type]
        (lambda: along([1], 0), r"comes first: along\(0, \[1\]\)"),  # type: ignore[arg-type]
        (lambda: selection_from_data({"blocks": [0]}), "blocks needs 'of'"),
        (lambda: selection_from_data({"rows": [0], "axis": 1}), "'axis' does not belong to rows"),
        (lambda: selection_from_data({"n_of_m": 2}), "takes two numbers"),
    ],
)
def test_what_makes_no_sense(make, message):
    with pytest.raises(SelectionError, match=message):
        make()


def test_data_looks_like_the_call():
    for data in (
        {"blocks": 0.25, "of": [16, 16], "by": "magnitude"},
        {"n_of_m": [2, 4], "by": "magnitude"},
        {"n_of_m": [1, 2], "axis": 1, "by": "random", "seed": 3},
        {"along": {"from": 0, "to": 2}, "axis": -1},
    ):
        assert selection_from_data(data).to_data() == data
