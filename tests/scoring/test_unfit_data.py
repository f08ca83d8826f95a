"""What is said of data that do not fit the model, of losses that are none, and of scores that say nothing."""

from __future__ import annotations

from typing import Any, cast

import keras
import numpy as np
import pytest
from keras import layers, ops

import surgeon as sg
from surgeon.scoring import Scorer
from surgeon.scoring.looking import gist

X = np.random.default_rng(5).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3
ONE_HOT = np.eye(3, dtype="float32")[Y]


def model_of(**head):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu", name="hidden"),
            layers.Dense(3, name="head", **head),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def chosen(by, weight="kernel", model=None):
    selection = sg.channels(2, by=by) if by.name == "activation" else sg.elements(2, by=by)
    rules = [sg.freeze("**"), sg.train("hidden", **cast("Any", {weight: selection}))]
    return sg.rewrite(model or model_of(), rules)


def test_data_with_a_nan_rank_nothing():
    by = sg.fisher((np.where(np.arange(12)[:, None] == 3, np.nan, X).astype("float32"), Y), verbose=0)
    with pytest.raises(sg.SelectionError, match=r"by=fisher.*20 of the 20 scores of 'hidden/kernel' are NaN"):
        chosen(by)
    with pytest.raises(
        sg.SelectionError, match=r"rank_layers\(.*by=fisher.*20 of the 20 scores of 'hidden/kernel' are NaN"
    ):
        sg.rank_layers(model_of(), by)


def steep(y_true, y_pred):
    """A loss of 0, whose gradient is NaN."""
    return ops.sqrt(ops.mean(y_pred * 0))


def test_scores_that_are_nan_have_no_order_where_the_loss_is_a_number():
    by = sg.gradient((X, ONE_HOT), loss=steep, verbose=0)
    with pytest.raises(sg.SelectionError, match=r"by=gradient.*the 20 scores of 'hidden/kernel' are NaN"):
        chosen(by)
    with pytest.raises(
        sg.SelectionError, match=r"rank_layers.*by=gradient.*the 20 scores of 'hidden/kernel' are NaN"
    ):
        sg.rank_layers(model_of(), by)


def test_layers_whose_scores_have_no_mean_are_not_ranked(monkeypatch):
    both = np.array([np.inf, -np.inf])
    monkeypatch.setattr(Scorer, "scores", lambda *args, **options: both)
    with pytest.raises(
        sg.SelectionError, match=r"rank_layers.*by=movement.*'hidden' are infinite, some minus"
    ):
        sg.rank_layers(model_of(), sg.movement((X, Y)))
    monkeypatch.setattr(Scorer, "scores", lambda *args, **options: abs(both))
    assert sg.rank_layers(model_of(), sg.movement((X, Y)))[0] == ("hidden", np.inf)


def test_a_weight_without_a_signal_is_warned_of_once():
    by = sg.fisher((X, Y), verbose=0)
    zero = model_of(kernel_initializer="zeros")
    rules = [sg.freeze("**"), sg.train("hidden", kernel=sg.elements(2, by=by), bias=sg.elements(2, by=by))]
    with pytest.warns(UserWarning, match="fisher saw no signal at 'hidden/kernel', 'hidden/bias': ") as found:
        tuned = sg.rewrite(zero, rules)
    assert len([one for one in found if one.category is UserWarning]) == 1
    assert tuned.get_layer("hidden").kernel.part.index.tolist() == [0, 1]


def test_no_more_than_three_weights_without_a_signal_are_named():
    by = sg.fisher((X, Y), verbose=0)
    start = x = keras.Input((4,))
    for name in "abcde":
        x = layers.Dense(4, use_bias=False, name=name)(x)
    model = keras.Model(start, layers.Dense(3, kernel_initializer="zeros", name="head")(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rule = sg.train("?", kernel=sg.elements(2, by=by))
    with pytest.warns(
        UserWarning, match="at 'a/kernel', 'b/kernel', 'c/kernel' and 2 more: all scores are 0"
    ):
        sg.rewrite(model, rule)


def test_some_scores_of_zero_are_no_reason_to_warn_and_a_ranking_shows_them():
    x = X * [1, 0, 0, 0]  # of the kernel, one row has a signal
    chosen(sg.fisher((x.astype("float32"), Y), verbose=0))  # here a warning is an error
    zero = model_of(kernel_initializer="zeros")
    assert sg.rank_layers(zero, sg.fisher((X, Y), verbose=0))[-1] == ("hidden", 0.0)


@pytest.mark.parametrize("by", [sg.fisher, sg.gradient, sg.activation])
def test_a_dataset_of_single_samples_is_to_be_batched(by):
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((X, ONE_HOT if by is sg.fisher else Y))
    message = rf"{by.__name__}: the dataset yields single samples: add \.batch\(32\)"
    with pytest.raises(sg.SelectionError, match=message):
        chosen(by(data, verbose=0))
    assert chosen(
        by(data.batch(4), loss="categorical_crossentropy") if by is sg.fisher else by(data.batch(4))
    )


def test_other_data_of_single_samples_are_named_too():
    with pytest.raises(sg.SelectionError, match="gradient: the data yield single samples, and batches of"):
        chosen(sg.gradient(((x, y) for x, y in zip(X, Y, strict=True)), verbose=0))


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")  # of Keras
@pytest.mark.parametrize(
    "data", [X, [X, Y], [(X, Y)], {"x": X, "y": Y}], ids=["x", "list", "list of a pair", "dict"]
)
def test_data_without_targets_are_to_be_given_with_them(data):
    with pytest.raises(sg.SelectionError, match=r"snip: these data have no targets.*give \(x, y\)") as found:
        sg.rank_layers(model_of(), sg.snip(data, verbose=0))
    assert found.value.__cause__ is not None  # what Keras says of it


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((Y, X), r"movement: the targets have the shape of the inputs: give \(x, y\), not \(y, x\)"),
        ((X[:, :3], Y), r"movement: the model cannot be trained on these data: .*shape.*3\)?$"),
        ((X, ONE_HOT), r"movement: the model cannot be trained on these data: Argument[^\n]*target[^\n]*$"),
    ],
    ids=["swapped", "other shape", "one-hot"],
)
def test_data_that_do_not_fit_are_refused_in_a_line(data, message):
    with pytest.raises(sg.SelectionError, match=message) as found:
        sg.rank_layers(model_of(), sg.movement(data, verbose=0))
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 450


def test_activation_needs_no_targets_so_the_model_is_called():
    by = sg.activation(np.ones((12, 2), "float32"), verbose=0)
    with pytest.raises(
        sg.SelectionError, match="activation: the model cannot be called on these data: Input"
    ):
        sg.rank_layers(model_of(), by)


def test_the_gist_of_a_message_is_its_bold_part_or_last_line():
    bold = "Exception\n\n\x1b[1mShapes differ:\n  (3,)\x1b[0m\n\nArguments received by Dense.call(): ..."
    assert gist(bold) == "Shapes differ: (3,)"
    assert gist("Detected at node\n\nReceived a label of 7.\n\t [[{{node loss}}]] [Op:call]") == (
        "Received a label of 7."
    )
    long = gist("Invalid input " + "0. " * 1000 + "expected (None, 4)")
    assert len(long) < 300
    assert long.startswith("Invalid input 0.")
    assert long.endswith("expected (None, 4)")
    assert gist("") == ""


def test_what_goes_wrong_in_reading_the_data_stays_as_it_is():
    def broken():
        yield X[:4], Y[:4]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match=r"^the disk is gone$"):
        chosen(sg.gradient(broken(), batches=3, verbose=0))


@pytest.mark.parametrize("make", [sg.fisher, sg.gradient, sg.snip, sg.movement, sg.relative_gradient_norm])
def test_a_loss_that_keras_does_not_have_is_refused_before_data_are_read(make):
    """And not sooner: a loss of somebody's own may be registered once the rules are there."""

    def unread():
        raise AssertionError
        yield

    for typed, close in (("msee", "'mse'"), ("hubr", "'huber'")):
        with pytest.raises(sg.SelectionError, match=rf"{make.__name__}\(.*no loss '{typed}'; close: {close}"):
            chosen(make(unread(), loss=typed, verbose=0))


@pytest.mark.parametrize("make", [sg.fisher, sg.activation])
def test_data_are_one_argument(make):
    message = rf"takes data as one argument: write {make.__name__}\(\(x, y\)\)"
    with pytest.raises(sg.SelectionError, match=message):
        cast("Any", make)(X, Y)
