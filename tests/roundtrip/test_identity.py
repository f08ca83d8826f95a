"""A rewrite without rules is the same model; restoring a rewritten one gives the first again."""

from __future__ import annotations

import math

import keras
import pytest

import surgeon as sg
from surgeon.partial import read_spec
from tests import zoo
from tests.helpers import assert_same_outputs, assert_same_weights, train_steps, weights_of

RULES = [
    sg.freeze("**"),
    sg.train("**", "bias"),
    sg.train(sg.isa("Dense") | sg.isa("Conv2D"), kernel=sg.channels(0.4, by="magnitude")),
]
BUILDERS = {**zoo.ZOO, "tiny_bert": zoo.tiny_bert}

QUICK = ("cnn", "mlp", "nested", "optional")
"""Models that are trained without `slow`."""


def inbound_counts(model):
    return [len(layer._inbound_nodes) for layer in zoo.every_layer(model)]


@pytest.fixture(params=sorted(BUILDERS))
def model(request):
    return BUILDERS[request.param]()


def test_identity_is_exact_and_the_patient_untouched(model):
    inputs, counts, before = zoo.sample_inputs(model), inbound_counts(model), weights_of(model)
    same = sg.rewrite(model, [])
    assert type(same) is type(model)
    assert [layer.name for layer in same.layers] == [layer.name for layer in model.layers]
    assert [weight.path for weight in same.weights] == [weight.path for weight in model.weights]
    assert not {id(v) for v in same.variables} & {id(v) for v in model.variables}
    assert_same_outputs(model(inputs), same(inputs))
    assert_same_weights(before, weights_of(same))
    assert inbound_counts(model) == counts
    assert_same_weights(before, weights_of(model))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(build, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, build in sorted(BUILDERS.items())
    ],
)
def test_frozen_survives_training_clone_save_load_and_restore(build, tmp_path):
    model = build()
    inputs = zoo.sample_inputs(model)
    rules = [rule for rule in RULES if _matches(model, rule)]
    tuned = sg.rewrite(model, rules)
    assert_same_outputs(model(inputs), tuned(inputs))
    seal = sg.seal(tuned)
    train_steps(tuned, inputs, steps=3)
    seal.verify(tuned)
    shapes = [tuple(v.shape) for v in tuned.trainable_variables]

    tuned.save(tmp_path / "tuned.keras")
    loaded = keras.models.load_model(tmp_path / "tuned.keras")
    for other in (loaded, keras.models.clone_model(tuned)):
        assert [tuple(v.shape) for v in other.trainable_variables] == shapes
        assert read_spec(other) == read_spec(tuned)
    assert_same_outputs(tuned(inputs), loaded(inputs))
    seal.verify(loaded)
    train_steps(loaded, inputs, steps=2)
    seal.verify(loaded)

    restored = sg.restore(loaded)
    assert type(restored) is type(model)
    assert not read_spec(restored)
    assert_same_outputs(loaded(inputs), restored(inputs))


def test_weight_files_go_both_ways(model, tmp_path):
    inputs, path = zoo.sample_inputs(model), str(tmp_path / "all.weights.h5")
    tuned = sg.rewrite(model, [rule for rule in RULES if _matches(model, rule)])
    zoo.jitter(tuned, seed=4)
    tuned.save_weights(path)
    model.load_weights(path)
    assert_same_outputs(tuned(inputs), model(inputs))
    zoo.jitter(model, seed=5)
    model.save_weights(path)
    tuned.load_weights(path)
    assert_same_outputs(model(inputs), tuned(inputs))


def test_plans_are_values(model):
    plan = sg.plan(model, [rule for rule in RULES if _matches(model, rule)])
    again = sg.Plan.from_json(plan.to_json())
    assert again.asks == plan.asks
    assert again.still == plan.still
    first, second = plan.apply(model), again.apply(model)
    assert read_spec(first) == read_spec(second)
    assert plan.trainable_after == sum(math.prod(v.shape) for v in first.trainable_variables)


def _matches(model, rule):
    try:
        sg.plan(model, rule)
    except sg.SurgeonError:
        return False
    return True


def test_two_layers_that_were_renamed_to_one_name_are_both_said():
    """Keras looks for equal names when a model is made, and not again."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="a"), layers.LayerNormalization(name="b")], name="m"
    )
    outer = keras.Sequential([keras.Input((4,)), model, layers.Dense(2, name="head")])
    model.layers[1].name = "a"
    said = (
        r"two layers of 'm' are called 'a': Dense \(layers\[0\]\) and LayerNormalization \(layers\[1\]\); "
        r".* model\.layers\[1\]\.name = 'a_1'"
    )
    for one in (model, outer):
        for act in (
            sg.to_graph,
            lambda m: sg.rewrite(m, sg.freeze("*")),
            lambda m: sg.diff(m, m),
            sg.restore,
        ):
            with pytest.raises(sg.ModelError, match=said):
                act(one)
    model.layers[1].name = "a_1"
    assert [layer.name for layer in sg.rewrite(outer, []).layers[0].layers] == ["a", "a_1"]


def test_what_is_said_of_two_names_can_be_done():
    """Also of an input that a Sequential model does not list, and where the next name is taken or odd."""
    layers = keras.layers
    hidden = keras.Sequential([keras.Input((4,), name="it's"), layers.Dense(4, name="a")], name="m")
    hidden.layers[0].name = "it's"
    taken = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=name) for name in ("a", "b", "a_1"))])
    taken.layers[1].name = "a"
    for model, said in ((hidden, 'layers[0].name = "it\'s_1"'), (taken, "layers[1].name = 'a_2'")):
        with pytest.raises(sg.ModelError) as error:
            sg.to_graph(model)
        assert str(error.value).endswith(said)
        exec(str(error.value).rpartition("rename one: ")[2], {"model": model})  # as a person would
        assert sg.rewrite(model, sg.freeze("*")).count_params() == model.count_params()


def test_an_operation_has_a_name_too():
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(4, name="a")(image) * 2)
    model.operations[2].name = "a"
    with pytest.raises(sg.ModelError, match=r"Dense \(operations\[1\]\) and Multiply \(operations\[2\]\)"):
        sg.to_graph(model)


def test_a_layer_that_is_called_twice_has_its_name_twice():
    x = image = keras.Input((4,))
    twice = keras.layers.Dense(4, name="a")
    model = keras.Model(image, twice(twice(x)))
    assert len(sg.to_graph(model)) == 3
