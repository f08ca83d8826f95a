"""Replacing layers: weights, names and sharing carried, in nested models, too."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import assert_same_outputs, assert_same_weights, to_numpy, weights_of


@keras.saving.register_keras_serializable(package="surgeon_tests")
class Scaled(keras.layers.Dense):
    """A Dense whose outputs are doubled."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def scaled(node):
    if node.config["units"] < 8:
        return None
    return Scaled(node.config["units"], activation=node.config["activation"])


def test_every_large_dense_is_replaced_with_its_weights_and_its_name():
    model = zoo.mlp()
    rewritten = sg.rewrite(model, sg.replace(sg.isa("Dense"), scaled))
    assert [type(layer).__name__ for layer in rewritten.layers] == ["Scaled", "Scaled", "Dense"]
    assert [layer.name for layer in rewritten.layers] == [layer.name for layer in model.layers]
    assert type(rewritten) is keras.Sequential
    for old, new in zip(model.weights, rewritten.weights, strict=True):
        assert np.array_equal(to_numpy(old), to_numpy(new))
    x = zoo.sample_inputs(model)
    hidden = 2 * model.layers[0](x)
    assert np.allclose(to_numpy(rewritten.layers[0](x)), to_numpy(hidden))


def test_a_shared_layer_stays_shared():
    model = zoo.shared()
    name = next(n.name for n in sg.to_graph(model) if n.call_index == 1 and n.class_name == "Dense")
    units = model.get_layer(name).units
    rewritten = sg.rewrite(model, sg.replace(name, keras.layers.Dense(units)))
    calls = [node for node in sg.to_graph(rewritten) if node.name == name]
    assert len(calls) == len([node for node in sg.to_graph(model) if node.name == name]) > 1
    assert len({id(node.op) for node in calls}) == 1


def test_a_layer_inside_a_nested_model():
    model = zoo.nested()
    encoder = sg.to_graph(model)["encoder"].inner
    assert encoder is not None
    path = next(node.path for node in encoder if node.class_name == "Activation")
    rewritten = sg.rewrite(model, sg.replace(path, keras.layers.Activation("gelu")))
    assert rewritten.get_layer("encoder").get_layer(path.split("/")[1]).activation is keras.activations.gelu
    assert_same_weights(weights_of(model), weights_of(rewritten))
    assert model.get_layer("encoder").get_layer(path.split("/")[1]).activation is keras.activations.relu


def test_a_new_head_trains_while_the_rest_is_frozen(tmp_path):
    model = zoo.cnn()
    rules = [
        sg.freeze("**"),
        sg.replace("predictions", keras.layers.Dense(7, name="digits")),
        sg.train("digits", kernel=sg.channels([1, 2])),
    ]
    plan = sg.plan(model, rules)
    tuned = plan.apply(model)
    again = sg.Plan.from_json(plan.to_json()).apply(model)
    for made in (tuned, again):
        assert made.output_shape == (None, 7)
        assert sorted(tuple(v.shape) for v in made.trainable_variables) == [(7,), (10, 2)]
    tuned.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert_same_outputs(tuned(zoo.sample_inputs(model)), loaded(zoo.sample_inputs(model)))


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (sg.replace("nothing", keras.layers.ReLU()), sg.NoMatchError, r"no layer matches 'nothing'"),
        (sg.replace("image", keras.layers.ReLU()), sg.NoMatchError, r"only inputs of the model"),
        (
            sg.replace("flatten", keras.layers.Conv2D(2, 30)),
            sg.GraphError,
            r"cannot be called in the place of",
        ),
        (sg.replace("relu_1", keras.layers.ReLU(name="relu_2")), sg.GraphError, r"the name 'relu_2'"),
        (sg.freeze("hiden"), sg.NoMatchError, r"close: 'hidden'"),
        (sg.freeze("hidden", "kernal"), sg.WeightNameError, r"weight 'kernal'; close: 'kernel'"),
        (sg.freeze("relu_1"), sg.NoMatchError, r"only layers without weights"),
        (sg.train("hidden", kernel=sg.channels([99])), sg.SelectionError, r"99 is outside 'hidden/kernel'"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_it(rule, error, message):
    with pytest.raises(error, match=message):
        sg.rewrite(zoo.cnn(), rule)


def test_what_reads_a_replacement_of_another_size_is_made_anew_and_the_plan_says_so():
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(6, name="hidden")(x)
    model = keras.Model(x, keras.layers.Dense(2, name="head")(hidden))
    plan = sg.plan(model, sg.replace("hidden", keras.layers.Dense(9)))
    assert "makes anew head: Dense → Dense (carries bias; new values: kernel (9, 2))" in str(plan)
    assert plan.apply(model).get_layer("head").kernel.shape == (9, 2)
    summed = keras.Model(x, keras.layers.Add(name="sum")([hidden, keras.layers.Dense(6, name="other")(x)]))
    with pytest.raises(sg.GraphError, match=r"Add 'sum' cannot be called in the place of 'sum'"):
        sg.plan(summed, sg.replace("hidden", keras.layers.Dense(9)))


@pytest.mark.parametrize("nested", [False, True])
def test_a_new_layer_trains_in_a_model_that_is_frozen_and_nothing_else_does(nested):
    start = keras.Input((6,))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="d")], name="inner")
    x = inner(layers.Dense(4, name="before")(start))
    model = keras.Model(start, layers.Dense(2, name="head")(layers.BatchNormalization(name="bn")(x)))
    model.trainable = False
    model.get_layer("head").trainable = True  # the model's own flag alone keeps this one from training
    rule = sg.replace("inner/d" if nested else "before", lambda node: layers.Dense(4, activation="relu"))
    plan = sg.plan(model, rule)
    tuned = plan.apply(model, validate="structure")
    trained = {variable.path for variable in tuned.trainable_variables}
    assert sum(math.prod(variable.shape) for variable in tuned.trainable_variables) == plan.trainable_after
    assert len(trained) == 2
    layer = tuned.get_layer("inner").get_layer("d") if nested else tuned.get_layer("before")
    assert trained == {layer.kernel.path, layer.bias.path}
    assert not sg.rewrite(
        model, sg.replace("head", lambda node: layers.Dense(2, trainable=False)), validate="structure"
    ).trainable_variables


def test_blocks_in_a_row_are_replaced_one_by_one():
    x = start = keras.Input((6, 6, 3))
    for number in range(3):
        x = layers.Conv2D(4, 3, padding="same", name=f"conv_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(layers.BatchNormalization(name=f"bn_{number}")(x))
    model = keras.Model(start, x)
    block = sg.chain(conv=sg.isa("Conv2D"), bn=sg.isa("BatchNormalization"), relu=sg.isa("ReLU"))
    rule = sg.replace(block, lambda match: layers.Conv2D(4, 3, padding="same", name=match.conv.name))
    plan = sg.plan(model, rule)
    for tuned in (plan.apply(model), sg.Plan.from_json(plan.to_json()).apply(model)):
        assert [layer.name for layer in tuned.layers[1:]] == ["conv_0", "conv_1", "conv_2"]
        values = expected = np.ones((1, 6, 6, 3), "float32")
        for number in range(3):
            expected = model.get_layer(f"conv_{number}")(expected)
        assert np.array_equal(to_numpy(tuned(values)), to_numpy(expected))


@pytest.mark.parametrize("which", [0, 1])  # one of them is the first call in the order of the graph
def test_a_block_with_a_call_of_a_shared_layer_goes_on_reading_what_that_call_read(which):
    one, two = keras.Input((4,), name="one"), keras.Input((4,), name="two")
    shared = layers.Dense(4, name="shared")
    outputs = [layers.ReLU(name=f"relu_{number}")(shared(x)) for number, x in enumerate((one, two))]
    model = keras.Model([one, two], outputs)
    block = sg.chain(shared=sg.isa("Dense"), relu=sg.name(f"relu_{which}"))
    rule = sg.replace(block, lambda match: layers.Dense(4, name="new"))
    tuned = sg.rewrite(model, rule, validate="structure")
    values = [np.ones((1, 4), "float32"), np.full((1, 4), 3, "float32")]
    expected = model(values)
    expected[which] = shared(values[which])
    for made, wanted in zip(tuned(values), expected, strict=True):
        assert np.array_equal(to_numpy(made), to_numpy(wanted))
