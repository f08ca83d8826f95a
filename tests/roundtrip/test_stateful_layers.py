"""Layers that know more than their weights: statistics, vocabularies, seeds, scales, adapters."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from tests import zoo
from tests.fidelity import assert_apart, check_exact
from tests.helpers import to_numpy, train_steps

RNG = np.random.default_rng(3)
NUMBERS = RNG.normal(2.0, 3.0, size=(32, 4)).astype("float32")
NEEDS_TENSORFLOW = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="these layers compute with TensorFlow alone"
)


def of(*stack, inputs=None):
    x = start = keras.Input((4,), name="x") if inputs is None else inputs
    for layer in stack:
        x = layer(x)
    return keras.Model(start, x)


def same_on(model, data):
    same = sg.rewrite(model, [], validate="structure")
    assert np.array_equal(to_numpy(model(data)), to_numpy(same(data)))
    assert_apart(model, same)
    return same


def test_an_adapted_normalization():
    norm = layers.Normalization(name="norm")
    norm.adapt(NUMBERS)
    model = of(norm, layers.Dense(2, name="head"))
    check_exact(model)
    assert np.abs(np.mean(to_numpy(same_on(model, NUMBERS).get_layer("norm")(NUMBERS)))) < 1e-5


def test_discretization():
    bins = layers.Discretization(num_bins=3, name="bins")
    bins.adapt(NUMBERS)
    same_on(of(bins), NUMBERS)


@NEEDS_TENSORFLOW
def test_adapted_lookups():
    import tensorflow as tf

    words = layers.StringLookup(name="words")
    words.adapt(["red", "green", "green"])
    numbers = layers.IntegerLookup(name="numbers")
    numbers.adapt([7, 9, 9])
    text = layers.TextVectorization(output_sequence_length=4, name="text")
    text.adapt(["red green", "green blue"])
    samples = tf.constant([["green"], ["blue"]]), tf.constant([[9], [8]]), tf.constant(["blue green", "what"])
    for layer, data in zip((words, numbers, text), samples, strict=True):
        shape = () if layer is text else (1,)
        kind = "int64" if layer is numbers else "string"
        model = of(layer, layers.Embedding(9, 2), inputs=keras.Input(shape, dtype=kind))
        same = same_on(model, data)
        assert same.layers[1].get_vocabulary() == layer.get_vocabulary()
        tables = [getattr(one, "_lookup_layer", one).lookup_table for one in (layer, same.layers[1])]
        assert tables[0] is not tables[1]
        same.layers[1].adapt(data)
        assert same.layers[1].get_vocabulary() != layer.get_vocabulary()


def test_dropout_goes_on_from_the_same_seed():
    # Without a seed PyTorch drops by its own state, which all models of a process share.
    seed = 1 if keras.backend.backend() == "torch" else None
    model = of(layers.Dropout(0.5, seed=seed, name="dropout"), layers.GaussianNoise(1.0), layers.Dense(2))
    model(NUMBERS, training=True)
    same = sg.rewrite(model, [])
    for _ in range(2):
        assert np.array_equal(to_numpy(model(NUMBERS, training=True)), to_numpy(same(NUMBERS, training=True)))


def test_batch_normalization_keeps_its_statistics_and_its_flag():
    model = of(layers.BatchNormalization(name="a"), layers.BatchNormalization(name="b"), layers.Dense(2))
    model(NUMBERS, training=True)
    model.get_layer("a").trainable = False
    check_exact(model)
    same = sg.rewrite(model, [])
    assert not same.get_layer("a").trainable
    train_steps(same, NUMBERS, steps=2)
    moved = [
        not np.array_equal(
            to_numpy(model.get_layer(name).moving_mean), to_numpy(same.get_layer(name).moving_mean)
        )
        for name in ("a", "b")
    ]
    assert moved == [False, True]


def test_a_restored_batch_normalization_has_state_that_does_not_train():
    model = of(layers.BatchNormalization(name="norm"), layers.Dense(2))
    restored = sg.restore(sg.rewrite(model, sg.freeze("norm")))
    assert len(restored.trainable_variables) == len(model.trainable_variables)
    assert not restored.get_layer("norm").moving_mean.trainable


def test_a_stateful_recurrent_layer_keeps_its_states():
    start = keras.Input((5, 4), batch_size=2)
    model = keras.Model(start, layers.GRU(3, stateful=True, name="gru")(start))
    model(RNG.normal(size=(2, 5, 4)).astype("float32"))
    same = sg.rewrite(model, [])
    assert np.array_equal(
        to_numpy(model.get_layer("gru").states[0]), to_numpy(same.get_layer("gru").states[0])
    )
    same.get_layer("gru").reset_state()
    assert np.any(to_numpy(model.get_layer("gru").states[0]))


def test_lora():
    model = zoo.jitter(of(layers.Dense(4, name="dense"), layers.Dense(2, name="head")))
    model.get_layer("dense").enable_lora(2)
    train_steps(model, NUMBERS, steps=2)
    model.compiled = False
    check_exact(model)


ADAPTED = {
    "alone": [],
    "configured": [sg.configure("dense", activation="relu")],
    "configured inside": [sg.configure("words", embeddings_regularizer="l2")],
    "frozen": [sg.freeze("**"), sg.train("head")],
}


@pytest.mark.parametrize("then", ADAPTED)
def test_restored_layers_with_adapters_train_as_keras_leaves_them(then):
    def make():
        words = keras.Input((5,), dtype="int32")
        x = layers.Embedding(8, 4, name="words")(words)
        x = layers.Dense(4, name="dense")(layers.Flatten()(x))
        return keras.Model(words, layers.Dense(2, name="head")(x), name="m")

    def trains(model):
        return {f"{layer.name}/{v.name}" for layer in model.layers for v in layer.trainable_variables}

    stock = make()
    for name in ("words", "dense"):
        stock.get_layer(name).enable_lora(2)
    adapted = sg.rewrite(make(), sg.lora(sg.name("words") | "dense", rank=2))
    restored = sg.restore(sg.rewrite(adapted, ADAPTED[then]))
    assert trains(restored) == trains(stock) == trains(adapted)
    assert "dense/kernel" not in trains(stock)
    # Whoever wants the kernels to train, too, says so.
    assert trains(sg.rewrite(adapted, sg.train("dense", "kernel"))) == trains(stock) | {"dense/kernel"}


def test_a_rule_after_lora_lets_the_kernel_train_too():
    stock = of(layers.Dense(4, name="dense"), layers.Dense(2, name="head"))
    plan = sg.plan(stock, [sg.lora("dense", rank=2), sg.train("dense", "kernel")])
    tuned = plan.apply(stock)
    assert sum(int(np.prod(v.shape)) for v in tuned.trainable_variables) == plan.trainable_after
    before = to_numpy(tuned.get_layer("dense").kernel)
    train_steps(tuned, NUMBERS)
    assert (to_numpy(tuned.get_layer("dense").kernel) != before).any()


def test_lora_skips_layers_to_which_keras_adds_no_adapter():
    model = of(
        layers.Dense(4, name="held", kernel_constraint="max_norm"),
        layers.Dense(4, name="adapted"),
        layers.Dense(2, name="head"),
    )
    model.get_layer("adapted").enable_lora(2)
    tuned = sg.rewrite(model, sg.lora("*", rank=3))
    assert [layer.name for layer in tuned.layers if getattr(layer, "lora_rank", None) == 3] == ["head"]
    with pytest.raises(sg.SurgeonError, match="'held': its kernel has a constraint"):
        sg.plan(model, sg.lora("held", rank=2))
    with pytest.raises(sg.SurgeonError, match="'adapted': it has an adapter already"):
        sg.plan(model, sg.lora("adapted", rank=2))


def own_layer(adapted):
    """Return a layer of somebody's own whose `lora_enabled` is what it likes."""

    class Own(layers.Layer):
        lora_enabled = adapted

        def build(self, shape):
            self._kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

        def call(self, x):
            return ops.matmul(x, self._kernel)

    return Own(name="own")


def raises(layer):
    raise RuntimeError(f"{layer.name} is not asked")


@pytest.mark.parametrize(
    "adapted", [True, lambda layer: False, property(raises)], ids=["yes", "method", "error"]
)
def test_adapters_of_somebodys_own(adapted):
    model = of(own_layer(adapted), layers.Dense(2))
    restored = sg.restore(sg.rewrite(model, sg.freeze("own")))
    assert restored.get_layer("own").trainable_variables == [restored.get_layer("own")._kernel]


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_layers(mode):
    words = keras.Input((5,), dtype="int32", name="words")
    quantizable = mode != "float8"
    x = layers.Embedding(8, 16, name="embedding")(words) if quantizable else ops.one_hot(words, 16)
    x = layers.Dense(16, activation="relu", name="dense")(x)
    # Keras itself cannot multiply an integer EinsumDense on PyTorch.
    last = layers.Dense if keras.backend.backend() == "torch" else partial(layers.EinsumDense, "abc,cd->ad")
    model = zoo.jitter(keras.Model(words, last(16, name="last")(x)))
    model.quantize(mode)
    same = sg.rewrite(model, [])
    assert [v.path for v in same.variables] == [v.path for v in model.variables]
    assert [str(layer.dtype_policy) for layer in same.layers] == [
        str(layer.dtype_policy) for layer in model.layers
    ]
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(to_numpy(model(inputs)), to_numpy(same(inputs)))
    assert_apart(model, same)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
def test_a_policy_for_the_whole_model(policy):
    keras.config.set_dtype_policy(policy)
    model = zoo.jitter(
        of(layers.Dense(4, name="dense"), layers.BatchNormalization(), layers.Dense(2, name="head"))
    )
    keras.config.set_dtype_policy("float32")
    check_exact(model)


def test_a_policy_for_each_layer():
    model = zoo.jitter(
        of(
            layers.Dense(4, dtype="mixed_bfloat16"),
            layers.Dense(4, dtype="float16"),
            layers.Dense(2, dtype="float32"),
        )
    )
    check_exact(model)
    keras.config.set_dtype_policy("mixed_bfloat16")
    check_exact(model)


def test_regularizers_constraints_and_flags_of_single_variables():
    model = zoo.jitter(
        of(layers.Dense(4, kernel_regularizer="l2", bias_constraint="non_neg", name="d"), layers.Dense(2))
    )
    model.get_layer("d").kernel.trainable = False
    check_exact(model)
    same = sg.rewrite(model, [])
    assert len(same.losses) == len(model.losses)
    assert not same.get_layer("d").kernel.trainable
