"""Criteria that look at data, against what they should give by hand."""

from __future__ import annotations

from typing import Any, cast

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from surgeon.rules import TrainabilityRule, rules_from_data, rules_to_data
from surgeon.scoring import Scorer
from surgeon.select import Axes
from tests import zoo
from tests.helpers import assert_same_weights, to_numpy, weights_of

RNG = np.random.default_rng(3)
X = RNG.normal(size=(10, 4)).astype("float32")
Y = RNG.normal(size=(10, 3)).astype("float32")
W = RNG.normal(size=(4, 3)).astype("float32")
BY: dict[str, Any] = {
    "fisher": sg.fisher,
    "gradient": sg.gradient,
    "snip": sg.snip,
    "movement": sg.movement,
    "relative_gradient_norm": sg.relative_gradient_norm,
}


def linear(weight=W):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, use_bias=False, name="d")])
    model.get_layer("d").kernel.assign(weight)
    model.compile("adam", "mse")
    return model


def slope(x, y, weight):
    """The gradient of the mean squared error of `x @ weight`."""
    return x.T @ (x @ weight - y) * 2 / y.size


def by_hand(name):
    halves = [(X[:5], Y[:5]), (X[5:], Y[5:])]
    mean = np.mean([slope(x, y, W) for x, y in halves], axis=0)
    if name == "fisher":
        return np.mean([slope(X[i : i + 1], Y[i : i + 1], W) ** 2 for i in range(10)], axis=0)
    if name == "movement":
        total, weight = np.zeros_like(W), W
        for x, y in halves:
            gradient = slope(x, y, weight)
            total, weight = total - weight * gradient, weight - 0.01 * gradient
        return total / 2
    if name == "relative_gradient_norm":
        return np.full(W.shape, np.linalg.norm(mean) / np.linalg.norm(W))
    return np.abs(mean * W) if name == "snip" else np.abs(mean)


def scores(model, by, path="d/kernel"):
    return Scorer(model).scores(by, path, {path: Axes(1, 0)})


class Slices(keras.utils.PyDataset):
    """The data in two batches."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[5 * index : 5 * index + 5], Y[5 * index : 5 * index + 5]


def as_tf():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)


DATA = {
    "arrays": lambda: (X, Y),
    "weighted": lambda: (X, Y, np.ones(10, "float32")),
    "tf.data": as_tf,
    "PyDataset": Slices,
    "generator": lambda: ((X[at : at + 5], Y[at : at + 5]) for at in (0, 5)),
}


@pytest.mark.parametrize(
    "name, data",
    [*((name, "arrays") for name in BY), *(("gradient", data) for data in DATA if data != "arrays")],
)
def test_scores_are_what_the_formula_says_whatever_the_data_come_in(name, data):
    if keras.backend.backend() != "tensorflow" and data == "tf.data":
        pytest.importorskip("tensorflow")
    found = scores(linear(), BY[name](DATA[data](), batch_size=5, verbose=0))
    assert found == pytest.approx(by_hand(name), rel=1e-4, abs=1e-7)


def test_progress_is_shown_unless_it_is_not_wanted(capsys):
    scores(linear(), sg.gradient((X, Y), batch_size=5, verbose=0))
    assert not capsys.readouterr().out
    scores(linear(), sg.gradient((X, Y), batch_size=5))
    assert "2/2" in capsys.readouterr().out


def test_frozen_and_partly_frozen_weights_have_scores_too():
    model, by = linear(), sg.fisher((X, Y), verbose=0)
    for rule in (sg.freeze("d"), sg.train("d", kernel=sg.channels([1]))):
        assert scores(sg.rewrite(model, rule), by) == pytest.approx(by_hand("fisher"), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    "name, by",
    [
        ("shared", sg.fisher),
        ("nested", sg.movement),
        *(pytest.param(name, sg.fisher, marks=pytest.mark.slow) for name in ("cnn", "tokens", "tiny_bert")),
    ],
)
def test_the_model_that_is_scored_stays_as_it_was(name, by):
    model = getattr(zoo, name)()
    x = zoo.sample_inputs(model, 4)
    y = keras.tree.map_structure(lambda out: np.ones(out.shape, "float32"), model(x))
    before = weights_of(model)
    ranked = sg.rank_layers(model, by((x, y), loss="mse", verbose=0))
    assert_same_weights(before, weights_of(model))
    assert np.isfinite([score for _, score in ranked]).all()
    assert len({score for _, score in ranked}) > 1
    assert not model.compiled


def test_activation_is_the_mean_of_what_comes_out():
    model = zoo.cnn()
    x = zoo.sample_inputs(model, 6)
    conv = keras.Model(model.input, model.get_layer("conv_1").output)
    expected = np.abs(to_numpy(conv(x))).mean(axis=(0, 1, 2))
    by = sg.activation(x, verbose=0)
    tuned = sg.rewrite(model, [sg.freeze("**"), sg.train("conv_1", kernel=sg.channels(2, by=by))])
    (kernel,) = tuned.trainable_variables
    chosen = np.sort(np.argsort(-expected)[:2])
    assert np.array_equal(to_numpy(kernel), to_numpy(model.get_layer("conv_1").kernel)[..., chosen])
    tokens = zoo.tokens()
    rule = sg.train("lstm", kernel=sg.channels(2, by=sg.activation(zoo.sample_inputs(tokens), verbose=0)))
    on_jax = keras.backend.backend() == "jax"  # where nobody sees what a cell gives within the compiled loop
    reason = "nothing that comes out" if on_jax else "has 32 channels, and 8 come out"
    with pytest.raises(sg.SelectionError, match=f"'lstm/cell/kernel':? {reason}"):
        sg.rewrite(tokens, rule)
    with pytest.raises(sg.SelectionError, match="activation ranks channels, not elements"):
        sg.elements(2, by=by)


def test_the_layer_with_the_largest_relative_gradient_is_first():
    x = start = keras.Input((4,))
    for number, name in enumerate("abc"):
        x = layers.Dense(4, name=name, kernel_initializer=keras.initializers.Identity(10.0 ** (number % 2)))(
            x
        )
    model = keras.Model(start, x)
    ranked = sg.rank_layers(model, sg.relative_gradient_norm((X, X), loss="mse", verbose=0))
    assert [path for path, _ in ranked][-1] == "b"
    tuned = sg.rewrite(model, [sg.freeze("**"), sg.train(ranked[0][0])])
    assert {v.path.split("/")[0] for v in tuned.trainable_variables} == {ranked[0][0]}


def test_data_may_come_with_the_plan_instead_of_the_rule():
    model = linear()
    plan = sg.plan(model, sg.train("d", kernel=sg.elements(3, by="fisher")))
    assert plan.trainable_after == 3
    again = sg.Plan.from_json(plan.to_json())
    with pytest.raises(sg.SelectionError, match=r"by='?.*fisher.*looks at data, and there are none: .*data="):
        again.apply(model)
    tuned = again.apply(model, data=(X, Y))
    expected = np.sort(np.argsort(-by_hand("fisher").reshape(-1))[:3])
    assert tuned.get_layer("d").kernel.part.index.tolist() == expected.tolist()
    same = sg.rewrite(model, sg.train("d", kernel=sg.elements(3, by="fisher")), data=(X, Y))
    assert same.get_layer("d").kernel.part == tuned.get_layer("d").kernel.part


def test_options_are_written_down_and_read():
    rule = sg.train(
        "d", kernel=sg.elements(3, by=sg.fisher((X, Y), samples=4, loss="mae"), over="model", keep=0.5)
    )
    data = rules_to_data([rule])
    assert data[0]["kernel"] == {
        "elements": 3,
        "by": "fisher",
        "samples": 4,
        "loss": "mae",
        "over": "model",
        "keep": 0.5,
    }
    (again,) = rules_from_data(data)
    assert isinstance(again, TrainabilityRule)
    assert again.selections["kernel"] == sg.elements(
        3, by=sg.fisher(samples=4, loss="mae"), over="model", keep=0.5
    )


def mean_of_outputs(y_true, y_pred):
    return ops.mean((y_pred - y_true) ** 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sg.elements(3, by="fischer"), "no criterion 'fischer'; close: 'fisher'"),
        (lambda: sg.elements(3, by=BY["fisher"]), r"write by=fisher\(data\)"),
        (lambda: sg.fisher((X, Y), samples=0), "samples is a whole number from 1 up, not 0"),
        (lambda: sg.fisher("mnist"), "data are what `fit` takes"),
        (lambda: sg.elements(3, by="magnitude", over=cast("Any", "modle")), "over is .*close: 'model'"),
        (lambda: sg.elements(3, by="magnitude", keep=2), "keep is a fraction from 0 to 1, not 2"),
        (lambda: sg.elements([3], over="model"), "over='model' belongs to a count or a fraction"),
        (lambda: sg.elements(3, by=sg.snip(loss=mean_of_outputs)).to_data(), "its loss is Python code"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(sg.SelectionError, match=message):
        make()


def test_no_loss_no_data_and_no_number_are_errors():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="d")])
    with pytest.raises(
        sg.SelectionError, match=r"needs a loss: compile 'sequential.*' first, or write by=snip"
    ):
        sg.rewrite(model, sg.train("d", kernel=sg.elements(3, by=sg.snip((X, Y)))))
    with pytest.raises(sg.SelectionError, match="are NaN: the loss on these data is not a number"):
        sg.rewrite(linear(), sg.train("d", kernel=sg.elements(3, by=sg.snip((X * np.nan, Y), verbose=0))))
    tuned = sg.rewrite(
        linear(), sg.train("d", kernel=sg.elements(3, by=sg.snip((X, Y), loss=mean_of_outputs, verbose=0)))
    )
    assert tuned.get_layer("d").kernel.part.size == 3


@pytest.mark.parametrize("samples", [3, 4, 5, 10, 256])
def test_the_line_of_the_progress_ends_with_what_was_wanted_of_the_data(capsys, samples):
    keras.config.enable_interactive_logging()
    data = (np.ones((10, 4), "float32"), np.ones((10, 2), "float32"))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
    model.compile("sgd", "mse")
    by = sg.fisher(data, samples=samples, batch_size=4, verbose=1)
    sg.rewrite(model, sg.train("d", kernel=sg.elements(0.5, by=by)))
    shown = capsys.readouterr().out
    assert "fisher batch" in shown
    assert shown.endswith("\n")
