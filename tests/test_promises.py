"""Ways in which a frozen weight came loose, or the patient was touched, before there was a test."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import _keras
from tests.helpers import assert_same_outputs, to_numpy, train_steps, weights_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")


@keras.saving.register_keras_serializable(package="surgeon_tests")
class Subclassed(keras.Model):
    """A model without a graph, and without a `build` of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, name="q")

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return {"name": self.name}


@keras.saving.register_keras_serializable(package="surgeon_tests")
class Lazy(layers.Layer):
    """A layer that builds what is inside of it only when it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return inputs + self.dense(inputs)


class Linear(layers.Layer):
    """Registered nowhere; its weight can be tied."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, inputs):
        return inputs @ self.kernel


def model_of(*stack, **kwargs):
    x = start = keras.Input((4,), name="x")
    for layer in stack:
        x = layer(x)
    return keras.Model(start, x, **kwargs)


def trained_names(model):
    return {variable.path for variable in model.trainable_variables}


def reload(model, tmp_path, **kwargs):
    model.save(tmp_path / "m.keras")
    return keras.models.load_model(tmp_path / "m.keras", **kwargs)


@pytest.mark.filterwarnings(
    "ignore:.build... was called on layer:UserWarning"
)  # Keras, of the stock file too
@pytest.mark.parametrize("inner", [Subclassed, Lazy])
@pytest.mark.parametrize("rule", [sg.freeze("s"), sg.train("s/dense", kernel=sg.channels([1]))], ids=str)
def test_what_is_built_by_its_first_call_stays_frozen_in_a_file(inner, rule, tmp_path):
    tuned = sg.rewrite(model_of(inner(name="s"), layers.Dense(2, name="e")), rule)
    seal = sg.seal(tuned)
    loaded = reload(tuned, tmp_path)
    seal.verify(loaded)
    train_steps(loaded, X, Y, steps=2)
    seal.verify(loaded)
    seal.verify(reload(loaded, tmp_path))


@pytest.mark.parametrize("how", ["layer", "model", "argument", "nested"])
def test_what_a_flag_froze_beside_a_released_weight_stays_frozen_in_a_file(how, tmp_path):
    dense = [layers.Dense(4, name="d1"), layers.Dense(4, name="d2")]
    if how == "nested":
        backbone = model_of(*dense, name="bb")
        backbone.trainable = False
        model = model_of(backbone, layers.Dense(2, name="e"))
        rule, wanted = sg.train("bb/d2", "kernel"), {"d2/kernel", "e/kernel", "e/bias"}
    else:
        model = model_of(*dense, **({"trainable": False} if how == "argument" else {}))
        if how != "argument":
            (model if how == "model" else model.get_layer("d2")).trainable = False
        rule, wanted = sg.train("d2", "kernel"), {"d2/kernel"}
        wanted |= {"d1/kernel", "d1/bias"} if how == "layer" else set()
    tuned = sg.rewrite(model, rule)
    assert trained_names(tuned) == wanted
    seal = sg.seal(tuned)
    loaded = reload(tuned, tmp_path)
    assert len(loaded.trainable_variables) == len(wanted)
    seal.verify(loaded)
    train_steps(loaded, X, steps=2)
    seal.verify(loaded)


def test_a_layer_shared_by_nested_models_is_frozen_by_either():
    i, j, z = keras.Input((4,)), keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(4, name="d")
    first = keras.Model(i, shared(i), name="A")
    second = keras.Model(j, layers.Dense(4, name="q")(shared(j)), name="B")
    model = keras.Model(z, layers.Add()([first(z), second(z)]))
    assert not trained_names(sg.rewrite(model, sg.freeze("B")))
    assert len(trained_names(sg.rewrite(model, sg.freeze("A")))) == 2


def test_a_layer_used_at_two_levels_has_its_shortest_path():
    i, z = keras.Input((4,)), keras.Input((4,))
    dense = layers.Dense(4, name="d")
    inner = keras.Model(i, layers.Dense(4, name="q")(dense(i)), name="A")
    model = keras.Model(z, layers.Add()([inner(z), dense(z)]))
    assert len(trained_names(sg.rewrite(model, sg.freeze("d")))) == 2
    assert not trained_names(sg.rewrite(model, sg.freeze("*")))


def tied():
    first, second = Linear(name="a"), Linear(name="b")
    model = model_of(first, second)
    _keras.replace_variable(second, second.kernel, first.kernel)
    return model


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_tied_weight_is_frozen_by_either_name_and_stays_tied(name, share):
    model = tied()
    before = model.get_layer("a").kernel.numpy()
    tuned = sg.rewrite(model, sg.freeze(name, "kernel"), share=share)
    assert not tuned.trainable_variables
    assert tuned.get_layer("a").kernel is tuned.get_layer("b").kernel
    assert np.array_equal(model.get_layer("a").kernel.numpy(), before)
    assert model.trainable_variables


def test_layers_that_only_an_attribute_holds_are_frozen_too():
    model = model_of(layers.Dense(3, name="q"))
    model.extra = layers.Dense(2, name="x")
    model.extra.build((None, 3))
    assert not trained_names(sg.rewrite(model, sg.freeze("**")))


def test_attributes_of_a_model_are_copied():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="e")])
    model.head, model.mean = model.layers[-1], keras.metrics.Mean()
    model.seeds, model.temperature = keras.random.SeedGenerator(3), keras.Variable(1.0, name="temperature")
    tuned = sg.rewrite(model, sg.freeze("e", "kernel"))
    tuned.temperature.assign(5.0)
    assert to_numpy(model.temperature) == 1.0
    assert tuned.head is tuned.layers[-1]
    assert tuned.mean is not model.mean
    assert tuned.seeds is not model.seeds


def test_sharing_layers_does_not_touch_the_flags_of_the_patient():
    model = model_of(layers.Dense(4, name="d1"), layers.Dense(4, name="d2"), trainable=False)
    sg.rewrite(model, sg.train("d2"), share=True)
    assert all(variable.trainable for variable in model.variables)


@pytest.mark.parametrize("kind", ["stateful", "sampling"])
def test_validation_leaves_the_state_of_the_patient_alone(kind):
    if kind == "stateful":
        start = keras.Input((5, 4), batch_size=2)
        model = keras.Model(start, layers.LSTM(3, stateful=True, name="r")(start))
        model(RNG.normal(size=(2, 5, 4)).astype("float32"))
        states = lambda of: [np.array(state) for state in of.get_layer("r").states]  # noqa: E731
    else:
        model = model_of(layers.Dropout(0.5, name="r"), layers.Dense(2))
        model(X, training=True)
        states = lambda of: [np.array(of.get_layer("r").seed_generator.state)]  # noqa: E731
    before = states(model)
    same = sg.rewrite(model, [])
    for left, right in ((before, states(model)), (before, states(same))):
        assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_a_model_that_cannot_run_on_random_inputs_is_rewritten_with_a_note():
    start = keras.Input((None, 1))
    pooled = layers.GlobalAveragePooling1D()(layers.Conv1D(3, 16)(start))
    model = keras.Model(start, layers.Dense(2, name="d")(pooled))
    report = sg.validate(model, sg.rewrite(model, sg.freeze("d", "kernel")))
    assert report.ok
    assert "cannot run on random inputs" in report.notes[0]


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no sparse tensors on PyTorch")
def test_sparse_inputs_of_a_partly_trained_dense():
    start = keras.Input((4,), sparse=True, name="x")
    tuned = sg.rewrite(
        keras.Model(start, layers.Dense(2, name="d")(start)),
        sg.train("d", kernel=sg.channels([0])),
        validate="structure",
    )
    assert [tuple(v.shape) for v in tuned.trainable_variables] == [(2,), (4, 1)]


def test_a_seal_notices_a_flag_that_was_lifted_and_state_that_moves_again():
    model = model_of(layers.Dense(4, name="d"), layers.BatchNormalization(name="bn"))
    model.get_layer("d").trainable = False
    seal = sg.seal(model)
    model.get_layer("d").trainable = True
    with pytest.raises(sg.SealBrokenError, match="can train again"):
        seal.verify(model)
    tuned = sg.rewrite(model, sg.freeze("bn"))
    released = sg.rewrite(tuned, sg.train("bn", "moving_mean"))
    with pytest.raises(sg.SealBrokenError, match="bn/moving_mean"):
        sg.seal(tuned).verify(released)


def test_a_frozen_spectral_normalization_holds_all_that_it_has():
    tuned = sg.rewrite(
        model_of(layers.SpectralNormalization(layers.Dense(4, name="d"), name="sn"), layers.Dense(2)),
        sg.freeze("sn"),
    )
    seal, before = sg.seal(tuned), weights_of(tuned)
    train_steps(tuned, X, Y, steps=3)
    seal.verify(tuned)
    assert any(not np.array_equal(before[path], value) for path, value in weights_of(tuned).items())


def test_a_clone_needs_no_registered_class():
    tuned = sg.rewrite(model_of(Linear(name="c")), sg.train("c", kernel=sg.channels([1])))
    clone = keras.models.clone_model(tuned)
    assert [tuple(v.shape) for v in clone.trainable_variables] == [(4, 1)]


class Weighted(keras.losses.Loss):
    """A loss that has no config."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean((y_true - y_pred) ** 2, -1)


def test_a_loss_without_a_config_is_kept():
    model = model_of(layers.Dense(2, name="d"))
    model.compile("adam", Weighted(0.5))
    same = sg.rewrite(model, [])
    assert same.loss is model.loss


def test_a_plan_fits_the_same_model_with_another_input_name():
    def make():
        return keras.Sequential([keras.Input((4,)), layers.Dense(2, name="d")], name="m")

    plan = sg.plan(make(), sg.freeze("d", "kernel"))
    assert len(plan.apply(make()).trainable_variables) == 1


def test_a_lora_layer_is_copied_with_its_adapter_apart():
    model = model_of(layers.Dense(2, name="d"))
    model.get_layer("d").enable_lora(2)
    train_steps(model, X, Y, steps=2)
    same = sg.rewrite(model, [])
    assert len(same.trainable_variables) == len(model.trainable_variables)


def test_a_layer_that_is_partial_already_can_be_replaced():
    once = sg.rewrite(model_of(layers.Dense(6, name="d")), sg.train("d", kernel=sg.channels([1])))
    twice = sg.rewrite(once, sg.replace("d", lambda node: layers.Dense(6, name="z")))
    assert [layer.name for layer in twice.layers] == ["x", "z"]


def test_a_legacy_file_of_a_partly_frozen_model(tmp_path):
    tuned = sg.rewrite(model_of(layers.Dense(6, name="d")), sg.train("d", kernel=sg.channels([1])))
    tuned.save(tmp_path / "m.h5")
    loaded = keras.models.load_model(tmp_path / "m.h5")
    assert_same_outputs(loaded(X), tuned(X))


def test_a_part_of_state_makes_no_sense():
    model = model_of(layers.BatchNormalization(name="bn"))
    with pytest.raises(sg.SelectionError, match="'bn/moving_mean' is state"):
        sg.plan(model, sg.freeze("bn", moving_mean=sg.channels([0])))
    assert "state holds still: bn/moving_mean, bn/moving_variance" in str(sg.plan(model, sg.freeze("bn")))


def test_a_plan_says_that_state_moves_again_only_where_it_does():
    model = model_of(layers.BatchNormalization(name="bn"))
    for rule, moves in ((sg.train("bn", "gamma"), False), (sg.train("bn"), True)):
        plan = sg.plan(model, [sg.freeze("**"), rule])
        assert ("moves again" in str(plan)) == moves
        tuned = plan.apply(model)
        train_steps(tuned, X, X, steps=2)
        assert np.array_equal(tuned.get_layer("bn").moving_mean, np.zeros(4)) != moves


@pytest.mark.parametrize("constraint", ["unit_norm", "max_norm", "non_neg"])
def test_a_constraint_sees_the_whole_weight_and_moves_only_its_part(constraint):
    dense = layers.Dense(4, name="e", kernel_constraint=constraint)
    tuned = sg.rewrite(model_of(dense, layers.Dense(2)), sg.train("e", kernel=sg.channels([1])))
    seal = sg.seal(tuned)
    train_steps(tuned, X, Y, keras.optimizers.SGD(0.1), steps=3)
    seal.verify(tuned)
    column = np.array(tuned.get_layer("e").kernel)[:, 1]
    checks = {
        "unit_norm": abs(np.linalg.norm(column) - 1) < 1e-3,
        "max_norm": np.linalg.norm(column) < 2.001,
        "non_neg": (column >= 0).all(),
    }
    assert checks[constraint]


def test_training_the_rewritten_model_leaves_the_patient_alive():
    model = model_of(layers.Dropout(0.3), layers.Dense(2, name="e"))
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    tuned = sg.rewrite(model, [])
    tuned.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0)
    restored = sg.restore(tuned)
    restored.fit(X, Y, verbose=0)
    tuned.fit(X, Y, verbose=0)


@pytest.mark.filterwarnings("ignore:.build... was called on layer:UserWarning")
def test_a_file_whose_spec_names_a_layer_that_is_not_there_is_refused(tmp_path):
    tuned = sg.rewrite(model_of(Lazy(name="s"), layers.Dense(2, name="e")), sg.freeze("s"))
    config = tuned.get_config()
    spec = next(one["config"]["partial"] for one in config["layers"] if one["name"] == "s")
    spec["weights"] = {path.replace("dense/", "gone/"): part for path, part in spec["weights"].items()}
    spec["still"] = []
    with pytest.raises(sg.WeightNameError, match="no layer 'gone'"):
        keras.Model.from_config(config)


def test_a_replacement_inside_a_nested_model_is_not_lost_by_sharing():
    model = model_of(model_of(layers.ReLU(name="r"), name="inner"), layers.Dense(2, name="e"))
    rewritten = sg.rewrite(model, sg.replace("inner/r", layers.Activation("gelu")), share=True)
    assert rewritten.get_layer("inner").get_layer("r").activation is keras.activations.gelu
    assert rewritten.get_layer("e") is model.get_layer("e")
    assert type(model.get_layer("inner").get_layer("r")) is layers.ReLU


def test_the_totals_of_a_plan_count_a_shared_layer_once():
    i, j, z = keras.Input((4,)), keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(4, name="d")
    first, second = keras.Model(i, shared(i), name="A"), keras.Model(j, shared(j), name="B")
    model = keras.Model(z, layers.Add()([first(z), second(z)]))
    plan = sg.plan(model, sg.freeze("A", "kernel"))
    assert (plan.trainable_before, plan.trainable_after, plan.size) == (20, 4, 20)
    again = sg.Plan.from_json(plan.to_json())
    assert (again.trainable_before, again.trainable_after, again.size) == (20, 4, 20)
