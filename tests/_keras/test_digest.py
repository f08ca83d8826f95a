"""Marks tell tensors apart, and are the same on each backend and in each process."""

from __future__ import annotations

from functools import cache

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
    return tuple(compiled()(tensor).numpy().tolist())


@cache
def compiled():
    import tensorflow as tf

    return tf.function(digest.mark, jit_compile=True)


def sums(tuples, places):
    """Return the two sums of each row of tuples, of one number from each piece, by numpy."""
    lanes = digest._lanes(np.moveaxis(tuples, -1, 0), places, _shifted)
    return [lane.sum(axis=-1, dtype="uint32") for lane in lanes]


def _shifted(numbers, by):
    return numbers >> np.uint32(by)


def sums_of(bits):
    """Return the two sums of flat bits."""
    tuples = np.stack(digest._pieces(bits), axis=-1)
    return sums(tuples, np.arange(len(tuples), dtype="uint32"))


@pytest.mark.parametrize("shape", [(1,), (5,), (8,), (3, 7), (2, 3, 5)])
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


def _but(piece, factor):
    """Return factors that leave all pieces but one as they are."""
    factors = np.ones(digest.PIECES, "float32")
    factors[piece] = factor
    return factors


CHANGES = {
    "all signs": lambda tuples, _: -tuples,
    "signs of firsts": lambda tuples, _: tuples * _but(0, -1),
    "signs of seconds": lambda tuples, _: tuples * _but(1, -1),
    "signs of lasts": lambda tuples, _: tuples * _but(-1, -1),
    "signs of all but firsts": lambda tuples, _: -tuples * _but(0, -1),
    "swapped tuples": lambda tuples, _: tuples[:, ::-1],
    "pieces the other way round": lambda tuples, _: tuples[:, :, ::-1],
    "pieces moved on by one": lambda tuples, _: np.roll(tuples, 1, axis=-1),
    "doubled": lambda tuples, _: tuples * 2,
    "decayed": lambda tuples, _: tuples * np.float32(0.999),
    "a zero": lambda tuples, _: tuples * np.stack([_but(0, 0), _but(0, 1)]),
    "noise": lambda tuples, rng: tuples + rng.normal(scale=1e-6, size=tuples.shape).astype("float32"),
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
    tuples = rng.normal(size=(COUNT, 2, digest.PIECES)).astype("float32")
    before, after = (np.array(each).view("uint32") for each in (tuples, CHANGES[change](tuples, rng)))
    assert_by_chance(before, after, places(apart))


ROUND = (0x3F800000, 0x40000000, 0x40400040, 0x3C00, 0x4000, 0x1400, 0x3F80)
"""1, 2 and 3 + 2^-16 as float32, 1, 2 and 2^-10 as float16, and 1 as bfloat16."""


@pytest.mark.parametrize("bits", ROUND, ids=hex)
@pytest.mark.parametrize("piece", [0, digest.PIECES - 1])
@pytest.mark.parametrize("apart", [2**power for power in range(0, 26, 5)])
def test_a_round_number_that_moves_is_no_accident(bits, piece, apart):
    """As one does where rows of zeros and ones are rolled: its lower bits are 0, and say nothing."""
    tuples = np.zeros((COUNT, 2, digest.PIECES), "uint32")
    tuples[:, 0, piece] = bits
    assert_by_chance(tuples, tuples[:, ::-1], places(apart))


def test_ones_at_two_places_are_no_accident():
    """As they were at one of 128 places, while each position was in the mixture once."""
    before = np.zeros((COUNT, 2, digest.PIECES), "uint32")
    after = before.copy()
    after[..., 0] = ROUND[0]
    assert_by_chance(before, after, places(2**23))


def test_what_differs_as_two_positions_do_is_no_accident():
    """While each position was in the mixture once, both came out as the other did before."""
    before = np.random.default_rng(4).integers(2**32, size=(COUNT, 2, digest.PIECES), dtype="uint32")
    before[:, 1] = before[:, 0]
    at = places(3 * 2**15)
    steps = (at + np.uint32(1)) * digest.STEP
    after = before.copy()
    after[..., 0] ^= (steps[:, 0] ^ steps[:, 1])[:, None]
    assert_by_chance(before, after, at)


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
    tuples = rng.normal(size=(20_000, 2, digest.PIECES)).astype("float32")
    before, after = (np.array(each).view("uint32") for each in (tuples, CHANGES[change](tuples, rng)))
    one, two = (sums(each, places(2**10)[:20_000]) for each in (before, after))
    rest = (one[1] - two[1]) - digest.STEP * (one[0] - two[0])
    assert (rest + np.uint32(2**24) < 2**25).mean() < 0.05


@pytest.mark.parametrize("pieces", [[0, 1], [1, 2], [2, 3], [0, 3], [0, 1, 2, 3]], ids=str)
def test_what_one_sum_takes_for_the_same_the_other_tells_apart(pieces):
    """Many numbers are mixed into one of 32 bits: of half a million, some 32 pairs come out the same."""
    tuples = np.zeros((2**19, digest.PIECES), "uint32")
    tuples[:, pieces] = np.random.default_rng(3).integers(2**32, size=(2**19, len(pieces)), dtype="uint32")
    one, other = digest._lanes(list(tuples.T), np.full(1, 5, "uint32"), _shifted)
    order = np.argsort(one)
    same = np.flatnonzero(np.diff(one[order]) == 0)
    assert len(same) > 8
    assert np.diff(other[order])[same].all()


def test_a_mark_is_never_that_of_nothing():
    assert mark(np.zeros(3, "float32"))[0] == 1
    assert not digest.UNKNOWN.any()
