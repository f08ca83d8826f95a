"""What a step on JAX gives away takes new values, and nothing of a loop's body gets out."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from surgeon import _keras
from surgeon._keras import digest, donated
from tests.helpers import same_bits, to_numpy

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX donates")


def mark(values):
    return to_numpy(digest.mark(keras.ops.convert_to_tensor(values)))


def put(whole, values, index):
    return whole.at[index].set(values)


def variables():
    base = keras.Variable(np.zeros(6, "float32"), trainable=False)
    seen = _keras.Seen(keras.Variable(_keras.UNKNOWN, dtype="int32", trainable=False))
    return base, seen, keras.ops.convert_to_tensor(np.array([1, 4], "int32"))


def named(name, function):
    function.__name__ = name
    return function


def run(name, body, values, marked=_keras.UNKNOWN, of_keras=True):
    """Return what `body(base, seen, values, index)` says, and what is in the variables after it."""
    import jax

    base, about, index = variables()
    held = [base, about.mark]
    told = []

    def step(state, values):
        with keras.StatelessScope(zip(held, state, strict=True)) as scope:
            told.append(body(base, about, values, index))
        return [scope.get_current_value(variable) for variable in held]

    start = [np.zeros(6, "float32"), marked]
    with pytest.MonkeyPatch.context() as patch:
        if of_keras:  # a function that is written here is not
            patch.setattr(donated, "_is_of_keras", lambda _: True)
        after = jax.jit(named(name, step))([jax.numpy.asarray(each) for each in start], values)
    return told[0], [np.asarray(each) for each in after]


VALUES = np.array([3.0, np.nan], "float32")
WRITTEN = np.array([0, 3.0, 0, 0, np.nan, 0], "float32")


@pytest.mark.parametrize("name", ["train_step", "test_step", "predict_step"])
def test_in_a_step_the_variable_takes_the_values(name):
    told, (base, marked) = run(name, lambda *given: _keras.put_into_state(put, *given), VALUES)
    assert told is not None
    assert same_bits(base, WRITTEN)
    assert np.array_equal(marked, mark(VALUES))


@pytest.mark.parametrize(
    ("values", "before", "is_written"),
    [
        (VALUES, VALUES, False),
        (VALUES, None, True),
        (np.zeros(2, "float32"), np.array([-0.0, 0.0], "float32"), True),
    ],
    ids=["has them", "not known", "others"],
)
def test_values_that_are_there_are_not_put_there_again(values, before, is_written):
    def marking(whole, values, index):
        return whole.at[index].set(values + 1)  # to tell whether it ran

    marked = _keras.UNKNOWN if before is None else mark(before)
    _, (base, after) = run(
        "predict_step", lambda *given: _keras.put_into_state(marking, *given), values, marked
    )
    assert bool(base.any()) == is_written
    assert np.array_equal(after, mark(values))


def test_a_function_of_ones_own_may_be_handed_another_variable():
    told, (base, *_) = run(
        "predict_step",
        lambda *given: _keras.put_into_state(put, *given),
        VALUES,
        mark(VALUES),
        of_keras=False,
    )
    assert told is not None
    assert same_bits(base, WRITTEN)


def test_values_that_are_trained_are_not_kept():
    import jax

    def body(base, about, values, index):
        def loss(values):
            told = _keras.put_into_state(put, base, about, values, index)
            assert told is not None
            return (told.tensor * 0 + values.sum()).sum()

        jax.grad(loss)(values)
        return base.value

    before = mark(VALUES)
    _, (base, marked) = run("train_step", body, np.ones(2, "float32"), before)
    assert same_bits(base, np.array([0, 1, 0, 0, 1, 0], "float32"))
    assert np.array_equal(marked, before), "the variable forgets it when it is assigned: partial.variable"


def _in_scan(write):
    import jax

    return jax.lax.scan(lambda carry, _: (carry, (write(), carry)[1]), 0.0, None, length=2)


def _in_cond(write):
    import jax

    return jax.lax.cond(jax.numpy.ones(()) > 0, lambda: (write(), 1.0)[1], lambda: 0.0)


def _in_remat(write):
    import jax

    return jax.checkpoint(lambda value: (write(), value)[1])(1.0)


def _in_a_function(write):
    import jax

    return jax.jit(lambda value: (write(), value)[1])(1.0)


@pytest.mark.parametrize("within", [_in_scan, _in_cond, _in_remat, _in_a_function])
def test_within_a_loop_or_a_branch_nothing_is_set(within):
    told = []

    def body(*given):
        within(lambda: told.append(_keras.put_into_state(put, *given)))

    _, (base, *_) = run("train_step", body, VALUES)
    assert told
    assert all(each is None for each in told)
    assert not base.any()


def test_elsewhere_nothing_is_set():
    told, (base, *_) = run("mine", lambda *given: _keras.put_into_state(put, *given), VALUES)
    assert told is None
    assert not base.any()
    base, about, index = variables()
    assert _keras.put_into_state(put, base, about, VALUES, index) is None
