"""The trainable part of a weight, as a value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from surgeon.errors import SelectionError
from surgeon.partial.part import Part

SHAPE = (3, 4)
PARTS = hnp.arrays(bool, SHAPE).map(Part.mask) | st.builds(
    lambda axis, index: Part.slices(SHAPE, axis, sorted(index)),
    st.sampled_from([0, 1]),
    st.sets(st.integers(0, 2), max_size=3),
)


@given(PARTS, PARTS)
def test_difference_is_that_of_sets(first, second):
    assert ((first - second).to_mask() == (first.to_mask() & ~second.to_mask())).all()


def test_what_is_left_of_channels_is_channels():
    assert Part.all(SHAPE) - Part.slices(SHAPE, 0, [0]) == Part.slices(SHAPE, 0, [1, 2])


def test_parts_are_equal_if_all_that_says_which_elements_they_are_is():
    part = Part.slices(SHAPE, 0, [0, 1])
    others = [
        Part.slices(SHAPE, 1, [0, 1]),
        Part.slices((3, 5), 0, [0, 1]),
        Part.slices(SHAPE, 0, [0, 2]),
        Part.elements(SHAPE, [0, 1]),
    ]
    assert part not in others
    assert {part, Part.slices(SHAPE, 0, [-2, -3])} == {part}


@given(PARTS, st.sets(st.integers(0, 2), min_size=1), st.sets(st.integers(0, 3), min_size=1))
def test_what_is_left_at_some_positions(part, rows, columns):
    positions = [(0, sorted(rows)), (1, sorted(columns))]
    left = part.at(positions)
    assert (left.to_mask() == part.to_mask()[np.ix_(sorted(rows), sorted(columns))]).all()
    if part.axis is not None and not (left.is_none or left.is_all):
        assert left.axis == part.axis
    assert part.at([]) == part


@given(PARTS)
def test_config_round_trip_and_sizes(part):
    assert Part.from_config(part.to_config()) == part
    assert part.size == part.to_mask().sum()
    assert part.is_none == (part.size == 0)
    assert part.is_all == (part.size == 12)


@given(PARTS, hnp.arrays(np.float32, SHAPE, elements=st.integers(-9, 9)))
def test_take_and_put_are_inverse(part, weight):
    compact = part.take(weight)
    assert compact.shape == part.compact_shape or part.is_none
    copy = np.full(SHAPE, 99, np.float32)
    part.put(copy, compact)
    assert (copy == np.where(part.to_mask(), weight, 99)).all()


@given(hnp.arrays(np.bool_, SHAPE).filter(lambda mask: mask.any() and not mask.all()))
def test_ordinals_lead_from_each_element_to_its_value(mask):
    part, weight = Part.mask(mask), np.arange(12).reshape(SHAPE)
    ordinals = part.ordinals()
    assert ((ordinals >= 0) == mask).all()
    assert (part.take(weight)[ordinals[mask]] == weight[mask]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Part.slices(SHAPE, 2, [0]), "has no axis 2"),
        (lambda: Part.slices(SHAPE, 0, [3]), "position 3 is outside axis 0"),
        (lambda: Part.elements(SHAPE, [12]), "position 12 is outside"),
        (lambda: Part.elements(SHAPE, [0.5]), "flat list of integers"),
        (lambda: Part.all(SHAPE) - Part.all((4, 3)), "different shapes"),
        (lambda: Part.from_config({"shape": [3]}), "damaged"),
        (lambda: Part.from_config({"shape": [3], "kind": "elements", "axis": None, "bits": "!"}), "damaged"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(SelectionError, match=message):
        make()
