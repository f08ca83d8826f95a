"""Inserting, removing, renaming and the like: what is left alone stays equal, bit for bit."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import surgeon as sg
from surgeon.planning.replay import check_built
from tests import zoo
from tests.helpers import assert_same_outputs, assert_same_weights, assert_unmoved, to_numpy, weights_of
from tests.strategies import WIDTH, Recipe, Step, build, recipes


@keras.saving.register_keras_serializable("surgeon_tests")
class Around(layers.Wrapper):
    """Calls the layer that it holds."""

    def call(self, inputs):
        return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


SAME = {
    "insert after": lambda path: sg.insert_after(path, layers.Activation("linear")),
    "insert before": lambda path: sg.insert_before(path, layers.Activation("linear"), argument=0),
    "rename": lambda path: sg.rename(path, "another"),
    "wrap": lambda path: sg.wrap(sg.name(path) & ~sg.isa("Add") & ~sg.isa("Concatenate"), Around),
    "replace": lambda path: sg.replace(
        path, lambda node: type(node.layer).from_config(node.layer.get_config())
    ),
    "configure": lambda path: sg.configure(path, trainable=True),
    "insert twice, remove one": lambda path: [
        sg.insert_after(
            path, [layers.Activation("linear", name="one"), layers.Activation("tanh", name="two")]
        ),
        sg.remove("**/two" if "/" in path else "two"),
    ],
}


# Keras, of a layer of the test that is put around one that reads a mask.
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@given(recipes(), st.sampled_from(sorted(SAME)), st.data())
@settings(max_examples=16)
def test_edits_that_compute_the_same_change_no_output_and_no_weight(recipe, kind, data):
    model = build(recipe)
    paths = [node.path for node in sg.find(model, "**") if node.weights and node.inner is None]
    path = data.draw(st.sampled_from(paths))
    inputs, before, counts = zoo.sample_inputs(model), weights_of(model), _inbound(model)
    plan = sg.plan(model, SAME[kind](path))
    for made in (plan.apply(model), sg.Plan.from_json(plan.to_json()).apply(model)):
        assert_same_outputs(model(inputs), made(inputs))
        for old, new in zip(model.weights, made.weights, strict=True):
            assert np.array_equal(to_numpy(old), to_numpy(new)), old.path
    assert str(plan).count("\n") >= 2
    assert _inbound(model) == counts
    assert_same_weights(before, weights_of(model))


def test_paths_follow_a_shared_layer_whose_outermost_call_is_gone():
    """Then the layer is called inside of a nested model alone, and its path leads there."""
    model = build(Recipe((Step("two_levels"),)))
    inputs = zoo.sample_inputs(model)
    for path in [node.path for node in sg.find(model, "**") if node.weights and node.inner is None]:
        tuned = sg.rewrite(model, SAME["insert after"](path))
        assert_same_outputs(model(inputs), tuned(inputs))
        assert len(tuned.weights) == len(model.weights)


def _inbound(model):
    return [len(operation._inbound_nodes) for operation in model.operations]


@given(recipes(), st.data())
@settings(max_examples=8)
def test_a_layer_that_is_removed_is_skipped_over(recipe, data):
    model = build(recipe)
    added = sg.rewrite(model, sg.insert_after("stem", layers.Dense(WIDTH, name="extra"), scope="layer"))
    assert "extra" in [layer.name for layer in added.layers]
    gone = sg.rewrite(added, sg.remove("extra"))
    inputs = zoo.sample_inputs(model)
    assert_same_outputs(model(inputs), gone(inputs))
    assert {layer.name for layer in gone.layers} == {layer.name for layer in model.layers}
    assert_unmoved(weights_of(model), weights_of(gone))


@given(recipes(kinds=("shared", "dense", "nested", "add")))
@settings(max_examples=8)
def test_what_is_unshared_computes_the_same_and_can_be_shared_again(recipe):
    model = build(recipe)
    calls = [node for node in sg.to_graph(model) if node.name == "shared"]
    if len(calls) < 2:
        return
    apart = sg.rewrite(model, sg.unshare("shared"))
    inputs = zoo.sample_inputs(model)
    assert_same_outputs(model(inputs), apart(inputs))
    assert len([layer for layer in apart.layers if layer.name.startswith("shared")]) == len(calls)
    together = sg.rewrite(apart, sg.share("shared*"))
    assert_same_outputs(model(inputs), together(inputs))
    assert len(together.weights) == len(model.weights)


@pytest.mark.parametrize("rule", [sg.unshare("encoder"), sg.duplicate("encoder")], ids=["unshare", "twice"])
def test_nested_models_are_not_copied(rule):
    inner, inputs = keras.Input((4,), name="inner"), keras.Input((4,), name="inputs")
    encoder = keras.Model(inner, layers.Dense(4, name="dense")(inner), name="encoder")
    model = keras.Model(inputs, encoder(encoder(inputs)))
    with pytest.raises(sg.RuleError, match=r"a nested model is not copied: inline"):
        sg.plan(model, rule)
    apart = sg.rewrite(model, [sg.inline("encoder"), sg.unshare("dense")])
    inputs = zoo.sample_inputs(model)
    assert_same_outputs(model(inputs), apart(inputs))


def test_one_call_of_a_shared_layer():
    model = zoo.shared()
    rule = sg.replace(sg.name("again") & sg.where(lambda n: n.call_index == 0), layers.Dense(8), scope="call")
    apart = sg.rewrite(model, rule)
    assert [layer.name for layer in apart.layers if "again" in layer.name] == ["again_0", "again"]
    calls = {node.name: node for node in sg.to_graph(apart) if "again" in node.name}
    assert all(node.call_index == 0 for node in calls.values())
    inserted = sg.rewrite(
        model,
        sg.insert_after(
            sg.name("again") & sg.where(lambda n: n.call_index == 1), layers.Dropout(0.5), scope="call"
        ),
    )
    graph = sg.to_graph(inserted)
    assert [graph[ref.node].name for ref in graph["head"].inputs] == ["again_dropout"]
    assert [graph[ref.node].name for ref in graph["again:1"].inputs] == ["again"]


def test_duplicates_have_the_same_weights_and_train_apart():
    model = zoo.mlp()
    deeper = sg.rewrite(model, sg.duplicate("dense_2", times=2))
    assert [layer.name for layer in deeper.layers] == [
        "dense_1",
        "dense_2",
        "dense_2_copy",
        "dense_2_copy_1",
        "head",
    ]
    kernels = [to_numpy(layer.kernel) for layer in deeper.layers[1:4]]
    assert np.array_equal(kernels[0], kernels[1])
    assert np.array_equal(kernels[0], kernels[2])
    assert len({id(layer.kernel) for layer in deeper.layers}) == 5


def test_what_no_longer_fits_is_made_anew_and_said_so():
    model = zoo.cnn()
    plan = sg.plan(model, sg.replace("hidden", layers.Dense(24, activation="relu")))
    assert "makes anew predictions: Dense → Dense (carries bias; new values: kernel (24, 4))" in str(plan)
    assert "replaces hidden: Dense → Dense (new values: kernel (72, 24), bias (24,))" in str(plan)
    tuned = plan.apply(model)
    assert tuned.get_layer("predictions").kernel.shape == (24, 4)
    assert np.array_equal(tuned.get_layer("predictions").bias, model.get_layer("predictions").bias)
    assert tuned(zoo.sample_inputs(model)).shape == (2, 4)
    assert "makes anew" not in str(sg.plan(model, sg.replace("hidden", layers.Dense(10))))


def test_shapes_change_through_a_nested_model():
    model = zoo.nested()
    tuned = sg.rewrite(model, sg.replace("encoder/block/out", layers.Dense(9)))
    assert tuned.get_layer("head").kernel.shape == (9, 3)
    assert tuned(zoo.sample_inputs(model)).shape == (2, 3)
    wider = sg.rewrite(model, sg.insert_before("encoder", layers.Conv2D(5, 1, name="widen")))
    assert wider.get_layer("encoder").get_layer("conv").kernel.shape == (3, 3, 5, 6)
    assert wider(zoo.sample_inputs(model)).shape == (2, 3)


def test_inside_of_a_nested_bert(tmp_path):
    inner = zoo.tiny_bert()
    inputs = {name: keras.Input((6,), dtype="int32", name=name) for name in inner.input}
    model = keras.Model(inputs, layers.Dense(3, name="head")(inner(inputs)["pooled_output"]), name="outer")
    rules = [
        sg.insert_after("tiny_bert/pooled_dense", layers.Activation("linear", name="same")),
        sg.freeze("tiny_bert/transformer_layer_0"),
    ]
    tuned = sg.rewrite(model, rules)
    values = zoo.sample_inputs(model)
    assert_same_outputs(model(values), tuned(values))
    # Its own class would build it again without the new layer.
    assert type(tuned.get_layer("tiny_bert")).__name__ == "Functional"
    tuned.save(tmp_path / "tuned.keras")
    loaded = keras.saving.load_model(tmp_path / "tuned.keras")
    assert loaded.get_layer("tiny_bert").get_layer("same")
    assert_same_outputs(model(values), loaded(values))
    assert len(loaded.trainable_variables) == len(tuned.trainable_variables) == len(model.weights) - 16


def test_a_model_that_is_not_what_was_planned_is_told_in_words():
    one, other = (
        keras.Sequential([keras.Input((4,), name="x"), layers.Dense(2, name="a"), last(name="b")], name="m")
        for last in (layers.ReLU, layers.ELU)
    )
    text = (
        "the rewritten 'm' is not what was planned; this is a defect:\n"
        "  planned: ReLU 'b' reads a\n  built: ELU 'b' reads a"
    )
    with pytest.raises(sg.ValidationError, match=re.escape(text)):
        check_built(sg.to_graph(one), other)


def test_a_mask_goes_through_what_is_inserted_and_ends_where_its_source_is_gone():
    model = zoo.tokens()
    inputs = zoo.sample_inputs(model)
    inputs[:, 5:] = 0  # masked
    same = sg.rewrite(model, sg.insert_after("embedding", layers.Dropout(0.5)))
    assert_same_outputs(model(inputs), same(inputs))
    unmasked = sg.rewrite(model, sg.configure("embedding", mask_zero=False))
    difference = np.abs(to_numpy(model(inputs)) - to_numpy(unmasked(inputs))).max()
    assert difference > 1e-6
    assert not any(node.implicit_masks for node in sg.to_graph(unmasked))


def test_what_is_configured_stays_frozen_as_it_was():
    model = sg.rewrite(zoo.cnn(), [sg.freeze("bn_1"), sg.freeze("conv_1", kernel=sg.channels([0, 1]))])
    seal = sg.seal(model)
    tuned = sg.rewrite(model, sg.configure(sg.isa("Conv2D"), kernel_regularizer="l2"))
    seal.verify(tuned)
    assert sg.seal(tuned).weights.keys() == seal.weights.keys()
    assert len(tuned.losses) == 2
    assert float(sum(tuned.losses)) > 0


def test_earlier_freezes_follow_a_renamed_layer_and_leave_a_replaced_one():
    model = zoo.cnn()
    renamed = sg.rewrite(model, [sg.freeze("hidden"), sg.rename("hidden", "trunk")])
    assert sg.seal(renamed).weights.keys() == {"trunk/kernel", "trunk/bias"}
    assert renamed.get_layer("trunk").kernel.path.startswith("trunk/")
    plan = sg.plan(model, [sg.freeze("hidden"), sg.replace("hidden", layers.Dense(10))])
    assert plan.trainable_after == plan.trainable_before


def test_a_rule_is_a_function():
    model = zoo.mlp()

    @sg.rule(sg.isa("Dense") & sg.where(lambda node: node.config["units"] >= 8))
    def swap(node):
        return [layers.Dense(node.config["units"]), layers.LayerNormalization(), layers.Activation("gelu")]

    tuned = sg.rewrite(model, swap)
    names = ["dense_1", "dense_1_layer_normalization", "dense_1_activation"]
    assert [layer.name for layer in tuned.layers][:3] == names
    assert np.array_equal(tuned.get_layer("dense_1").kernel, model.get_layer("dense_1").kernel)
    assert [layer.name for layer in tuned.layers][-1] == "head"


def test_filled_layers_compute_their_weights_from_the_model_that_the_plan_meets():
    @sg.rule("head")
    def doubled(node):
        return sg.filled(layers.Dense(3), lambda old: {"kernel": 2 * old["kernel"]}, [node])

    model = zoo.mlp()
    plan = sg.plan(model, doubled)
    zoo.jitter(model, seed=9)
    tuned = plan.apply(model)
    assert np.array_equal(tuned.get_layer("head").kernel, 2 * model.get_layer("head").kernel)
    assert not to_numpy(tuned.get_layer("head").bias).any()
    with pytest.raises(sg.PlanError, match=r"computed by lambda at .*, and a plan holds no code"):
        plan.to_json()


def test_later_rules_see_the_settings_of_what_earlier_ones_put_in():
    model = zoo.mlp()
    seen = []

    @sg.rule(sg.isa("Dense") & sg.where(lambda node: node.config["units"] == 24))
    def look(node):
        seen.append((node.path, node.config["activation"]))

    sg.plan(model, [sg.replace("dense_2", layers.Dense(24, "elu")), look])
    assert seen == [("dense_2", "elu")]


def test_rewire_skips_a_block_and_drops_what_nothing_reads():
    model = zoo.residual()
    plan = sg.plan(model, sg.rewire("block_2_conv_1", "stem"))
    assert "drops block_1_conv_1: Conv2D" not in str(plan)  # the shortcut of block 2 still reads block 1
    both = [sg.rewire("block_2_conv_1", "stem"), sg.rewire("block_2_project", "stem")]
    tuned = sg.rewrite(model, both)
    assert not [layer.name for layer in tuned.layers if layer.name.startswith("block_1")]
    assert "and 5 more that nothing reads" in str(sg.plan(model, both))


def test_repeated_rules_end_when_they_find_nothing_more():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            *(layers.Dropout(0.1, name=f"dropout_{i}") for i in range(4)),
            layers.Dense(2, name="d"),
        ]
    )
    pair = sg.chain(first=sg.isa("Dropout"), second=sg.isa("Dropout"))

    @sg.rule(pair)
    def merge(match):
        return sg.remove(match.second)

    once, often = sg.rewrite(model, merge), sg.rewrite(model, sg.repeat(merge))
    assert [layer.name for layer in once.layers] == ["dropout_0", "dropout_2", "d"]
    assert [layer.name for layer in often.layers] == ["dropout_0", "d"]


def test_what_is_inside_of_a_renamed_layer_follows_it():
    inputs = keras.Input((5, 8), name="inputs")
    chain = keras.Sequential([keras.Input((5, 8)), layers.Dense(8, name="dense")], name="my_dense")
    attention = layers.MultiHeadAttention(2, 4, name="data")
    around = layers.Bidirectional(layers.GRU(3, name="gru"), name="a")
    tensor = chain(inputs)
    model = keras.Model(inputs, around(attention(tensor, tensor)))
    model(np.ones((1, 5, 8), "float32"))
    names = {"my_dense/dense": "ense", "data": "mha", "a": "both"}
    before = {v.path for v in model.variables}
    tuned = sg.rewrite(model, [sg.rename(old, new) for old, new in names.items()])
    assert {v.path for v in model.variables} == before
    paths = {v.path for v in tuned.weights}
    assert {"my_dense/ense/kernel", "mha/query/kernel", "both/forward_gru/gru_cell/bias"} <= paths
    assert {path.split("/")[0] for path in paths} == {"my_dense", "mha", "both"}
    inside = [layer.path for layer in tuned.get_layer("mha")._flatten_layers() if layer.path]
    assert inside == [path for path in inside if path.startswith("mha")]


def nested_of(*names, model="inner"):
    tensor = start = keras.Input((4,), name="start")
    for name in names:
        if name == "deep":
            deep = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")], name="deep")
            tensor = deep(tensor)
        else:
            tensor = layers.Dense(4, name=name)(tensor)
    return keras.Model(start, tensor, name=model)


def test_layers_that_come_out_of_nested_models_get_names_of_their_own():
    inputs = keras.Input((4,), name="inputs")
    first, second = nested_of("x", "deep", model="a"), nested_of("a_x", "x", "deep", "a_deep", model="b")
    third = nested_of("b_x", "x", model="b_deep")
    model = keras.Model(inputs, third(second(first(inputs))))
    flat = sg.rewrite(model, [sg.inline("a"), sg.inline("b"), sg.inline("b_deep")])
    names = [layer.name for layer in flat.layers]
    assert len(set(names)) == len(names) == 9
    assert {"deep", "b_deep_1"} == {layer.name for layer in flat.layers if isinstance(layer, keras.Model)}
    numbers = np.ones((2, 4), "float32")
    assert np.allclose(to_numpy(model(numbers)), to_numpy(flat(numbers)))


@pytest.mark.parametrize("index", [0, 1])
def test_a_single_call_of_a_layer_that_a_nested_model_calls_too_is_refused(index):
    steps = ("shared", "two_levels", "dense", "shared")
    model = build(Recipe(tuple(Step(kind) for kind in steps), 1, 1))
    which = sg.name("shared") & sg.where(lambda node: node.call_index == index)
    with pytest.raises(sg.RuleError, match=r"'shared' is called in several models.*inline\('outer_tower"):
        sg.plan(model, sg.insert_after(which, layers.Rescaling(2.0), scope="call"))
