"""Two products instead of one: the same numbers up to rounding, in the result and in every gradient."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.partial import splitting
from tests.helpers import same_bits, to_numpy
from tests.partial.matrix import values
from tests.zoo import jitter

RNG = np.random.default_rng(0)


@pytest.fixture(params=[(4,), (3, 4)], ids=["flat", "sequences"])
def stock(request):
    start = keras.Input(request.param)
    x = layers.Dense(4, name="before")(start)
    x = layers.Dense(6, activation="tanh", name="subject")(x)
    return jitter(keras.Model(start, layers.Dense(2, name="head")(x)))


def batch(model):
    shape, out = model.input_shape[1:], model.output_shape[1:]
    return RNG.normal(size=(5, *shape)).astype("float32"), RNG.normal(size=(5, *out)).astype("float32")


def moved_base(layer):
    """Let the base hold what it must never give away: nonsense where the kernel trains."""
    kernel = layer.kernel
    kernel.base.assign(np.where(kernel.part.to_mask(), 1e3, to_numpy(kernel.base)).astype("float32"))


@pytest.mark.parametrize("selection", [sg.channels([1, 4]), sg.rows([0, 3])], ids=str)
def test_batches_need_not_have_one_size(stock, selection):
    tuned = sg.rewrite(stock, sg.train("subject", kernel=selection))
    sg.split_compute(tuned)
    x, y = (np.concatenate([each] * 3) for each in batch(stock))  # 15 samples: the last batch has three
    tuned.compile("sgd", "mse")
    tuned.fit(x, y, batch_size=4, verbose=0)
    assert np.allclose(tuned.predict(x, batch_size=4, verbose=0), to_numpy(tuned(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("selection", [sg.channels([1, 4]), sg.rows([0, 3])], ids=str)
def test_a_step_is_that_of_one_product_up_to_rounding(stock, selection):
    one = sg.rewrite(stock, sg.train("subject", kernel=selection))
    two = sg.rewrite(one, [])
    assert sg.split_compute(two) == ("subject",)
    for model in (one, two):
        moved_base(model.get_layer("subject"))
    x, y = batch(stock)
    assert np.allclose(to_numpy(one(x)), to_numpy(two(x)), rtol=1e-5, atol=1e-6)
    before = values(stock)
    for model in (one, two):
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(x, y)
    mask = one.get_layer("subject").kernel.part.to_mask()
    ours, theirs = values(two), values(one)
    assert same_bits(ours["subject/kernel"][~mask], before["subject/kernel"][~mask])
    for path, value in ours.items():
        assert np.allclose(value, theirs[path], rtol=1e-5, atol=1e-6), path
        assert not np.array_equal(value, before[path])


def test_it_is_kept_by_files_copies_and_adjustments_and_put_back(stock, tmp_path, monkeypatch):
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.channels([1])))
    x, _ = batch(stock)
    multiply = Mock(wraps=splitting.multiply)
    monkeypatch.setattr(splitting, "multiply", multiply)

    def splits(model):
        multiply.reset_mock()
        model(x)
        return multiply.called

    assert not splits(tuned)
    sg.split_compute(tuned, "sub*")
    tuned.save(tmp_path / "m.keras")
    for model in (
        tuned,
        keras.models.load_model(tmp_path / "m.keras"),
        keras.models.clone_model(tuned),
        sg.rewrite(tuned, []),
    ):
        assert splits(model)
    assert not splits(sg.restore(tuned))
    sg.adjust(tuned, sg.train("subject", kernel=sg.rows([0, 2])))
    assert splits(tuned)
    sg.split_compute(tuned, split=False)
    assert not splits(tuned)


def test_it_says_so_where_there_is_nothing_to_split(stock):
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.elements(3, by="random")))
    with pytest.raises(sg.NoMatchError, match=r"means 'before', 'subject', .*, but no Dense layer whose"):
        sg.split_compute(tuned)
    with pytest.raises(
        sg.NoMatchError, match=r"(?s)split_compute: .*no layer matches 'subjekt'; close: 'subject'"
    ):
        sg.split_compute(tuned, "subjekt")


def test_float16_computes_in_float16():
    keras.config.set_dtype_policy("mixed_float16")
    start = keras.Input((8,))
    stock = keras.Model(start, layers.Dense(6, name="subject")(start))
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.channels([1, 4])))
    x, y = np.ones((4, 8), "float16"), np.ones((4, 6), "float16")
    whole = to_numpy(tuned(x))
    sg.split_compute(tuned)
    assert np.allclose(to_numpy(tuned(x)), whole, atol=1e-2)
    assert keras.backend.standardize_dtype(tuned(x).dtype) == "float16"
    before = to_numpy(tuned.get_layer("subject").kernel)
    tuned.compile("sgd", "mse")
    tuned.train_on_batch(x, y)
    changed = (to_numpy(tuned.get_layer("subject").kernel) != before).any(axis=0)
    assert changed.tolist() == [False, True, False, False, True, False]
