"""Large weights in unusual calls: gradients of gradients, stateless calls, branches, loops, layers around."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

import surgeon as sg
from surgeon import paths
from tests.helpers import same_bits, to_numpy
from tests.partial.test_in_place import (
    NOT_ON_TORCH,
    OF_EACH_KIND,
    ONLY_ON_TENSORFLOW,
    SELECTIONS,
    WIDTH,
    data,
    kernel_of,
    rewritten,
    stock,
    without,
)
from tests.zoo import jitter


def _penalized(inner):
    """Return a model whose loss is a gradient's norm: its step takes the gradient of a gradient."""
    import tensorflow as tf

    class Penalized(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

        def train_step(self, batch):
            x, y = map(tf.convert_to_tensor, batch[:2])
            with tf.GradientTape() as outer:
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    loss = keras.ops.mean((self.inner(x, training=True) - y) ** 2)
                penalty = 1e3 * keras.ops.sum(tape.gradient(loss, x) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply(outer.gradient(penalty, variables), variables)
            return {"penalty": penalty}

    model = Penalized()
    model.compile(keras.optimizers.SGD(1.0))
    return model


@ONLY_ON_TENSORFLOW
@OF_EACH_KIND
def test_the_gradient_of_a_gradient_is_that_of_the_stock_layer(selection):
    model = stock(activation="tanh")
    tuned, whole = rewritten(selection, model), sg.rewrite(model, [])
    start = to_numpy(kernel_of(model))
    for each in (tuned, whole):
        _penalized(each).train_on_batch(*data())
    part = kernel_of(tuned).part
    moved, expected = (part.take(to_numpy(kernel_of(each)) - start) for each in (tuned, whole))
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@ONLY_ON_TENSORFLOW
def test_a_stateless_call_writes_nothing():
    import tensorflow as tf

    class Stateless(keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

        def train_step(self, batch):
            doubled = [variable.value * 2 for variable in self.inner.trainable_variables]
            others = [tf.convert_to_tensor(variable.value) for variable in self.inner.non_trainable_variables]
            outputs, _ = self.inner.stateless_call(doubled, others, batch[0])
            return {"sum": keras.ops.sum(outputs)}

    tuned = rewritten(SELECTIONS[0])
    base = to_numpy(kernel_of(tuned).base)
    model = Stateless(tuned)
    model.compile("sgd")
    x, y = data()
    found = model.train_on_batch(x, y, return_dict=True)["sum"]
    assert same_bits(to_numpy(kernel_of(tuned).base), base)
    for variable in tuned.trainable_variables:
        variable.assign(to_numpy(variable) * 2)
    assert np.allclose(found, to_numpy(tuned(x)).sum(), rtol=1e-3, atol=1e-2)


@OF_EACH_KIND
def test_a_layer_around_that_sets_the_kernel_as_it_goes_changes_nothing_frozen(selection):
    class Halving(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = layers.Dense(WIDTH, name="dense")

        def build(self, shape):
            self.dense.build(shape)
            self.built = True

        def call(self, x):
            self.dense.kernel.assign(self.dense.kernel * 0.5)
            return self.dense(x)

    model = jitter(keras.Sequential([keras.Input((WIDTH,)), Halving(name="halving")]))
    tuned = sg.rewrite(model, sg.train("halving/dense", kernel=selection), validate="none")
    kernel = paths.own_weights(tuned.get_layer("halving").dense)["kernel"]
    before, mask = to_numpy(kernel), kernel.part.to_mask()
    x, _ = data()
    if keras.backend.backend() == "tensorflow":
        tuned.predict(x, verbose=0)
    tuned(x)
    after = to_numpy(kernel)
    assert same_bits(after[~mask], before[~mask])
    assert (np.abs(after[mask]) < np.abs(before[mask])).all()


@ONLY_ON_TENSORFLOW
@OF_EACH_KIND
def test_in_a_branch_and_in_a_loop_nothing_is_written_and_all_is_trained(selection):
    class Branching(layers.Layer):
        def __init__(self, way, **options):
            super().__init__(**options)
            self.dense, self.way = layers.Dense(WIDTH, name="dense"), way

        def build(self, shape):
            self.dense.build(shape)
            self.built = True

        def call(self, x):
            if self.way == "branch":
                return keras.ops.cond(keras.ops.sum(x) > -1e9, lambda: self.dense(x), lambda: x)
            if self.way == "vectorized":
                return keras.ops.vectorized_map(lambda row: self.dense(row[None])[0], x)
            return keras.ops.fori_loop(0, 2, lambda _, y: self.dense(y), x)

    x, y = data()
    for way in ("branch", "vectorized", "loop"):
        model = jitter(keras.Sequential([keras.Input((WIDTH,)), Branching(way, name="b")]))
        tuned = sg.rewrite(model, sg.train("b/dense", kernel=selection), validate="none")
        kernel = paths.own_weights(tuned.get_layer("b").dense)["kernel"]
        before, mask = to_numpy(kernel), kernel.part.to_mask()
        tuned.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        tuned.fit(x, y, epochs=2, verbose=0)
        after = to_numpy(kernel)
        assert same_bits(after[~mask], before[~mask]), way
        assert (after[mask] != before[mask]).mean() > 0.9, way
        if kernel.axis is not None:  # single elements are put together outside, and may be written there
            assert same_bits(to_numpy(kernel.base), before), way
        assert np.allclose(tuned.predict(x, verbose=0), to_numpy(tuned(x)), rtol=1e-4, atol=1e-5), way


@NOT_ON_TORCH
@OF_EACH_KIND
def test_a_layer_that_is_called_twice_in_a_step(selection):
    start = keras.Input((WIDTH,))
    shared = layers.Dense(WIDTH, name="d")
    model = jitter(keras.Model(start, shared(keras.ops.tanh(shared(start)))))
    one, two = rewritten(selection, model), without(rewritten(selection, model))
    x, y = data()
    for tuned in (one, two):
        tuned.compile(keras.optimizers.SGD(0.1), "mse")
        tuned.fit(x, y, epochs=3, verbose=0)
    # Up to rounding: the steps are two programs, in which XLA adds the two gradients up as it likes.
    first, second = (to_numpy(kernel_of(tuned)) for tuned in (one, two))
    assert np.allclose(one.predict(x, verbose=0), two.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert np.allclose(first, second, rtol=1e-4, atol=1e-5)
    mask, began = kernel_of(one).part.to_mask(), to_numpy(kernel_of(model))
    assert same_bits(first[~mask], began[~mask])
    assert (first[mask] != began[mask]).any()
