"""What selections resolve to."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from surgeon.errors import SelectionError
from surgeon.select import Axes, Selection, along, blocks, channels, elements, n_of_m, rows
from surgeon.select.criteria import MAGNITUDE, RANDOM

AXES = Axes(1, 0)
SHAPE = (4, 6)
WEIGHT = np.arange(24, dtype="float32").reshape(SHAPE) - 10


def never():
    raise AssertionError("the values were asked for")


def mask_of(selection, weight=WEIGHT, axes=AXES, path="d/kernel"):
    return selection.resolve(path, weight.shape, axes, lambda: weight).to_mask()


def positions(selection, weight=WEIGHT, axes=AXES, path="d/kernel"):
    """The chosen positions: of channels, rows or elements."""
    mask = mask_of(selection, weight, axes, path)
    if selection.kind == "elements":
        return np.flatnonzero(mask).tolist()
    axis = axes.channel if selection.kind == "channels" else axes.row
    across = np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1)
    assert (across.all(axis=1) == across.any(axis=1)).all(), "part of a slice"
    return np.flatnonzero(across.any(axis=1)).tolist()


@st.composite
def fitting_selections(draw: st.DrawFn) -> tuple[Selection, tuple[int, ...], Axes]:
    """A selection, and the shape and axes of a weight that it fits."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=5))
    channel, row = draw(st.permutations(range(len(shape))))[:2]
    make, count = draw(
        st.sampled_from([(channels, shape[channel]), (rows, shape[row]), (elements, math.prod(shape))])
    )
    criterion = st.sampled_from([{"by": "magnitude"}, {"by": "random"}, {"by": "random", "seed": 7}])
    amounts = st.floats(0, 1, exclude_min=True) | st.integers(1, count)
    mask_shape = shape if make is elements else (count,)
    masks = hnp.arrays(bool, mask_shape).filter(lambda mask: mask.any())
    starts = st.integers(-count, count - 1)
    steps = st.sampled_from([None, 1, 2, -1])
    selection = draw(
        st.one_of(
            st.builds(lambda amount, how: make(amount, **how), amounts, criterion),
            st.lists(st.integers(-count, count - 1), min_size=1).map(make),
            masks.map(make),
            st.builds(lambda start, step: make(slice(start, None, step)), starts, steps),
        )
    )
    axes = Axes(channel, row)
    other = draw(st.sampled_from([None, *_others(shape, axes)]))
    return (other or selection), shape, axes


def _others(shape: tuple[int, ...], axes: Axes) -> list[Selection]:
    """Selections of the further kinds that fit any weight of this shape."""
    found = [along(axis, 1, by="magnitude") for axis in range(len(shape))]
    found += [blocks(0.5, of=(1, shape[-1]), by="random"), blocks([-1], of=shape[1:])]
    found += [
        n_of_m(1, size, axis=axis, by=by)
        for axis, size in enumerate(shape)
        for by in (MAGNITUDE, RANDOM)
        if size > 1
    ]
    if axes.row is not None and shape[axes.row] > 1:
        found.append(n_of_m(1, shape[axes.row]))
    return found


@given(fitting_selections(), st.data())
def test_the_size_is_known_without_the_values(case, data):
    selection, shape, axes = case
    weight = data.draw(hnp.arrays("float32", shape, elements=st.sampled_from([-2.0, 0.0, 0.5, 2.0])))
    part = selection.resolve("d/kernel", shape, axes, lambda: weight)
    assert part.size == part.to_mask().sum() == selection.size(shape, axes) > 0
    if not selection.needs_values:
        assert selection.resolve("d/kernel", shape, axes, never) == part


@given(fitting_selections())
def test_selections_are_values(case):
    selection = case[0]
    twin = pickle.loads(pickle.dumps(selection))
    assert twin == selection == copy.deepcopy(selection)
    assert hash(twin) == hash(selection)


@given(
    st.integers(1, 24), hnp.arrays("float32", SHAPE, elements=st.sampled_from([-3.0, -1.0, 0.0, 1.0, 2.0]))
)
def test_magnitude_takes_the_largest_and_of_equal_ones_the_first(count, weight):
    flat = np.abs(weight).reshape(-1)
    by_size = sorted(range(24), key=lambda at: (-flat[at], at))
    assert positions(elements(count, by="magnitude"), weight) == sorted(by_size[:count])


@given(st.integers(1, 6), hnp.arrays("float32", SHAPE, elements=st.integers(-4, 4).map(float)))
def test_channels_and_rows_are_ranked_by_norm(count, weight):
    for make, axis in ((channels, 0), (rows, 1)):
        norms = (weight.astype(int) ** 2).sum(axis=axis)
        by_norm = sorted(range(len(norms)), key=lambda at: (-norms[at], at))
        amount = min(count, len(norms))
        assert positions(make(amount, by="magnitude"), weight) == sorted(by_norm[:amount])


@pytest.mark.parametrize(
    "fraction, expected",
    [(0.001, 1), (0.25, 2), (0.5, 3), (0.58, 3), (0.59, 4), (1.0, 6), (np.float32(0.5), 3)],
)
def test_a_fraction_is_rounded_and_at_least_one(fraction, expected):
    assert len(positions(channels(fraction, by="magnitude"))) == expected


def test_a_half_is_rounded_up_in_spite_of_floating_point():
    assert elements(0.29, by="random").size((50,), Axes(0, None)) == 15  # 0.29 * 50 is 14.499999999999998
    assert elements(0.1, by="random").size((25,), Axes(0, None)) == 3
    assert elements(0.07, by="random").size((100,), Axes(0, None)) == 7  # 7.000000000000001


def test_an_int_is_a_count_and_a_float_a_fraction():
    assert channels(1, by="random") != channels(1.0, by="random")
    assert len(positions(channels(1, by="random"))) == 1
    assert len(positions(channels(1.0, by="random"))) == 6
    assert channels(np.int64(2), by="random") == channels(2, by="random")
    assert channels(np.array(2), by="random") == channels(2, by="random")


def test_what_is_said_outright():
    assert positions(channels([0, 3])) == positions(channels((3, 0, 0))) == [0, 3]
    assert positions(channels([0, -1])) == [0, 5]
    assert positions(rows(np.array([1], dtype="uint8"))) == [1]
    assert positions(channels(range(2, 4))) == [2, 3]
    assert positions(channels(slice(0, 4))) == [0, 1, 2, 3]
    assert positions(channels(slice(2, 99))) == [2, 3, 4, 5]
    assert positions(rows(slice(None, None, -2))) == [1, 3]
    assert positions(rows([True, False, False, True])) == [0, 3]
    assert positions(elements([0, -1])) == [0, 23]
    assert positions(elements(slice(22, None))) == [22, 23]
    assert (mask_of(elements(WEIGHT > 3)) == (WEIGHT > 3)).all()


def test_everything_is_all():
    for everything in (channels(1.0, by="magnitude"), rows(slice(None)), elements(24, by="magnitude")):
        assert everything.resolve("d/kernel", SHAPE, AXES, never).is_all


def test_a_mask_or_list_that_changes_later_does_not_change_the_selection():
    mask, listed = np.array([True, False]), np.array([0])
    by_mask, by_list = channels(mask), channels(listed)
    mask[:], listed[:] = True, 1
    assert positions(by_mask, np.ones((1, 2))) == positions(by_list, np.ones((1, 2))) == [0]


def test_random_draws_are_the_same_everywhere():
    """These positions must never change: saved plans and papers depend on them."""
    assert positions(channels(3, by="random", seed=7), np.ones((2, 20))) == GOLDEN_CHANNELS
    assert (
        positions(elements(4, by="random"), np.ones((10, 10)), path="encoder/dense/kernel") == GOLDEN_ELEMENTS
    )


GOLDEN_CHANNELS = [3, 13, 16]
GOLDEN_ELEMENTS = [7, 52, 77, 84]


def test_random_draws_depend_on_seed_and_path_only():
    def draw(seed, path, weight):
        return positions(elements(12, by="random", seed=seed), weight, path=path)

    first = draw(0, "a/kernel", WEIGHT)
    assert first == draw(0, "a/kernel", WEIGHT * 0)
    assert first != draw(1, "a/kernel", WEIGHT)
    assert first != draw(0, "b/kernel", WEIGHT)
    assert channels(2, by="random") == channels(2, by="random", seed=0)


def test_random_draws_are_uniform():
    counts = np.zeros(6)
    for seed in range(600):
        counts[positions(channels(2, by="random", seed=seed))] += 1
    assert abs(counts - 200).max() < 60


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "bool"])
def test_magnitudes_of_narrow_types_do_not_overflow(dtype):
    weight = np.zeros((2, 3), dtype)
    info = np.iinfo(dtype) if weight.dtype.kind in "iu" else None
    weight[:, 1] = info.min or info.max if info else 1 if dtype == "bool" else 300
    assert positions(channels(1, by="magnitude"), weight) == [1]
    assert positions(elements(2, by="magnitude"), weight) == [1, 4]


def test_magnitudes_of_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    weight = np.array([[1, -3, 2]], dtype=ml_dtypes.bfloat16)
    assert (
        positions(channels(1, by="magnitude"), weight)
        == positions(elements(1, by="magnitude"), weight)
        == [1]
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_without_an_order_are_refused(bad):
    weight = WEIGHT.copy()
    weight[2, 3] = bad
    for make in (channels, rows, elements):
        with pytest.raises(SelectionError) as caught:
            mask_of(make(2, by="magnitude"), weight)
        text = str(caught.value)
        assert f"{make.__name__}(2, by='magnitude'): 1 of 24 values of 'd/kernel' are NaN or infinite" in text
        assert "the first at (2, 3)" in text
        assert "choose by='random'" in text
        assert positions(make(2, by="random"), weight)


def test_values_of_another_shape_are_refused():
    with pytest.raises(
        SelectionError, match=r"the values of 'd/kernel' have the shape \(6, 4\), not \(4, 6\)"
    ):
        channels(2, by="magnitude").resolve("d/kernel", SHAPE, AXES, lambda: WEIGHT.T)


@pytest.mark.parametrize(
    "selection, shape, axes, message",
    [
        (
            channels(7, by="random"),
            SHAPE,
            AXES,
            r"channels\(7, .*\): 7 channels are too many for 'd/kernel' of shape",
        ),
        (
            channels([0, 6]),
            SHAPE,
            AXES,
            r"channels\(\[0, 6\]\): 6 is outside 'd/kernel'.*which has 6 channels",
        ),
        (rows([-5]), SHAPE, AXES, r"rows\(\[-5\]\): -5 is outside .*, which has 4 rows"),
        (elements([24]), SHAPE, AXES, r"24 is outside .*, which has 24 elements"),
        (rows(slice(4, 9)), SHAPE, AXES, r"rows\(slice\(4, 9\)\): slice\(4, 9\) holds none of .*4 rows"),
        (rows([True, False]), SHAPE, AXES, r"a mask of shape \(2,\) does not fit .*: it must be \(4,\)"),
        (elements([True]), SHAPE, AXES, r"a mask of shape \(1,\) does not fit .*: it must be \(4, 6\)"),
        (rows([0]), (6,), Axes(0, None), r"'d/kernel' of shape \(6,\) has no rows: use channels\(\.\.\.\)"),
        (
            channels([0]),
            (),
            Axes(-1, None),
            r"'d/kernel' of shape \(\) has no channels: use elements\(\.\.\.\)",
        ),
        (channels([0]), (6,), Axes(1, None), r"has no axis 1"),
        (channels(0.5, by="random"), (4, 0), AXES, r"1 channels are too many for .*which has 0 channels"),
    ],
)
def test_what_does_not_fit_the_weight(selection, shape, axes, message):
    with pytest.raises(SelectionError, match=message):
        selection.resolve("d/kernel", shape, axes, lambda: np.ones(shape))
    with pytest.raises(SelectionError, match=message):
        selection.size(shape, axes, "d/kernel")
    with pytest.raises(
        SelectionError, match=message.replace("'d/kernel' of", "a weight of").replace("'d/kernel'", "a")
    ):
        selection.size(shape, axes)


def test_scalars_have_one_element():
    assert elements([0]).resolve("s", (), Axes(-1, None), never).is_all


def test_how_selections_print():
    assert str(channels(0.1, by="magnitude")) == "channels(0.1, by='magnitude')"
    assert str(channels(8, by="random", seed=7)) == "channels(8, by='random', seed=7)"
    assert str(rows([0, 3])) == repr(rows([0, 3])) == "rows([0, 3])"
    assert str(elements(range(100))) == "elements([0, 1, 2, 3, 4, 5, 6, 7, …] (100 in all))"
    assert str(channels(slice(None, 8, 2))) == "channels(slice(None, 8, 2))"
    assert str(channels([True, False])) == "channels([True, False])"
    assert str(elements(np.eye(4) > 0)) == "elements(<mask of shape (4, 4), 4 true>)"


@given(fitting_selections())
def test_short_selections_print_as_they_would_be_typed(case):
    text = str(case[0])
    if "…" not in text and "<" not in text:
        makers = (along, blocks, channels, elements, n_of_m, rows)
        assert eval(text, {make.__name__: make for make in makers}) == case[0]
