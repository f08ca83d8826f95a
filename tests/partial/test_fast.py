"""The gradient for the trainable slices alone is the slice of the whole gradient."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.partial import assemble, fast, products
from tests.helpers import assert_same_outputs, to_numpy
from tests.partial.matrix import values
from tests.zoo import jitter

BACKEND = keras.backend.backend()
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="what TensorFlow cannot do on a CPU")
RATE = 0.1
CASES = {
    "Dense": (lambda: layers.Dense(6), (4,)),
    "Dense on sequences": (lambda: layers.Dense(6), (3, 4)),
    "Dense on sequences of sequences": (lambda: layers.Dense(6, activation="tanh"), (2, 3, 4)),
    "Dense that is wide on long sequences": (lambda: layers.Dense(300), (80, 260)),
    "Conv1D": (lambda: layers.Conv1D(6, 2, strides=2), (7, 4)),
    "Conv2D": (lambda: layers.Conv2D(6, 2, padding="same", activation="tanh"), (5, 5, 4)),
    "Conv2D that is large": (lambda: layers.Conv2D(256, 3, padding="same"), (2, 2, 128)),
    "Conv3D": (lambda: layers.Conv3D(6, 2), (3, 3, 3, 4)),
    "Conv1D in groups": (lambda: layers.Conv1D(6, 2, strides=2, groups=2), (7, 8)),
    # Of the three groups two have a channel that trains, and one has none.
    "Conv2D in groups": (lambda: layers.Conv2D(6, 2, padding="same", groups=3), (5, 5, 12)),
    "Conv3D in groups": (lambda: layers.Conv3D(6, 2, groups=2), (3, 3, 3, 8)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(6, 2, strides=2), (4, 4)),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="tanh"),
        (3, 3, 4),
    ),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(6, 2), (2, 2, 2, 4)),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cde->abde", (3, 3, 6), bias_axes="e"), (3, 4)),
    "EinsumDense with an ellipsis": (lambda: layers.EinsumDense("...c,cd->...d", 6), (3, 4)),
    "EinsumDense backwards": (lambda: layers.EinsumDense("abc,dc->adb", (6, 3)), (3, 4)),
}


def model_of(make, shape):
    start = keras.Input(shape)
    x = layers.Dense(shape[-1], name="before")(start)  # so that the gradient of the inputs counts
    subject = make()
    subject.name = "subject"
    x = layers.Flatten()(subject(x))
    return jitter(keras.Model(start, layers.Dense(2, name="head")(x)))


ELEMENTS = sg.elements([0, 7, 8, 23])
SLICES = (sg.channels([1, 4]), sg.rows([0, 3]))


@pytest.mark.parametrize(
    "case, selection",
    [
        *((case, each) for case in CASES for each in SLICES),
        *((c, ELEMENTS) for c in CASES if c.partition(" ")[0] == "Dense"),
    ],
    ids=str,
)
def test_a_step_is_that_of_the_stock_layer_where_it_trains(case, selection, monkeypatch):
    make, shape = CASES[case]
    stock = model_of(make, shape)
    tuned = sg.rewrite(stock, sg.train("subject", kernel=selection))
    apply, take = Mock(wraps=fast.apply), Mock(wraps=products.take)
    monkeypatch.setattr(fast, "apply", apply)
    monkeypatch.setattr(products, "take", take)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, *shape)).astype("float32")
    y = rng.normal(size=(5, 2)).astype("float32")
    assert_same_outputs(tuned(x), stock(x))
    before = values(stock)
    for model in (stock, tuned):
        model.compile(keras.optimizers.SGD(RATE), "mse")
        model.train_on_batch(x, y)
    # On PyTorch a convolution in groups goes the general way: nothing is faster.
    assert apply.called == (BACKEND != "torch" or "groups" not in case)
    assert take.called == (case.startswith("Dense") and selection is not ELEMENTS)
    mask = tuned.get_layer("subject").kernel.part.to_mask()
    whole, partly = values(stock), values(tuned)
    for path in before:
        expected = whole[path]
        if path == "subject/kernel":
            expected = np.where(mask, expected, before[path])
            assert np.array_equal(partly[path][~mask], before[path][~mask])
        assert np.allclose(partly[path], expected, rtol=1e-5, atol=1e-6), path


@pytest.mark.parametrize("selection", [*SLICES, ELEMENTS], ids=str)
@pytest.mark.parametrize("before, subject", [("float16", "float32"), ("float32", "float16")])
def test_inputs_of_another_dtype(before, subject, selection):
    def make():
        start = keras.Input((4,))
        x = layers.Dense(4, dtype=before, name="before")(start)
        return keras.Model(start, layers.Dense(6, dtype=subject, autocast=False, name="subject")(x))

    stock = jitter(make())
    tuned = sg.rewrite(stock, sg.train("subject", kernel=selection))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4)).astype("float32"), rng.normal(size=(5, 6)).astype("float32")
    start = values(stock)
    for model in (stock, tuned):
        model.compile(keras.optimizers.SGD(RATE), "mse")
        model.train_on_batch(x, y)
    whole, partly = values(stock), values(tuned)
    assert np.allclose(partly["before/kernel"], whole["before/kernel"], rtol=1e-2, atol=1e-3)
    assert not np.array_equal(partly["before/kernel"], start["before/kernel"])
    mask = tuned.get_layer("subject").kernel.part.to_mask()
    expected = np.where(mask, whole["subject/kernel"], start["subject/kernel"])
    assert np.allclose(partly["subject/kernel"], expected, rtol=1e-2, atol=1e-3)


def test_channels_in_groups_may_move_to_other_groups_without_a_new_trace():
    """How many of them lie in a group is no constant of the trace."""
    stock = model_of(lambda: layers.Conv2D(6, 2, groups=3), (5, 5, 12))
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.channels([0, 2])))
    tuned.compile(keras.optimizers.SGD(RATE), "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 5, 5, 12)).astype("float32")
    y = rng.normal(size=(5, 2)).astype("float32")
    tuned.train_on_batch(x, y)
    compact = tuned.get_layer("subject").kernel.compact
    sg.adjust(tuned, sg.train("subject", kernel=sg.channels([4, 5])))
    kernel = tuned.get_layer("subject").kernel
    assert kernel.compact is compact
    whole, before = sg.restore(tuned), to_numpy(kernel)
    whole.compile(keras.optimizers.SGD(RATE), "mse")
    for model in (whole, tuned):
        model.train_on_batch(x, y)
    expected = np.where(kernel.part.to_mask(), to_numpy(whole.get_layer("subject").kernel), before)
    assert np.allclose(to_numpy(kernel), expected, rtol=1e-5, atol=1e-6)
    assert (to_numpy(kernel) != before)[kernel.part.to_mask()].all()


@pytest.mark.skipif(BACKEND == "torch", reason="there the general way is as fast")
@pytest.mark.parametrize("filters, pays", [(4, False), (12, True)])
def test_off_the_cpu_a_gradient_of_channels_in_groups_is_the_general_one_where_that_is_less_work(
    filters, pays, monkeypatch
):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    stock = model_of(lambda: layers.Conv2D(filters, 2, groups=4), (3, 3, 8))
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.channels([0, 1])), validate="none")
    apply = Mock(wraps=fast.apply)
    monkeypatch.setattr(fast, "apply", apply)
    tuned(np.ones((1, 3, 3, 8), "float32"))
    assert apply.called == pays


@pytest.mark.parametrize(
    "make, shape",
    [
        pytest.param(
            lambda: layers.Conv2D(4, 2, groups=2, data_format="channels_first"),
            (4, 5, 5),
            marks=ON_TENSORFLOW,
        ),
        (lambda: layers.Conv1D(4, 2, padding="causal"), (5, 4)),
    ],
    ids=["grouped with channels first", "causal"],
)
def test_what_has_no_fast_path_goes_the_general_way(make, shape, monkeypatch):
    stock = model_of(make, shape)
    tuned = sg.rewrite(stock, sg.train("subject", kernel=sg.channels([1])))
    monkeypatch.setattr(fast, "apply", None)
    x = np.ones((2, *shape), "float32")
    assert_same_outputs(tuned(x), stock(x))
    assert to_numpy(tuned(x)).any()


@pytest.mark.parametrize("count, groups, pays", [(9, 1, True), (10, 1, False), (10, 2, True)])
@pytest.mark.parametrize("kind", [sg.channels, sg.rows])
def test_where_most_of_a_convolution_trains_tensorflow_computes_the_whole_gradient(
    kind, count, groups, pays, monkeypatch
):
    stock = model_of(lambda: layers.Conv2D(12, 3, padding="same", groups=groups), (4, 4, 12 * groups))
    tuned = sg.rewrite(stock, sg.train("subject", kernel=kind(list(range(count)))), validate="none")
    apply = Mock(wraps=fast.apply)
    monkeypatch.setattr(fast, "apply", apply)
    tuned(np.ones((1, 4, 4, 12 * groups), "float32"))
    assert apply.called == ((pays or BACKEND != "tensorflow") and not (groups > 1 and BACKEND == "torch"))


MOST_CHANNELS, MOST_ROWS = sg.channels([0, 1, 2, 4, 5]), sg.rows([0, 1, 2, 3, 4, 6, 7])


@ON_TENSORFLOW
@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize(
    "make, shape, selection, batch, is_whole",
    [
        # A kernel of 8 * 6, and upstream gradients or inputs that are just as large, or just not.
        (lambda: layers.Dense(6), (8,), MOST_CHANNELS, 8, True),
        (lambda: layers.Dense(6), (8,), MOST_CHANNELS, 7, False),
        (lambda: layers.Dense(6), (3, 8), MOST_CHANNELS, 3, True),
        (lambda: layers.Dense(6), (3, 8), MOST_CHANNELS, 2, False),
        (lambda: layers.Dense(6), (3, 8), MOST_ROWS, 2, True),
        (lambda: layers.Dense(6), (3, 8), MOST_ROWS, 1, False),
        (lambda: layers.Dense(6, dtype="mixed_bfloat16"), (3, 8), MOST_CHANNELS, 3, True),
        (lambda: layers.Dense(6), (3, 8), sg.channels([0, 1, 2]), 9, False),
        (lambda: layers.Dense(6), (3, 8), sg.rows([0, 1, 2, 3, 4, 6]), 9, False),  # three of four
        # TensorFlow's gradient of this one's kernel is one kernel for each example first.
        (lambda: layers.EinsumDense("abc,cd->abd", (3, 6)), (3, 8), MOST_CHANNELS, 9, False),
        (lambda: layers.Conv1DTranspose(6, 1), (3, 8), MOST_CHANNELS, 9, False),
    ],
)
def test_where_most_slices_train_and_rows_are_many_they_are_taken_out_of_the_whole_gradient(
    make, shape, selection, batch, is_whole, is_compiled, monkeypatch
):
    start = keras.Input(shape)
    subject = make()
    subject.name = "subject"
    model = jitter(keras.Model(start, subject(layers.Dense(8, name="before")(start))))
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(batch, *shape[:-1], size)).astype("float32") for size in (8, 6))
    tuned, stock = sg.rewrite(model, sg.train("subject", kernel=selection)), sg.rewrite(model, [])
    gather = Mock(wraps=assemble.gather)
    monkeypatch.setattr(assemble, "gather", gather)
    for each in (stock, tuned):
        each.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=is_compiled)
        each.train_on_batch(x, y)
    assert gather.called == (is_whole and not is_compiled)
    before, whole, partly = (to_numpy(each.get_layer("subject").kernel) for each in (model, stock, tuned))
    mask = tuned.get_layer("subject").kernel.part.to_mask()
    assert np.array_equal(partly[~mask], before[~mask])
    assert np.allclose(partly[mask], whole[mask], rtol=1e-5, atol=1e-6)
    assert (partly[mask] != before[mask]).all()


@ON_TENSORFLOW
@pytest.mark.parametrize("selection", [*SLICES, MOST_CHANNELS, MOST_ROWS, ELEMENTS], ids=str)
def test_an_upstream_gradient_of_which_tensorflow_knows_nothing(selection):
    import tensorflow as tf

    @tf.custom_gradient
    def energy(y):
        def slope(upstream):
            return tf.numpy_function(lambda y, by: 2 * by * y, [y, upstream], tf.float32)

        return tf.reduce_sum(y * y), slope

    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = energy(tuned(x))
        return tape.gradient(loss, compact)

    start = keras.Input((3, 8))
    model = keras.Model(start, layers.Dense(6, use_bias=False, name="subject")(start))
    tuned = sg.rewrite(model, sg.train("subject", kernel=selection))
    kernel = tuned.get_layer("subject").kernel
    compact = kernel.compact.value
    x = np.random.default_rng(0).normal(size=(5, 3, 8)).astype("float32")
    rows = x.reshape(-1, 8)
    expected = 2 * rows.T @ (rows @ to_numpy(kernel))
    assert np.allclose(to_numpy(gradient(x)), kernel.part.take(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(BACKEND != "jax", reason="in tests/partial/test_in_place_calls.py for TensorFlow")
@pytest.mark.parametrize("selection", [*SLICES, ELEMENTS], ids=str)
@pytest.mark.parametrize("case", ["Dense", "Dense that is wide on long sequences"])
def test_the_gradient_of_a_gradient_is_that_of_the_stock_layer(case, selection):
    import jax

    make, shape = CASES[case]
    stock = model_of(make, shape)
    tuned = sg.rewrite(stock, sg.train("subject", kernel=selection))
    x = np.random.default_rng(0).normal(size=(5, *shape)).astype("float32")

    def penalty(model):
        fixed = [variable.value for variable in model.non_trainable_variables]

        def of(trained):
            to_inputs = jax.grad(lambda x: (model.stateless_call(trained, fixed, x)[0] ** 3).sum())
            return (to_inputs(x) ** 2).mean()

        return of

    def gradients(model):
        trained = [variable.value for variable in model.trainable_variables]
        found = jax.grad(penalty(model))(trained)
        return {v.path: to_numpy(each) for v, each in zip(model.trainable_variables, found, strict=True)}

    compact = tuned.get_layer("subject").kernel
    found, expected = gradients(tuned)[compact.compact.path], gradients(stock)["subject/kernel"]
    expected = compact.part.take(expected)
    assert np.abs(expected).max() > 0
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.skipif(BACKEND != "torch", reason="other backends have it")
@pytest.mark.parametrize(
    "case, selection",
    [("Dense", ELEMENTS), *((case, each) for case in ("Dense", "Conv2D", "EinsumDense") for each in SLICES)],
    ids=str,
)
def test_on_pytorch_the_gradient_of_a_gradient_is_refused(case, selection):
    import torch

    make, shape = CASES[case]
    tuned = sg.rewrite(model_of(make, shape), sg.train("subject", kernel=selection))
    x = torch.ones((5, *shape), requires_grad=True)
    torch.autograd.grad((tuned(x) ** 2).sum(), x)
    with pytest.raises(sg.ModelError, match=r"gradient of its gradient.*restore"):
        torch.autograd.grad((tuned(x) ** 2).sum(), x, create_graph=True)
