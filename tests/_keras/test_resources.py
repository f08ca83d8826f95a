"""A TensorFlow variable that was duplicated is as good as one that was made by its constructor."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import keras
import numpy as np
import pytest

import surgeon as sg
from surgeon import _keras
from surgeon._keras.resources import FIELDS, _plain_kind, duplicate_resource, read_resource

tf: Any = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="variables of TensorFlow")


def pair(**options):
    variable = tf.Variable(np.arange(6, dtype="float32").reshape(2, 3), name="kernel", **options)
    duplicate = duplicate_resource(variable)
    assert duplicate is not None
    return variable, duplicate


def test_it_knows_all_that_a_variable_of_this_release_holds():
    assert vars(tf.Variable(1.0)).keys() <= FIELDS


def test_each_has_its_own_value():
    variable, duplicate = pair()
    assert read_resource(duplicate).numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    duplicate.assign_add(tf.ones((2, 3)))
    variable.scatter_nd_update([[0]], [[9.0, 9.0, 9.0]])
    assert duplicate.numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert variable.numpy().tolist() == [[9, 9, 9], [3, 4, 5]]


@pytest.mark.parametrize("trainable", [True, False])
def test_tapes_watch_it_as_they_watch_the_other(trainable):
    _, duplicate = pair(trainable=trainable)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(duplicate * duplicate)
    gradient = tape.gradient(loss, duplicate)
    assert gradient.numpy().tolist() == [[0, 2, 4], [6, 8, 10]] if trainable else gradient is None


def test_functions_checkpoints_and_saved_models_tell_them_apart(tmp_path):
    variable, duplicate = pair()
    assert variable.handle is not duplicate.handle
    assert variable._unique_id != duplicate._unique_id
    module = tf.Module()
    module.left, module.right = variable, duplicate
    module.sum = tf.function(
        lambda: tf.reduce_sum(module.left) - 2 * tf.reduce_sum(module.right), input_signature=[]
    )
    duplicate.assign(tf.ones((2, 3)))
    assert float(module.sum()) == 3
    path = tf.train.Checkpoint(module=module).save(tmp_path / "checkpoint")
    tf.saved_model.save(module, str(tmp_path / "saved"))
    variable.assign(tf.zeros((2, 3)))
    tf.train.Checkpoint(module=module).restore(path)
    assert float(module.sum()) == 3
    assert float(tf.saved_model.load(str(tmp_path / "saved")).sum()) == 3


def test_its_memory_is_given_back():
    _, duplicate = pair()
    gone = weakref.ref(duplicate)
    del duplicate
    gc.collect()
    assert gone() is None


def test_what_is_not_plain_is_left_to_its_constructor():
    assert duplicate_resource(tf.Variable(1.0, constraint=tf.abs)) is None
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        mirrored = tf.Variable(1.0)
        assert duplicate_resource(tf.Variable(1.0)) is None
    assert duplicate_resource(mirrored) is None
    odd = tf.Variable(1.0)
    odd._something_of_a_later_release = 1
    assert duplicate_resource(odd) is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "uint32", "bool", "string"])
def test_of_every_dtype(dtype):
    variable = tf.Variable(tf.cast([0, 1], dtype) if dtype != "string" else tf.constant(["a", "b"]))
    duplicate = duplicate_resource(variable)
    assert duplicate is not None
    assert (duplicate.numpy() == variable.numpy()).all()
    assert (duplicate.dtype, duplicate.shape) == (variable.dtype, variable.shape)


def test_a_keras_variable_is_duplicated_with_it():
    variable = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    copy = _keras.duplicate_variable(variable, lambda value: value)
    assert type(copy.value) is type(variable.value)
    copy.assign(np.zeros((2, 2)))
    assert float(keras.ops.sum(variable)) == 4


@pytest.mark.parametrize("inside", [True, False])
def test_a_mirrored_model_is_rewritten_first_of_all(inside):
    _plain_kind.cache_clear()  # as in a process of its own
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d"), keras.layers.Dense(2)])
    with strategy.scope() if inside else contextlib.nullcontext():
        tuned = sg.rewrite(model, sg.train("d", kernel=sg.channels([0])))
    inputs = np.ones((2, 4), "float32")
    assert np.array_equal(tuned.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    assert _plain_kind() is type(tf.Variable(0))
