"""Each structural action, on random models, against what the edited graph must compute.

What a rewritten model must return is worked out without it: by calling the layers of the patient one by one
(`tests.evaluation`), or from a copy of which a weight or a setting was changed by hand.
"""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers

import surgeon as sg
from surgeon.graph import Ref
from tests import zoo
from tests.evaluation import outputs_of
from tests.helpers import (
    assert_same_outputs,
    assert_same_weights,
    same_bits,
    to_numpy,
    weights_of,
)
from tests.planning.patient import Patient, few, is_once
from tests.strategies import WIDTH, Step, recipes

# --- one layer in the place of another --------------------------------------------------------------


@given(recipes(), st.data())
@few
def test_another_activation_in_a_replaced_layer(recipe, data):
    patient = Patient(recipe)
    path = patient.dense(data, whole=False)
    reference = patient.copy()
    reference.get_layer(path).activation = keras.activations.relu

    def relu(node):
        return layers.Dense(
            node.config["units"], "relu", use_bias=node.config["use_bias"], dtype=node.config["dtype"]
        )

    tuned = patient.operate(sg.replace(path, relu))
    assert_same_outputs(reference(patient.inputs), tuned(patient.inputs))
    assert_same_weights(weights_of(patient.model), weights_of(tuned))


@given(recipes(), st.data())
@few
def test_a_setting_wherever_it_hides(recipe, data):
    patient = Patient(recipe)
    old = data.draw(st.sampled_from(["tanh", "relu", "linear"]))
    function = keras.activations.get(old)
    reference = patient.copy()
    changed = 0
    for layer in zoo.every_layer(reference):
        if isinstance(layer, layers.GRU):
            layer = layer.cell  # noqa: PLW2901 - what a GRU calls
        elif isinstance(layer, layers.GRUCell):
            continue
        if getattr(layer, "activation", None) is function:
            layer.activation = keras.activations.elu
            changed += 1
    operations = [op for op in reference.operations if type(op).__name__ == "Relu"]
    assume(changed and not (old == "relu" and operations))
    tuned = patient.operate(sg.change_activation(old, "elu"))
    assert_same_outputs(reference(patient.inputs), tuned(patient.inputs))
    assert_same_weights(weights_of(patient.model), weights_of(tuned))


@given(recipes(), st.data())
@few
def test_a_block_becomes_one_layer(recipe, data):
    patient = Patient(recipe)
    path = patient.dense(data, linear=True)
    # In the precision of the layer before it, or the two round differently.
    dtype = next(node.config["dtype"] for node in patient.graph if node.path == path)
    end = layers.Activation("tanh", name="block_end", dtype=dtype)
    apart = sg.rewrite(patient.model, sg.insert_after(path, end))
    block = sg.chain(dense=path, act="block_end")

    def fused(match):
        config = match.dense.config
        return layers.Dense(config["units"], "tanh", use_bias=config["use_bias"], dtype=config["dtype"])

    tuned = sg.rewrite(apart, sg.replace(block, fused))
    assert "block_end" in [
        layer.name for layer in tuned.layers
    ]  # the name of the end, as what follows knows it
    assert len(tuned.layers) == len(apart.layers) - 1
    assert_same_outputs(apart(patient.inputs), tuned(patient.inputs))
    assert len(tuned.weights) == len(patient.model.weights)


@given(recipes(), st.data())
@few
def test_one_call_alone(recipe, data):
    patient = Patient(recipe)
    keys = [
        node.key for node in patient.graph if node.class_name in ("Dense", "Activation", "LayerNormalization")
    ]
    key = data.draw(st.sampled_from(keys))
    node = patient.graph[key]

    def doubled(each, op, args, kwargs):
        result = op(*args, **kwargs)
        return 2 * result if each.key == key else result

    wanted = patient.values(around=doubled)
    which = sg.name(node.path) & sg.where(lambda each: each.call_index == node.call_index)
    if node.name == "shared" and "outer_tower" in [each.name for each in patient.graph]:
        with pytest.raises(sg.RuleError, match=r"'shared' is called in several models.*inline\("):
            sg.plan(patient.model, sg.insert_after(which, layers.Rescaling(2.0), scope="call"))
        return
    tuned = patient.operate(
        sg.insert_after(which, layers.Rescaling(2.0, dtype=node.outputs[0].dtype), scope="call")
    )
    assert_same_outputs(outputs_of(patient.graph, wanted), tuned(patient.inputs))
    assert_same_weights(weights_of(patient.model), weights_of(tuned))


# --- insert, remove, wrap, duplicate -----------------------------------------------------------------


@given(recipes(), st.booleans(), st.data())
@few
def test_what_is_inserted_is_computed_there(recipe, after, data):
    """Twice the output of a linear layer is the output of a layer with twice the weights, exactly."""
    patient = Patient(recipe)
    path = patient.dense(data, linear=True)
    reference = patient.copy()
    layer = reference.get_layer(path)
    layer.kernel.assign(2 * layer.kernel)
    if after and layer.use_bias:
        layer.bias.assign(2 * layer.bias)
    spec = patient.graph[path]
    dtype = spec.outputs[0].dtype if after else patient.graph.spec(spec.inputs[0]).dtype
    twice = layers.Rescaling(2.0, name="twice", dtype=dtype)
    tuned = patient.operate(sg.insert_after(path, twice) if after else sg.insert_before(path, twice))
    assert_same_outputs(reference(patient.inputs), tuned(patient.inputs))
    assert_same_weights(weights_of(patient.model), weights_of(tuned))


@given(recipes(), st.data())
@few
def test_what_is_removed_is_skipped(recipe, data):
    patient = Patient(recipe)
    nodes = [n for n in patient.graph if len(n.sources) == 1 and n.class_name not in ("Masking", "Reshape")]
    same = [
        n.path
        for n in nodes
        if isinstance(n.op, keras.layers.Layer)
        and n.outputs[0].shape == patient.graph.spec(n.sources[0]).shape
        and n.outputs[0].dtype == patient.graph.spec(n.sources[0]).dtype
        and n.name != "head"
    ]
    assume(same)
    path = data.draw(st.sampled_from(same))

    def skipped(each, op, args, kwargs):
        return args[0] if each.path == path else op(*args, **kwargs)

    wanted = patient.values(around=skipped)
    tuned = patient.operate(sg.remove(path))
    assert path not in [layer.name for layer in tuned.layers]
    assert_same_outputs(outputs_of(patient.graph, wanted), tuned(patient.inputs))


@keras.saving.register_keras_serializable("surgeon_tests")
class Negated(layers.Wrapper):
    """Calls the layer that it holds, and turns the sign."""

    def call(self, inputs):
        return -self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


@given(recipes(), st.data())
@few
def test_a_wrapped_layer_keeps_its_weights_and_its_sharing(recipe, data):
    patient = Patient(recipe)
    path = patient.dense(data, whole=False)

    def turned(each, op, args, kwargs):
        return -op(*args, **kwargs) if each.path == path else op(*args, **kwargs)

    assume(not any(n.inner and path in [i.name for i in n.inner] for n in patient.graph))
    wanted = patient.values(around=turned)
    tuned = patient.operate(sg.wrap(path, Negated))
    assert_same_outputs(outputs_of(patient.graph, wanted), tuned(patient.inputs))
    assert len(tuned.weights) == len(patient.model.weights)
    assert isinstance(tuned.get_layer(path), Negated)
    assert same_bits(
        to_numpy(tuned.get_layer(path).layer.kernel), to_numpy(patient.model.get_layer(path).kernel)
    )


@given(recipes(), st.integers(1, 2), st.data())
@few
def test_a_duplicate_is_called_on_what_its_original_puts_out(recipe, times, data):
    patient = Patient(recipe)
    square = [
        n.path
        for n in patient.graph
        if n.class_name in ("Dense", "BatchNormalization", "LayerNormalization")
        and is_once(patient.graph, n)
        and n.outputs[0].shape == patient.graph.spec(n.inputs[0]).shape
    ]
    path = data.draw(st.sampled_from(square))

    def again(each, op, args, kwargs):
        result = op(*args, **kwargs)
        for _ in range(times if each.path == path else 0):
            result = op(result)
        return result

    wanted = patient.values(around=again)
    tuned = patient.operate(sg.duplicate(path, times=times))
    assert_same_outputs(outputs_of(patient.graph, wanted), tuned(patient.inputs))
    own = len(patient.model.get_layer(path).weights)
    assert len({id(v) for v in tuned.weights}) == len(patient.model.weights) + times * own


# --- who reads whom ----------------------------------------------------------------------------------


@given(recipes(), st.data())
@few
def test_rewired_layers_read_the_other_tensor(recipe, data):
    patient = Patient(recipe)
    flat = [
        n
        for n in patient.graph
        if n.outputs[0].shape == (None, WIDTH) and isinstance(n.op, keras.layers.Layer)
    ]
    readers = [n.key for n in flat if len(n.sources) == 1 and is_once(patient.graph, n)]
    reader = patient.graph[data.draw(st.sampled_from(readers))]
    old = reader.sources[0]
    assume(patient.graph.spec(old).shape == (None, WIDTH))
    below = {found.path for found in sg.find(patient.model, sg.downstream_of(reader.path))}
    sources = [n.key for n in flat if n.path not in below | {reader.path} and is_once(patient.graph, n)]
    source = patient.graph[data.draw(st.sampled_from(sources))] if sources else reader
    assume(sources)
    wanted = patient.values(reading={(reader.key, old): Ref(source.key)})
    tuned = patient.operate(sg.rewire(reader.path, source.path))
    assert_same_outputs(outputs_of(patient.graph, wanted), tuned(patient.inputs))


@given(recipes())
@few
def test_layers_that_are_shared_are_the_first_of_them(recipe):
    patient = Patient(replace(recipe, steps=(*recipe.steps, Step("dense"), Step("dense"))))
    first, second = [n.path for n in patient.graph if n.name.startswith("dense")][-2:]
    reference = patient.copy()
    reference.get_layer(second).set_weights(reference.get_layer(first).get_weights())
    tuned = patient.operate(sg.share(sg.name(first) | second))
    assert_same_outputs(reference(patient.inputs), tuned(patient.inputs))
    assert second not in [layer.name for layer in tuned.layers]
    assert len(tuned.weights) == len(patient.model.weights) - 2


@given(recipes(kinds=("nested", "two_levels", "shared", "dense", "add", "masked", "scale")))
@few
def test_what_is_taken_apart_computes_the_same(recipe):
    patient = Patient(replace(recipe, steps=(*recipe.steps, Step("two_levels"))))
    models = [n.path for n in patient.graph if n.inner is not None]
    rules = [sg.inline(path) for path in dict.fromkeys(models)]
    tuned = patient.operate(rules)
    assert_same_outputs(patient.model(patient.inputs), tuned(patient.inputs))
    assert len(tuned.weights) == len(patient.model.weights)
    left = [n.name for n in sg.to_graph(tuned) if n.inner is not None]
    assert all("inner_tower" in name for name in left)
