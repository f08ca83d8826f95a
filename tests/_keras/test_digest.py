"""Marks tell tensors apart, and are the same on each backend and in each process."""

from __future__ import annotations

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgeon._keras import digest
from tests.helpers import to_numpy

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="nothing is written in place there"
)

WORDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40)


def mark(values):
    tensor = keras.ops.convert_to_tensor(values)
    if keras.backend.backend() == "jax":
        return tuple(to_numpy(digest.mark(tensor)).tolist())
    import tensorflow as tf

    return tuple(tf.function(digest.mark, jit_compile=True)(tensor).numpy().tolist())


def sums(pairs, places):
    """Return the two sums of each row of pairs, by numpy."""
    lanes = digest._lanes(pairs[..., 0], pairs[..., 1], places, _shifted)
    return [lane.sum(axis=-1, dtype="uint32") for lane in lanes]


def _shifted(numbers, by):
    return numbers >> np.uint32(by)


def sums_of(bits):
    """Return the two sums of flat bits: their halves are the pairs."""
    pairs = np.stack(digest._halves(bits), axis=-1)
    return sums(pairs, np.arange(len(pairs), dtype="uint32"))


@pytest.mark.parametrize("shape", [(1,), (5,), (6,), (3, 7), (2, 3, 5)])
def test_a_mark_is_that_of_numpy(shape):
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = np.array(sums_of(values.reshape(-1).view("uint32"))).view("int32")
    assert mark(values) == (1, *expected.tolist())


@settings(max_examples=60, deadline=None)
@given(words=WORDS, data=st.data())
def test_another_element_is_another_mark(words, data):
    place = data.draw(st.integers(0, len(words) - 1))
    word = data.draw(st.integers(0, 2**32 - 1).filter(lambda word: word != words[place]))
    others = [*words[:place], word, *words[place + 1 :]]
    one, two = (np.array(sums_of(np.array(each, "uint32"))) for each in (words, others))
    assert (one != two).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_bit_of_every_dtype_counts(dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no numbers of 64 bits unless it is asked for them")
    size = {"float64": 64, "float32": 32}.get(dtype, 16)
    kind = np.dtype(f"uint{size}")
    words = np.array([2**size // 3, 2**size // 5, 2**size // 7], kind)
    flipped = [
        words ^ (kind.type(1 << bit) * np.eye(3, dtype=kind)[place])
        for bit in range(size)
        for place in range(3)
    ]
    marks = {mark(_as(each, dtype)) for each in [words, *flipped]}
    assert len(marks) == 1 + 3 * size


def _as(words, dtype):
    return words.view(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def test_zeros_of_both_signs_and_the_order_count():
    assert len({mark(np.array(each, "float32")) for each in ([0.0, 1.0], [-0.0, 1.0], [1.0, 0.0])}) == 3


CHANGES = {
    "all signs": lambda pairs, _: -pairs,
    "signs of firsts": lambda pairs, _: pairs * np.array([-1, 1], "float32"),
    "signs of seconds": lambda pairs, _: pairs * np.array([1, -1], "float32"),
    "swapped pairs": lambda pairs, _: pairs[:, ::-1],
    "swapped halves": lambda pairs, _: pairs[:, :, ::-1],
    "doubled": lambda pairs, _: pairs * 2,
    "decayed": lambda pairs, _: pairs * np.float32(0.999),
    "a zero": lambda pairs, _: pairs * np.array([[0, 1], [1, 1]], "float32"),
    "noise": lambda pairs, rng: pairs + rng.normal(scale=1e-6, size=pairs.shape).astype("float32"),
}
COUNT = 300_000


def places(apart):
    """Return two positions for each of many trials."""
    first = np.random.default_rng(0).integers(0, 2**24, size=COUNT).astype("uint32")
    return np.stack([first, first ^ np.uint32(apart)], axis=1)


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("apart", [1, 2**10, 2**15, 2**20])
def test_what_people_do_to_weights_is_no_accident(change, apart):
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(COUNT, 2, 2)).astype("float32")
    before, after = (np.array(each).view("uint32") for each in (pairs, CHANGES[change](pairs, rng)))
    assert_by_chance(before, after, places(apart))


ROUND = (0x3F800000, 0x40000000, 0x40400040, 0x3C00, 0x4000, 0x1400, 0x3F80)
"""1, 2 and 3 + 2^-16 as float32, 1, 2 and 2^-10 as float16, and 1 as bfloat16."""


@pytest.mark.parametrize("bits", ROUND, ids=hex)
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("apart", [2**power for power in range(0, 26, 5)])
def test_a_round_number_that_moves_is_no_accident(bits, half, apart):
    """As one does where rows of zeros and ones are rolled: its lower bits are 0, and say nothing."""
    pairs = np.zeros((COUNT, 2, 2), "uint32")
    pairs[:, 0, half] = bits
    assert_by_chance(pairs, pairs[:, ::-1], places(apart))


def assert_by_chance(before, after, at):
    """Assert that ten bits of each sum are the same as often as by chance: 0.3 times in 300,000 both."""
    one, two = sums(before, at), sums(after, at)
    for low in (0, 11, 22):
        same = [
            ((here - there) >> np.uint32(low)) & np.uint32(2**10 - 1) == 0
            for here, there in zip(one, two, strict=True)
        ]
        assert (same[0] & same[1]).sum() <= 5
        assert all(2**10 * each.mean() < 3 for each in same)


@pytest.mark.parametrize("change", list(CHANGES))
def test_one_sum_does_not_say_the_other(change):
    """The factor of the second is not what makes it another: without more, they would differ by few bits."""
    rng = np.random.default_rng(2)
    pairs = rng.normal(size=(20_000, 2, 2)).astype("float32")
    before, after = (np.array(each).view("uint32") for each in (pairs, CHANGES[change](pairs, rng)))
    one, two = (sums(each, places(2**10)[:20_000]) for each in (before, after))
    rest = (one[1] - two[1]) - digest.STEP * (one[0] - two[0])
    assert (rest + np.uint32(2**24) < 2**25).mean() < 0.05


def test_a_mark_is_never_that_of_nothing():
    assert mark(np.zeros(3, "float32"))[0] == 1
    assert not digest.UNKNOWN.any()
