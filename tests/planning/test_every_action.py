"""Each structural action, on random models, against what the edited graph must compute.

What a rewritten model must return is worked out without it: by calling the layers of the patient one by one
(`tests.evaluation`), or from a copy of which a weight or a setting was changed by hand.
"""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers

import surgeon as sg
from surgeon.graph import Ref
from tests import zoo
from tests.evaluation import evaluate, outputs_of
from tests.helpers import (
    assert_same_outputs,
    assert_same_weights,
    same_bits,
    to_numpy,
    train_steps,
    weights_of,
)
from tests.strategies import WIDTH, Recipe, Step, build, recipes

few = settings(max_examples=4)  # `HYPOTHESIS_PROFILE=thorough` is for the properties of trainability alone


class Patient:
    """A model that is about to be operated on, with all that must not change of it."""

    def __init__(self, recipe: Recipe) -> None:
        self.model = build(recipe)
        self.graph = sg.to_graph(self.model)
        self.inputs = zoo.sample_inputs(self.model)
        self._before = self._portrait()

    def _portrait(self):
        calls = [len(operation._inbound_nodes) for operation in self.model.operations]
        return weights_of(self.model), calls, [layer.get_config() for layer in self.model.layers]

    def values(self, **options):
        return evaluate(self.graph, self.inputs, **options)

    def copy(self):
        """A model of its own, to change by hand."""
        return sg.rewrite(self.model, [])

    def operate(self, rules, *, code=False):
        """Rewrite by the plan, and by the plan that went through JSON; check what holds for every action."""
        plan = sg.plan(self.model, rules)
        tuned = plan.apply(self.model, validate="structure")
        if not code:
            again = sg.Plan.from_json(plan.to_json()).apply(self.model, validate="structure")
            assert sg.Plan.from_json(plan.to_json()).to_json() == plan.to_json()
            if not _fresh(plan):
                assert_same_outputs(tuned(self.inputs), again(self.inputs))
        weights, calls, configs = self._portrait()
        assert_same_weights(self._before[0], weights)
        assert (calls, configs) == self._before[1:]
        assert not {id(v) for v in tuned.variables} & {id(v) for v in self.model.variables}
        assert plan.after is not None
        now = {w.path: w.shape for w in sg.to_graph(tuned).weights if "/lora_" not in w.path}
        assert {w.path: w.shape for w in plan.after.weights} == now
        return tuned

    def dense(self, data, *, linear=False, whole=True):
        """Draw the path of a Dense of the outermost model that is called once, or in all of its calls."""
        paths = {
            node.path
            for node in self.graph
            if node.class_name == "Dense"
            and (not linear or node.config["activation"] == "linear")
            and (not whole or _is_once(self.graph, node))
        }
        return data.draw(st.sampled_from(sorted(paths)))


def _is_once(graph, node):
    return sum(other.path == node.path for other in graph) == 1 and "shared" not in node.name


def _fresh(plan):
    return any("new values" in change.note for change in plan.journal)


def inner_of(model, path):
    """Return the layer at a path through nested models."""
    for name in path.split("/"):
        model = model.get_layer(name)
    return model


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
    apart = sg.rewrite(patient.model, sg.insert_after(path, layers.Activation("tanh", name="block_end")))
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
        and _is_once(patient.graph, n)
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
    readers = [n.key for n in flat if len(n.sources) == 1 and _is_once(patient.graph, n)]
    reader = patient.graph[data.draw(st.sampled_from(readers))]
    old = reader.sources[0]
    assume(patient.graph.spec(old).shape == (None, WIDTH))
    below = {found.path for found in sg.find(patient.model, sg.downstream_of(reader.path))}
    sources = [n.key for n in flat if n.path not in below | {reader.path} and _is_once(patient.graph, n)]
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
