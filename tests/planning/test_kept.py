"""What was frozen stays so where a rule makes a layer anew as it was, but for a setting or fewer channels."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy
from tests.planning.attending import attention


def trains(model, *paths):
    """Return how many elements of each weight of some layers train."""
    rows = {weight.path: weight.trainable for weight in sg.to_graph(model).weights}
    return {path: count for path, count in rows.items() if path.startswith(paths)}


def moved(model, path):
    """Return which output channels of a kernel one step of training changes."""
    model.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), "mse", run_eagerly=True)
    inputs = zoo.sample_inputs(model)
    before = to_numpy(model.get_layer(path).kernel).copy()
    model.train_on_batch(inputs, np.ones_like(to_numpy(model(inputs))))
    changed = to_numpy(model.get_layer(path).kernel) != before
    return np.flatnonzero(changed.any(tuple(range(changed.ndim - 1)))).tolist()


def operate(model, rules):
    """Return the rewritten model, where the plan and what came of it agree."""
    plan = sg.plan(model, rules)
    tuned = sg.Plan.from_json(plan.to_json()).apply(model)
    count = sum(int(np.prod(v.shape)) for v in tuned.trainable_variables)
    assert plan.trainable_after == count
    assert plan.after is not None
    assert {w.path: w.trainable for w in plan.after.weights} == trains(tuned, "")
    return tuned


SETTING = sg.configure("conv_1", kernel_regularizer="l2")
FEWER = sg.prune("conv_1", channels=[1, 4])


@pytest.mark.parametrize("rule", [SETTING, FEWER], ids=str)
def test_a_kernel_that_was_frozen_in_the_source(rule):
    frozen = sg.rewrite(zoo.cnn(), [sg.freeze("conv_1", "kernel"), sg.freeze("bn_1")])
    tuned = operate(frozen, rule)
    assert set(trains(tuned, "conv_1", "bn_1").values()) == {0}
    assert moved(tuned, "conv_1") == []
    tuned.trainable = False
    tuned.trainable = True
    assert moved(tuned, "conv_1") == []
    mean = to_numpy(tuned.get_layer("bn_1").moving_mean)
    assert moved(tuned, "conv_2") != []
    assert np.array_equal(mean, tuned.get_layer("bn_1").moving_mean)


def test_channels_that_were_frozen_in_the_source():
    some = sg.rewrite(zoo.cnn(), sg.train("conv_1", kernel=sg.channels([1, 2, 5])))
    assert moved(operate(some, SETTING), "conv_1") == [1, 2, 5]
    assert moved(operate(some, FEWER), "conv_1") == [1, 3]  # 2 and 5, of 0, 2, 3, 5
    all_gone = operate(some, sg.prune("conv_1", channels=[1, 2, 5]))
    assert moved(all_gone, "conv_1") == []


def test_single_elements_that_were_frozen_in_the_source():
    mask = np.zeros((3, 3, 3, 6), bool)
    mask[0, 0, 0] = True
    some = sg.rewrite(zoo.cnn(), sg.train("conv_1", kernel=sg.elements(mask)))
    tuned = operate(some, [FEWER, SETTING, sg.prune("conv_1", channels=[0])])
    assert trains(tuned, "conv_1") == {"conv_1/kernel": 3}


def test_further_rules_go_on_from_there():
    some = sg.rewrite(zoo.cnn(), sg.train("conv_1", kernel=sg.channels([1, 2, 5])))
    tuned = operate(some, [FEWER, sg.freeze("conv_1", kernel=sg.channels([3]))])
    assert moved(tuned, "conv_1") == [1]
    assert moved(operate(some, [FEWER, sg.train("conv_1")]), "conv_1") == [0, 1, 2, 3]


def test_what_the_rules_before_said_of_positions_is_meant_of_what_was_there():
    model = zoo.cnn()
    freeze = sg.freeze("conv_1", kernel=sg.channels([0, 2, 4]))
    assert moved(operate(model, [freeze, FEWER]), "conv_1") == [2, 3]  # 3 and 5, of 0, 2, 3, 5
    assert moved(operate(model, [sg.freeze("conv_1", kernel=sg.channels([1])), FEWER]), "conv_1") == [
        0,
        1,
        2,
        3,
    ]
    assert moved(operate(model, [sg.train("conv_1", kernel=sg.channels([1])), FEWER]), "conv_1") == []
    train = sg.train("conv_1", kernel=sg.channels([0, 2, 3, 5]))
    assert moved(operate(model, [train, FEWER]), "conv_1") == [0, 1, 2, 3]
    rows = sg.freeze("conv_2", kernel=sg.rows([0, 1, 4]))
    assert trains(operate(model, [rows, FEWER]), "conv_2/kernel") == {"conv_2/kernel": 3 * 9 * 8}


@pytest.mark.parametrize("over", ["weight", "layer"])
def test_what_a_criterion_chooses_it_chooses_among_those_that_stay(over):
    model = zoo.cnn()
    weak, strong = ([0, 1, 2], [3, 4, 5])
    kernel = to_numpy(model.get_layer("conv_1").kernel).copy()
    kernel[..., strong] *= 100 * np.array([1, 3, 2])
    model.get_layer("conv_1").kernel.assign(kernel)
    largest = sg.train("conv_1", kernel=sg.channels(0.5, by="magnitude", over=over))
    assert moved(operate(model, [largest, FEWER]), "conv_1") == [2, 3]  # 3 and 5, of 0, 2, 3, 5
    assert moved(operate(model, [largest, sg.prune("conv_1", channels=weak)]), "conv_1") == [1, 2]
    still = sg.freeze("conv_1", kernel=sg.channels(0.5, by="magnitude", over=over))
    assert moved(operate(model, [still, FEWER]), "conv_1") == [0, 1]


def test_a_criterion_that_is_to_choose_more_than_stay_is_told_so():
    rules = [sg.train("conv_1", kernel=sg.channels(5, by="magnitude")), FEWER]
    with pytest.raises(
        sg.SelectionError,
        match=r"train\('conv_1', .*: 5 channels are too many for .* once it is pruned: write the prune",
    ):
        sg.plan(zoo.cnn(), rules)


@pytest.mark.parametrize("rule", [SETTING, FEWER], ids=str)
def test_names_may_change_in_between(rule):
    frozen = sg.rewrite(zoo.cnn(), sg.freeze("conv_1", "kernel"))
    assert set(trains(operate(frozen, [rule, sg.rename("conv_1", "stem")]), "stem").values()) == {0}
    again = sg.configure("stem", kernel_regularizer="l2")
    assert set(trains(operate(frozen, [sg.rename("conv_1", "stem"), again]), "stem").values()) == {0}


def by_flag(path, weight=None):
    """Return a model of which Keras's own flag freezes a layer, one of its weights, or all."""
    model = zoo.cnn()
    layer = model.get_layer(path) if path else model
    (layer if weight is None else getattr(layer, weight)).trainable = False
    return model


WIDER = sg.replace("hidden", layers.Dense(24, activation="relu"))


@pytest.mark.parametrize(
    ("make", "rules", "bias"),
    [
        (zoo.cnn, [sg.freeze("predictions")], 0),
        (zoo.cnn, [sg.freeze("predictions", "kernel")], 4),
        (zoo.cnn, [sg.train("predictions", kernel=sg.channels([1]))], 4),
        (lambda: sg.rewrite(zoo.cnn(), sg.freeze("predictions")), [], 0),
        (lambda: by_flag("predictions"), [], 0),
        (lambda: by_flag("predictions", "kernel"), [], 4),
        (lambda: by_flag(""), [], 0),
    ],
    ids=["rule", "one weight", "some channels", "surgeon", "layer flag", "weight flag", "model flag"],
)
def test_new_values_train_where_a_layer_is_made_anew_and_what_it_carries_does_not(make, rules, bias):
    tuned = operate(make(), [*rules, WIDER])
    assert trains(tuned, "predictions") == {"predictions/kernel": 96, "predictions/bias": bias}
    assert moved(tuned, "predictions") == [0, 1, 2, 3]
    again = operate(make(), [*rules, WIDER, sg.freeze("predictions", "kernel")])
    assert trains(again, "predictions") == {"predictions/kernel": 0, "predictions/bias": bias}


@pytest.mark.parametrize("make", [zoo.cnn, lambda: by_flag("bn_1")], ids=["rule", "flag"])
def test_new_statistics_move(make):
    rules = [sg.freeze("bn_1"), sg.freeze("conv_1"), sg.configure("conv_1", filters=9)]
    tuned = operate(make(), rules)
    assert trains(tuned, "conv_1/kernel", "bn_1/gamma") == {"conv_1/kernel": 243, "bn_1/gamma": 9}
    mean = to_numpy(tuned.get_layer("bn_1").moving_mean)
    assert moved(tuned, "conv_1") == list(range(9))
    assert not np.array_equal(mean, tuned.get_layer("bn_1").moving_mean)


def test_a_flag_that_a_rule_sets_holds_new_values_too():
    tuned = operate(zoo.cnn(), sg.configure("hidden", units=24, trainable=False))
    assert set(trains(tuned, "hidden").values()) == {0}


def test_another_layer_in_its_place_is_free():
    frozen = sg.rewrite(zoo.cnn(), sg.freeze("conv_1", "kernel"))
    new = sg.replace("conv_1", layers.Conv2D(6, 3, padding="same", use_bias=False))
    tuned = operate(frozen, [new, SETTING])
    assert trains(tuned, "conv_1") == {"conv_1/kernel": 162}


def test_inside_attention():
    model = attention(layers.MultiHeadAttention(4, 3, name="mha"))
    frozen = sg.rewrite(model, sg.freeze("mha/_query_dense", "kernel"))
    tuned = operate(frozen, sg.prune("mha", heads=[1]))
    counts = trains(tuned, "mha/_query_dense")
    assert counts == {"mha/_query_dense/kernel": 0, "mha/_query_dense/bias": 9}


def called_twice():
    inputs = keras.Input((6,))
    dense, norm = layers.Dense(6, name="dense"), layers.BatchNormalization(name="norm")
    return keras.Model(inputs, layers.Dense(2, name="head")(norm(dense(norm(dense(inputs))))))


SOME = [sg.train("dense", kernel=sg.channels([0, 1])), sg.freeze("norm")]
APART = [sg.unshare("dense"), sg.unshare("norm")]


@pytest.mark.parametrize("at_once", [False, True])
def test_what_was_frozen_in_a_layer_that_was_shared(at_once):
    model = called_twice()
    tuned = operate(model, [*SOME, *APART]) if at_once else operate(sg.rewrite(model, SOME), APART)
    for name in ("dense", "dense_1"):
        assert trains(tuned, f"{name}/") == {f"{name}/kernel": 12, f"{name}/bias": 6}
    assert set(trains(tuned, "norm").values()) == {0}
    state = [weight for node in sg.to_graph(tuned) for weight in node.weights if weight.role == "state"]
    assert [weight.still for weight in state] == [True] * 4
    later = [*APART, sg.rename("dense_1", "own"), sg.train("own", "kernel")]
    further = operate(sg.rewrite(model, SOME), later)
    assert trains(further, "own/kernel", "dense/kernel") == {"own/kernel": 36, "dense/kernel": 12}


@pytest.mark.parametrize("over", ["weight", "model"])
def test_what_a_criterion_is_to_choose_in_layers_that_were_one(over):
    chosen = sg.train("dense", kernel=sg.elements(0.25, by="magnitude", over=over))
    tuned = operate(called_twice(), [chosen, *APART])
    assert trains(tuned, "dense/k", "dense_1/k") == {"dense/kernel": 9, "dense_1/kernel": 9}


FEWER_HEADS = sg.prune("mha", heads=[1])
WITH_L2 = sg.configure("before", bias_regularizer="l2")


@pytest.mark.parametrize(
    "rules",
    [
        [WITH_L2, sg.configure("mha", dropout=0.1)],
        [sg.prune("before", channels=[0]), FEWER_HEADS],
        [WITH_L2, sg.rename("before", "start"), FEWER_HEADS],
    ],
    ids=["configure", "prune", "rename"],
)
def test_what_flags_of_stock_layers_froze(rules):
    model = attention(layers.MultiHeadAttention(4, 3, name="mha"))
    model.get_layer("before").kernel.trainable = False
    model.get_layer("mha")._query_dense.trainable = False
    tuned = operate(model, rules)
    counts = trains(tuned, "before", "start", "mha/_query_dense")
    frozen = {path for path in counts if "_query" in path or not path.endswith("/bias")}
    assert {path for path, count in counts.items() if not count} == frozen
    tuned.trainable = False
    tuned.trainable = True
    assert set(trains(tuned, "mha/_query_dense").values()) == {0}


def test_flags_that_a_config_knows_of_are_left_to_it():
    model = zoo.cnn()
    model.get_layer("conv_1").trainable = False
    tuned = operate(model, SETTING)
    tuned.get_layer("conv_1").trainable = True
    assert trains(tuned, "conv_1") == {"conv_1/kernel": 162}


def test_adapters_lose_channels_too():
    model = sg.rewrite(zoo.cnn(), sg.lora("conv_1", rank=2))
    model.get_layer("conv_1").lora_kernel_b.assign(np.ones((2, 6), "float32"))
    pruned = sg.rewrite(model, FEWER)
    assert pruned.get_layer("conv_1").lora_kernel_b.shape == (2, 4)
    stay = [0, 2, 3, 5]
    whole = to_numpy(model.get_layer("conv_1").kernel)[..., stay]
    assert np.allclose(pruned.get_layer("conv_1").kernel, whole, atol=1e-6)


def quantized():
    model = attention(layers.MultiHeadAttention(4, 3, name="mha"))
    for layer in (model.get_layer("before"), model.get_layer("mha")._query_dense):
        layer.quantize("int8")
    return model


def adapted():
    return sg.rewrite(
        attention(layers.MultiHeadAttention(4, 3, name="mha")), sg.lora("mha/_query_dense", rank=2)
    )


@pytest.mark.parametrize(
    ("make", "rule", "message"),
    [
        (quantized, sg.prune("mha", heads=[1]), r"no head can be removed. 'mha': it is quantized"),
        (
            quantized,
            sg.prune("before", channels=[1]),
            r"no channel can be removed. 'before': it is quan",
        ),
        (adapted, sg.prune("mha", heads=[1]), r"'mha': it has low-rank adapters inside"),
        (adapted, sg.prune("before", channels=[1]), r"MultiHeadAttention 'mha', which has low-rank adapters"),
    ],
)
def test_weights_that_cannot_be_cut(make, rule, message):
    with pytest.raises(sg.RuleError, match=message):
        sg.plan(make(), rule)


def test_trying_an_activation_out_does_not_build_it():
    activation = layers.PReLU(name="act")
    dense = layers.Dense(6, activation=activation, name="d")
    model = keras.Sequential([keras.Input((4,)), dense, layers.Dense(2, name="e")])
    was = [tuple(weight.shape) for weight in activation.weights]
    with pytest.raises(sg.RuleError, match="'d' ends in act, which looks at all of them"):
        sg.plan(model, sg.prune("d", channels=[0]))
    assert [tuple(weight.shape) for weight in activation.weights] == was


def test_what_is_wrapped_stays_frozen():
    def wrap(layer):
        return layers.TimeDistributed(layer, name="over_time")

    x = keras.Input((5, 4), name="x")
    model = zoo.jitter(keras.Model(x, layers.Dense(2, name="e")(layers.Dense(6, name="d")(x))))
    frozen = sg.rewrite(model, sg.freeze("d", "kernel"))
    for tuned in (
        operate(frozen, sg.wrap("d", wrap)),
        operate(model, [sg.freeze("d", "kernel"), sg.wrap("d", wrap)]),
    ):
        assert trains(tuned, "over_time") == {"over_time/layer/kernel": 0, "over_time/layer/bias": 6}
    spectral = sg.wrap("d", layers.SpectralNormalization)
    assert trains(operate(frozen, spectral), "d/kernel") == {"d/kernel": 0}
    assert trains(operate(model, [sg.freeze("d", "kernel"), spectral]), "d/kernel") == {"d/kernel": 0}


def test_what_is_adapted_to_another_input_stays_frozen():
    frozen = sg.rewrite(zoo.cnn(), [sg.freeze("conv_1"), sg.train("conv_2", kernel=sg.channels([0, 1]))])
    tuned = operate(frozen, sg.change_input((12, 12, 5)))
    assert trains(tuned, "conv_1") == {"conv_1/kernel": 0}
    some = sg.rewrite(zoo.cnn(), sg.train("conv_1", kernel=sg.channels([0, 1])))
    assert trains(operate(some, sg.change_input((12, 12, 5))), "conv_1") == {"conv_1/kernel": 2 * 9 * 5}
    # The values of `hidden` are new then, and so are free.
    head = sg.rewrite(zoo.cnn(), sg.freeze("hidden"))
    assert trains(operate(head, sg.change_input((16, 16, 3))), "hidden/kernel")["hidden/kernel"] > 0


def test_nested_models_may_be_taken_apart_in_between():
    frozen = sg.rewrite(zoo.nested(), sg.freeze("encoder/conv", "kernel"))
    assert set(trains(frozen, "encoder/conv/kernel").values()) == {0}
    for rules in (
        [sg.inline("encoder"), sg.configure("conv", kernel_regularizer="l2")],
        [sg.configure("encoder/conv", kernel_regularizer="l2"), sg.inline("encoder")],
        [sg.inline("encoder"), sg.rename("conv", "c"), sg.configure("c", kernel_regularizer="l2")],
    ):
        assert set(trains(operate(frozen, rules), "conv/kernel", "c/kernel").values()) == {0}
