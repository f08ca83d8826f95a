"""Parts of random models; other heads, inputs, penalties, dtypes and adapters; and what they must compute."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from keras import layers

import surgeon as sg
from surgeon.graph import Ref
from tests import zoo
from tests.helpers import (
    assert_same_outputs,
    assert_same_weights,
    same_bits,
    to_numpy,
    train_steps,
    weights_of,
)
from tests.planning.patient import Patient, few, inputs_all_read
from tests.strategies import WIDTH, Recipe, Step, build, recipes

# --- parts -------------------------------------------------------------------------------------------


@given(recipes(), st.data())
@few
def test_a_part_computes_what_the_whole_does_there(recipe, data):
    patient = Patient(recipe)
    values = patient.values()
    once = [
        n.key for n in patient.graph if not n.is_input and sum(o.path == n.path for o in patient.graph) == 1
    ]
    end = patient.graph[data.draw(st.sampled_from(once))]
    part = sg.extract(patient.model, end=end.path)
    given = dict(
        zip([tensor.name for tensor in patient.model.inputs], keras.tree.flatten(patient.inputs), strict=True)
    )
    needed = keras.tree.map_structure(lambda tensor: given[tensor.name], part._inputs_struct)
    assert_same_outputs(values[Ref(end.key)], part(needed))
    if end.name not in ("stem", "merge"):
        stem = sg.extract(patient.model, start="stem", end=end.path)
        assert_same_outputs(values[Ref(end.key)], stem(values[Ref("stem")]))
        assert "stem" not in [layer.name for layer in stem.layers]


# Keras warns of any model that is called on a masked tensor, and masks what is inside of it all the same.
@pytest.mark.filterwarnings("ignore:Layer '.*' .of type Functional. was passed an input with a mask")
@given(recipes(), st.data())
@few
def test_two_parts_one_after_another_are_the_whole(recipe, data):
    patient = Patient(recipe)
    last = {ref.node for ref in keras.tree.flatten(patient.graph.outputs)}
    inside = [
        n.path
        for n in patient.graph
        if not n.is_input and n.key not in last and sum(o.path == n.path for o in patient.graph) == 1
    ]
    assume(inside)
    at = data.draw(st.sampled_from(inside))
    with inputs_all_read():
        first, second = sg.split(patient.model, at)
    crossing = first(patient.inputs)
    assert_same_outputs(patient.model(patient.inputs), second(crossing))
    whole = sg.join(first, second)
    assert_same_outputs(patient.model(patient.inputs), whole(patient.inputs))


# --- heads, inputs, penalties, dtypes, adapters ---------------------------------------------------------


@pytest.mark.parametrize("how", ["mean", "repeat"])
def test_what_treats_each_channel_alone_is_not_scaled(how):
    """As the Normalization at the start of an EfficientNet, and a depthwise convolution."""
    image = keras.Input((4, 4, 2), name="image")
    scale = layers.Normalization(name="scale")
    scale.adapt(np.array([[[[1.0, 1.0]]], [[[5.0, 5.0]]]], "float32"))
    depthwise = layers.DepthwiseConv2D(2, depthwise_initializer="ones", name="depthwise")
    pool = layers.GlobalAveragePooling2D(name="pool")
    model = keras.Model(image, pool(depthwise(scale(image))))
    tuned = sg.rewrite(model, sg.change_input((4, 4, 6), channels=how))
    want, got = (to_numpy(m(np.full((1, 4, 4, c), 2.5, "float32"))) for m, c in ((model, 2), (tuned, 6)))
    assert np.allclose(got, want[0, 0])
    assert got.shape == (1, 6)


@given(
    recipes(max_steps=3),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from(["mean", "repeat", "zero"]),
    st.sampled_from([layers.Conv2D, layers.SeparableConv2D]),
)
@few
def test_an_input_of_another_shape_keeps_what_can_be_kept(recipe, old, new, how, first):
    """Equal channels keep their sum; with zeros, what further channels hold does not count."""
    image = keras.Input((6, 7, old), name="image")
    x = first(WIDTH, 3, name="first")(image)
    body = build(replace(recipe, inputs=1))
    outputs = body([layers.GlobalAveragePooling2D(name="pool")(x)])
    model = zoo.jitter(keras.Model(image, outputs, name="around"))
    tuned = sg.rewrite(model, sg.change_input((9, 5, new), channels=how))
    assert tuned.input_shape == (None, 9, 5, new)
    rng = np.random.default_rng(0)
    wide = keras.Input((9, 5, old), name="image")  # the layers do not care for height and width
    reference = keras.Model(wide, body([model.get_layer("pool")(model.get_layer("first")(wide))]))
    if how == "zero":
        common = min(old, new)
        seen, given = rng.normal(size=(2, 9, 5, old)), rng.normal(size=(2, 9, 5, new))
        seen[..., common:] = 0
        given[..., :common] = seen[..., :common]
    else:
        one = rng.normal(size=(2, 9, 5, 1))
        seen, given = np.repeat(one, old, -1), np.repeat(one, new, -1)
    if how == "repeat" and new % old:
        return  # the first channels count once more than the others
    if first is layers.SeparableConv2D and how == "mean":
        return  # the mean of products is not the product of means
    pairs = zip(
        keras.tree.flatten(reference(seen)), keras.tree.flatten(tuned(given.astype("float32"))), strict=True
    )
    for want, got in pairs:
        assert np.allclose(to_numpy(want), to_numpy(got), rtol=1e-3, atol=1e-4)
    kept = {path: value for path, value in weights_of(model).items() if "first/" not in path}
    assert all(same_bits(value, weights_of(tuned)[path]) for path, value in kept.items())


@given(recipes(), st.data())
@few
def test_a_new_head_reads_what_the_old_one_read(recipe, data):
    patient = Patient(recipe)
    values = patient.values()
    features = to_numpy(values[patient.graph["head"].inputs[0]]).astype("float32")
    tuned = patient.operate(sg.replace("head", layers.Dense(5, name="classes")))
    head = tuned.get_layer("classes")
    outputs = keras.tree.flatten(tuned(patient.inputs))
    assert np.allclose(
        to_numpy(outputs[0]), features @ to_numpy(head.kernel) + to_numpy(head.bias), atol=1e-5
    )
    before, after = weights_of(patient.model), weights_of(tuned)
    assert all(same_bits(before[p], after[p]) for p in before if not p.startswith("head/"))


@given(recipes(), st.floats(1e-4, 1e-1), st.data())
@few
def test_a_penalty_counts_in_the_loss_once_for_each_kernel(recipe, amount, data):
    patient = Patient(recipe)
    tuned = patient.operate(sg.add_l2(amount))
    kernels = {id(v): v for layer in zoo.every_layer(tuned) for v in layer.weights if v.name == "kernel"}
    inside = {
        id(v) for layer in zoo.every_layer(tuned) if isinstance(layer, layers.GRU) for v in layer.weights
    }
    wanted = sum(amount * np.square(to_numpy(v).astype("float64")).sum() for v in kernels.values())
    assert inside <= set(kernels) | inside
    assert np.isclose(float(sum(float(to_numpy(one)) for one in tuned.losses)), wanted, rtol=1e-3)
    assert_same_outputs(patient.model(patient.inputs), tuned(patient.inputs))
    assert_same_weights(weights_of(patient.model), weights_of(tuned))


@given(recipes(), st.sampled_from(["mixed_float16", "float16", "mixed_bfloat16", "float64"]), st.data())
@few
def test_the_dtype_policy_of_one_layer(recipe, policy, data):
    patient = Patient(recipe)
    path = patient.dense(data)
    tuned = patient.operate(sg.configure(path, dtype=policy))
    layer = tuned.get_layer(path)
    assert layer.dtype_policy.name == policy
    kernel = to_numpy(patient.model.get_layer(path).kernel).astype("float32")
    assert np.array_equal(to_numpy(layer.kernel), kernel.astype(keras.DTypePolicy(policy).variable_dtype))
    if policy.startswith("mixed"):
        reference = patient.copy()
        reference.get_layer(path).dtype_policy = keras.DTypePolicy(policy)
        assert_same_outputs(reference(patient.inputs), tuned(patient.inputs))


@given(recipes(), st.integers(1, 3))
@example(Recipe((Step("shared"), Step("two_levels")), 1, 1), 1)  # one layer on three levels
@few
def test_adapters_change_nothing_until_they_train_and_never_the_kernel(recipe, rank):
    patient = Patient(recipe)
    tuned = patient.operate([sg.freeze("**"), sg.lora("**", rank=rank)])
    assert_same_outputs(patient.model(patient.inputs), tuned(patient.inputs))
    kernels = {
        id(layer): to_numpy(layer._kernel)
        for layer in zoo.every_layer(tuned)
        if getattr(layer, "lora_enabled", 0)
    }
    assert kernels
    tuned.trainable = False
    tuned.trainable = True
    assert {v.name[:4] for v in tuned.trainable_variables} == {"lora"}
    before = weights_of(tuned)
    train_steps(tuned, patient.inputs, steps=2)
    moved = {
        path.rpartition("/")[2]
        for path, value in weights_of(tuned).items()
        if not same_bits(value, before[path])
    }
    assert "lora_kernel_b" in moved
    assert moved <= {"lora_kernel_a", "lora_kernel_b"}
