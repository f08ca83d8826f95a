"""Implicit masks, which travel beside the tensors."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import same_bits, to_numpy

WORDS = np.array([[3, 5, 0, 0, 0], [1, 2, 4, 6, 0]], "int32")


def reader(*, mask_zero=True):
    words = keras.Input((5,), dtype="int32", name="words")
    x = layers.Embedding(9, 4, mask_zero=mask_zero, name="embedding")(words)
    x = layers.Dropout(0.1, name="dropout")(x)
    x = layers.Dense(4, name="dense")(x)
    x = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return zoo.jitter(keras.Model(words, layers.Dense(2, name="head")(x), name="reader"))


@pytest.mark.parametrize("mask_zero", [True, False])
def test_the_mask_of_an_embedding(mask_zero):
    check_exact(reader(mask_zero=mask_zero))


def test_a_masking_layer_before_wrapped_layers():
    x = keras.Input((5, 4), name="x")
    y = layers.Masking(0.5, name="masking")(x)
    y = layers.TimeDistributed(layers.Dense(4, name="inner"), name="each")(y)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum", name="both")(y)
    y = layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)], name="stacked")(y)
    check_exact(zoo.jitter(keras.Model(x, y)))


def test_a_sequential_with_a_mask_stays_one():
    stack = [
        keras.Input((5, 4), name="x"),
        layers.Masking(0.5, name="masking"),
        layers.BatchNormalization(name="norm"),
        layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both"),
        layers.LSTM(3, name="last"),
    ]
    model = zoo.jitter(keras.Sequential(stack, name="masked"))
    check_exact(model)
    assert type(sg.rewrite(model, [])) is keras.Sequential


def test_a_mask_that_nothing_reads_yet_reaches_a_layer_put_on_top():
    words = keras.Input((5,), dtype="int32", name="words")
    model = zoo.jitter(keras.Model(words, layers.Embedding(9, 4, mask_zero=True, name="embedding")(words)))
    same = sg.rewrite(model, [])
    assert _keras.get_keras_mask(same.output) is not None
    lstm = layers.LSTM(3, name="top")
    tops = [keras.Model(one.input, lstm(one.output)) for one in (model, same)]
    assert same_bits(*(to_numpy(top(WORDS)) for top in tops))


@pytest.mark.parametrize("masked", [(True, False), (False, True), (True, True)], ids=str)
def test_a_masking_layer_is_replaced_and_what_reads_its_mask_follows(masked):
    before, after = masked
    model, other = reader(mask_zero=before), reader(mask_zero=after)
    rule = sg.replace("embedding", layers.Embedding(9, 4, mask_zero=after))
    rewritten = sg.rewrite(model, rule)
    assert np.array_equal(to_numpy(rewritten(WORDS)), to_numpy(other(WORDS)))
    assert np.array_equal(to_numpy(model(WORDS)), to_numpy(other(WORDS))) == (before == after)


def test_new_masks_beside_old_ones_in_a_model_whose_names_keras_does_not_count():
    words, others = (keras.Input((5,), dtype="int32", name=name) for name in ("words", "others"))
    masked = [
        layers.Embedding(9, 4, mask_zero=True, name=name)(tokens)
        for name, tokens in (("first", words), ("second", others))
    ]
    x = layers.LSTM(3, name="lstm")(layers.Add(name="add")(masked))
    model = zoo.jitter(keras.Model([words, others], x))
    keras.utils.clear_session()
    for name in ("first", "second"):
        rewritten = sg.rewrite(model, sg.replace(name, layers.Embedding(9, 4, mask_zero=True)))
        assert same_bits(to_numpy(rewritten([WORDS, WORDS])), to_numpy(model([WORDS, WORDS])))
