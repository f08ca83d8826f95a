"""Large weights are written where they lie, in Keras's own steps: only the cost changes."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras, paths
from tests.helpers import same_bits, to_numpy
from tests.zoo import jitter

WIDTH = 512
assert WIDTH**2 == _keras.LARGE


def selections(seed=0):
    kinds = (sg.channels, 0.1), (sg.rows, 0.1), (sg.elements, 0.1), (sg.elements, 0.9)
    return [kind(share, by="random", seed=seed) for kind, share in kinds]


SELECTIONS = selections()
ONLY_ON_TENSORFLOW = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="it is about functions or tensors of TensorFlow's"
)
NOT_ON_TORCH = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch writes nothing in place"
)
OF_EACH_KIND = pytest.mark.parametrize("selection", SELECTIONS, ids=str)


def stock(name="d", **options):
    start = keras.Input((WIDTH,))
    x = layers.Dense(WIDTH, name="before")(start)
    return jitter(keras.Model(start, layers.Dense(WIDTH, name=name, **options)(x)))


def rewritten(selection, model=None):
    return sg.rewrite(model or stock(), sg.train("d", kernel=selection))


def kernel_of(model, name="d"):
    return paths.own_weights(model.get_layer(name))["kernel"]


def data(count=8):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(count, WIDTH)).astype("float32") for _ in range(2))


def without(model):
    """Let no weight of a model be written in place."""
    for _, _, _, variable in paths.weights(model):
        if getattr(variable, "start", None) is not None:
            variable.start = variable.seen = None
    return model


def address(variable):
    """Return where a variable's values lie in memory."""
    if keras.backend.backend() == "jax":
        return variable.value.unsafe_buffer_pointer()
    return np.asarray(variable.value.read_value()).ctypes.data


def base_is_current(kernel):
    return same_bits(to_numpy(kernel.base), to_numpy(kernel))


@NOT_ON_TORCH
@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"steps_per_execution": 2}], ids=str)
@OF_EACH_KIND
def test_every_step_computes_what_it_computes_with_a_copy(selection, options):
    model = stock()
    one, two = rewritten(selection, model), without(rewritten(selection, model))
    start = to_numpy(kernel_of(one))
    x, y = data(32)
    found = []
    for each in (one, two):
        each.compile("adam", "mse", **options)
        for _ in range(2):
            found.append(each.fit(x, y, batch_size=8, verbose=0, shuffle=False).history["loss"])
            found.append(each.evaluate(x, y, batch_size=8, verbose=0))
            found.append(each.predict(x, batch_size=8, verbose=0))
    for here, there in zip(found[:6], found[6:], strict=True):
        assert np.array_equal(here, there)
    kernel, other = kernel_of(one), kernel_of(two)
    after, mask = to_numpy(kernel), kernel.part.to_mask()
    assert same_bits(after, to_numpy(other))
    assert same_bits(after[~mask], start[~mask])
    assert (after[mask] != start[mask]).all()
    assert base_is_current(kernel)
    assert not base_is_current(other)
    assert same_bits(to_numpy(kernel_of(model)), start), "the source has changed"
    assert same_bits(kernel.started(), start)
    assert same_bits(other.started(), start)


@NOT_ON_TORCH
@OF_EACH_KIND
def test_the_values_stay_where_they_are(selection):
    tuned = rewritten(selection)
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.train_on_batch(x, y)
    kernel = kernel_of(tuned)
    where = []
    assert (kernel.ordinals is not None) == (selection == SELECTIONS[-1])
    for _ in range(12):
        tuned.train_on_batch(x, y)
        tuned.predict_on_batch(x)
        where.append(address(kernel.base))
    assert base_is_current(kernel)
    # Now and then TensorFlow has not yet let go of the tensor of the step before.
    assert sum(one == two for one, two in itertools.pairwise(where)) >= 8


@ONLY_ON_TENSORFLOW
@OF_EACH_KIND
def test_what_somebody_has_read_does_not_change(selection):
    tuned = rewritten(selection)
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.train_on_batch(x, y)
    kernel = kernel_of(tuned)
    read = kernel.base.value.read_value()
    copied = np.array(read)
    tuned.train_on_batch(x, y)
    tuned.train_on_batch(x, y)
    assert same_bits(np.asarray(read), copied)
    assert not same_bits(to_numpy(kernel.base), copied)


@NOT_ON_TORCH
def test_values_that_were_set_by_hand_are_seen_by_the_next_step():
    tuned = rewritten(sg.rows([1, 3]))
    x, _ = data()
    tuned.compile("sgd", "mse")
    tuned.predict(x, verbose=0)
    kernel = kernel_of(tuned)
    for value in (2.0, -0.0, 0.0, np.nan, 5.0):  # 0 and -0 are equal and have other bits
        kernel.compact.assign(np.full((2, WIDTH), value, "float32"))
        predicted = tuned.predict(x, verbose=0)
        assert base_is_current(kernel)
        assert to_numpy(kernel.seen.mark)[0] == 1, "the next step has nothing to write"
        assert np.array_equal(predicted, to_numpy(tuned(x)), equal_nan=True)
    tuned.set_weights([weight * 2 for weight in tuned.get_weights()])
    assert np.array_equal(tuned.predict(x, verbose=0), to_numpy(tuned(x)), equal_nan=True)


@ONLY_ON_TENSORFLOW
def test_a_layer_that_is_called_twice_and_updated_in_between():
    class Twice(keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(self.inner(x))

        def train_step(self, batch):
            import tensorflow as tf

            for _ in range(2):
                with tf.GradientTape() as tape:
                    loss = keras.ops.mean((self(batch[0], training=True) - batch[1]) ** 2)
                variables = self.trainable_variables
                self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    model = stock()
    found = []
    for each in (rewritten(SELECTIONS[0], model), without(rewritten(SELECTIONS[0], model))):
        twice = Twice(each)
        twice.compile(keras.optimizers.SGD(0.1))
        twice.fit(*data(), epochs=2, shuffle=False, verbose=0)
        found.append((to_numpy(kernel_of(each)), twice.predict(data()[0], verbose=0)))
    # A product may add up in another order; a kernel of before an update would be off by much more.
    for one, two in zip(*found, strict=True):
        assert np.allclose(one, two, rtol=1e-4, atol=2e-5)


@NOT_ON_TORCH
@OF_EACH_KIND
def test_what_runs_many_times_within_a_step_does_not_write(selection):
    """The bodies of loops, in which a write would be repeated or cannot be."""
    start = keras.Input((3, WIDTH))
    inner = layers.Dense(WIDTH, name="d")
    model = jitter(keras.Model(start, layers.TimeDistributed(inner, name="each")(start)))
    tuned = sg.rewrite(model, sg.train("each/layer", kernel=selection))
    x = np.random.default_rng(0).normal(size=(4, 3, WIDTH)).astype("float32")
    assert np.array_equal(tuned.predict(x, verbose=0), model.predict(x, verbose=0))
    kernel = paths.own_weights(tuned.get_layer("each").layer)["kernel"]
    before = to_numpy(kernel)
    tuned.compile(keras.optimizers.SGD(0.1), "mse")
    tuned.fit(x, x, epochs=2, verbose=0)
    mask = kernel.part.to_mask()
    after = to_numpy(kernel)
    assert same_bits(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).any()
    assert np.allclose(tuned.predict(x, verbose=0), to_numpy(tuned(x)), rtol=1e-5, atol=1e-6)


@ONLY_ON_TENSORFLOW
def test_nothing_is_written_by_a_function_of_ones_own(tmp_path):
    import tensorflow as tf

    tuned = rewritten(SELECTIONS[0])
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.fit(x, y, epochs=2, verbose=0)
    kernel = kernel_of(tuned)
    stale = to_numpy(kernel.base)
    expected = to_numpy(tuned(x))
    assert np.array_equal(tf.function(tuned)(x), expected)
    tuned.export(tmp_path / "exported", verbose=False)
    assert same_bits(to_numpy(kernel.base), stale)
    assert not base_is_current(kernel)
    loaded = tf.saved_model.load(tmp_path / "exported")
    assert np.array_equal(loaded.serve(x), expected)
    graph = loaded.signatures["serving_default"].graph
    kinds = {node.op for node in graph.as_graph_def().node} | {
        node.op for function in graph.as_graph_def().library.function for node in function.node_def
    }
    assert not any("Assign" in kind for kind in kinds)


@ONLY_ON_TENSORFLOW
def test_predictions_of_several_threads():
    tuned = rewritten(SELECTIONS[2])
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.predict_on_batch(x)
    tuned.train_on_batch(x, y)
    expected = to_numpy(tuned(x))
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.extend(tuned.predict_on_batch(x) for _ in range(10)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(np.array_equal(each, expected) for each in found)


@pytest.mark.parametrize("selection, other", list(zip(SELECTIONS, selections(7), strict=True)), ids=str)
def test_other_elements_may_train(selection, other):
    tuned = rewritten(selection)
    x, y = data()
    tuned.compile("adam", "mse")
    tuned.fit(x, y, epochs=2, verbose=0)
    kernel, whole = kernel_of(tuned), to_numpy(kernel_of(tuned))
    first = kernel.part
    sg.adjust(tuned, sg.train("d", kernel=other))
    assert kernel_of(tuned) is kernel, "it was to be changed in place"
    assert kernel.part != first
    assert same_bits(to_numpy(kernel), whole)
    assert same_bits(kernel.started(), whole)
    tuned.fit(x, y, epochs=2, verbose=0)
    after, mask = to_numpy(kernel), kernel.part.to_mask()
    assert same_bits(after[~mask], whole[~mask])
    assert (after[mask] != whole[mask]).any()
    assert same_bits(kernel.started(), whole)


@OF_EACH_KIND
def test_a_step_is_that_of_numpy(selection):
    model = stock()
    tuned = rewritten(selection, model)
    x, y = data()
    hidden = to_numpy(model.get_layer("before")(x))
    before, start = (to_numpy(weight) for weight in model.get_layer("d").weights)
    tuned.compile(keras.optimizers.SGD(0.5), "mse")
    tuned.train_on_batch(x, y)
    after, mask = to_numpy(kernel_of(tuned)), kernel_of(tuned).part.to_mask()
    error = 2 * (hidden @ before + start - y) / y.size
    np.testing.assert_allclose(after[mask], (before - 0.5 * hidden.T @ error)[mask], rtol=1e-4, atol=1e-6)


@OF_EACH_KIND
def test_a_file_of_another_selection_is_loaded_with_it(selection, tmp_path):
    tuned, x = rewritten(selection), data()[0]
    tuned.compile("sgd", "mse")
    tuned.fit(*data(), epochs=2, verbose=0)
    tuned.save_weights(tmp_path / "m.weights.h5")
    other = rewritten(selections(7)[SELECTIONS.index(selection)])
    other.compile("sgd", "mse")
    other.fit(*data(), verbose=0)
    assert kernel_of(other).part != kernel_of(tuned).part
    other.load_weights(tmp_path / "m.weights.h5")
    assert kernel_of(other).part == kernel_of(tuned).part
    assert same_bits(kernel_of(other).started(), to_numpy(kernel_of(tuned)))
    assert np.array_equal(other.predict(x, verbose=0), tuned.predict(x, verbose=0))
    with h5py.File(tmp_path / "m.weights.h5") as file:
        state = file[f"layers/dense_1/{paths.STATE}/vars"]
        shapes = {name: item.shape for name, item in state.items()}
    assert shapes == {"kernel": tuple(kernel_of(tuned).index.shape)}, "positions, and nothing else"


@NOT_ON_TORCH
@pytest.mark.parametrize("selection", SELECTIONS[:2], ids=str)
def test_values_that_were_written_do_not_come_back_in_a_split_product(selection):
    tuned, (x, _) = rewritten(selection), data()
    compact = kernel_of(tuned).compact
    good = to_numpy(compact)
    compact.assign(good * np.nan)
    tuned.predict(x, verbose=0)
    compact.assign(good)
    expected = to_numpy(tuned(x))
    sg.split_compute(tuned, "d")
    assert np.allclose(to_numpy(tuned(x)), expected, rtol=1e-4, atol=1e-5)


def test_files_hold_the_values_that_trained(tmp_path):
    tuned = rewritten(SELECTIONS[0])
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.fit(x, y, epochs=2, verbose=0)
    expected = to_numpy(tuned(x))
    tuned.save(tmp_path / "m.keras")
    tuned.save_weights(tmp_path / "m.weights.h5")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    plain = stock()
    plain.load_weights(tmp_path / "m.weights.h5")
    clone = keras.models.clone_model(tuned)
    clone.set_weights(tuned.get_weights())
    for model in (loaded, plain, sg.restore(tuned), sg.rewrite(tuned, []), clone):
        assert np.array_equal(to_numpy(model(x)), expected)
        assert np.array_equal(model.predict(x, verbose=0), tuned.predict(x, verbose=0))


def test_a_copy_has_a_base_of_its_own():
    tuned = rewritten(SELECTIONS[0])
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.fit(x, y, epochs=2, verbose=0)
    copied = sg.rewrite(tuned, [])
    whole, expected = to_numpy(kernel_of(tuned)), tuned.predict(x, verbose=0)
    copied.set_weights([weight * 2 for weight in copied.get_weights()])
    copied.compile("sgd", "mse")
    copied.fit(x, y, verbose=0)
    assert np.array_equal(copied.predict(x, verbose=0), to_numpy(copied(x)))
    assert same_bits(to_numpy(kernel_of(tuned)), whole)
    assert np.array_equal(tuned.predict(x, verbose=0), expected)


@NOT_ON_TORCH
@OF_EACH_KIND
def test_a_prediction_after_a_prediction_writes_nothing(selection):
    """What was written is still there, though somebody changed what nobody reads."""
    tuned = rewritten(selection)
    x, y = data()
    tuned.compile("sgd", "mse")
    tuned.fit(x, y, verbose=0)
    expected = tuned.predict(x, verbose=0)
    base, mark = kernel_of(tuned).base, to_numpy(kernel_of(tuned).seen.mark)
    other = np.where(kernel_of(tuned).part.to_mask(), 1e3, to_numpy(base)).astype("float32")
    base.assign(other)
    kernel_of(tuned).seen.mark.assign(mark)
    assert not np.array_equal(tuned.predict(x, verbose=0), expected)
    base.assign(other)
    assert np.array_equal(tuned.predict(x, verbose=0), expected)


@NOT_ON_TORCH
def test_a_base_that_is_set_by_itself_gives_nothing_away():
    """What it holds where elements train is written over, though these have not changed since."""
    tuned = rewritten(SELECTIONS[0])
    x, _ = data()
    expected = tuned.predict(x, verbose=0)
    base = kernel_of(tuned).base
    base.assign(np.where(kernel_of(tuned).part.to_mask(), 1e3, to_numpy(base)).astype("float32"))
    assert np.array_equal(tuned.predict(x, verbose=0), expected)
