"""A schedule on a model that did not live through its first phases: nothing trains that it froze."""

from __future__ import annotations

import math
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import assert_same_weights, to_numpy

X = np.random.default_rng(0).random((16, 8), dtype="float32")
Y = X[:, :2]

SCHEDULES = {
    "unfreezing": lambda: sg.gradual_unfreezing(["head", "b", "a"]),
    "sampling": lambda: sg.layer_sampling(["a", "b"], count=1, phases=3),
    "growth at random": lambda: sg.budget_growth(
        "**", "kernel", amounts=[0.1, 0.2, 0.3], by="random", over="weight"
    ),
    "long phases": lambda: sg.Schedule([sg.Phase([sg.freeze("**"), sg.train("head")], epochs=3)]),
}
BY_VALUES = lambda: sg.budget_growth("**", "kernel", amounts=[0.1, 0.2, 0.3], by="magnitude")  # noqa: E731


def make():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)), layers.Dense(16, name="a"), layers.BatchNormalization(name="bn"),
            layers.Dense(8, name="b"), layers.Dense(2, name="head"),
        ]
    )  # fmt: skip
    model.compile("adam", "mse")
    return model


def fit(model, schedule, *others, first=0, last=3):
    """Return how many parameters trained in each epoch."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fit ends after")
        warnings.filterwarnings("ignore", message="Skipping variable loading")
        run = model.fit(
            X,
            Y,
            epochs=last,
            initial_epoch=first,
            shuffle=False,
            verbose=0,
            callbacks=[schedule.callback(), *others],
        )
    return run.history["trainable"]


@pytest.fixture(name="whole", params=SCHEDULES)
def _whole(request):
    model = make()
    return SCHEDULES[request.param], fit(model, SCHEDULES[request.param]())


def test_another_first_epoch(whole):
    schedule, trained = whole
    model = make()
    before = dict(_weights(model))
    assert fit(model, schedule(), first=1) == trained[1:]
    still = [path for path, value in _weights(model) if np.array_equal(before[path], value)]
    assert {"bn/gamma", "bn/moving_mean"} <= set(still)
    assert len(still) < len(before)


def _weights(model):
    return [
        (f"{layer.name}/{v.name}", np.array(to_numpy(v)))
        for layer in model.layers
        for v in layer.weights
        if "trainable" not in v.path
    ]


def test_the_same_model_goes_on(whole):
    schedule, trained = whole
    model = make()
    assert fit(model, schedule(), last=1) == trained[:1]
    assert fit(model, schedule(), first=1) == trained[1:]


class StopAt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def stopped(schedule, folder):
    """Return a new model, where a run beside Keras's own backup was stopped."""
    backup = keras.callbacks.BackupAndRestore(folder)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), schedule, backup, StopAt())
    return make()


def test_beside_the_backup_of_keras(whole, tmp_path):
    schedule, trained = whole
    model = stopped(schedule(), tmp_path)
    assert fit(model, schedule(), keras.callbacks.BackupAndRestore(tmp_path)) == trained[1:]


def test_what_values_chose_is_not_chosen_again(tmp_path):
    model = stopped(BY_VALUES(), tmp_path)
    with pytest.raises(sg.errors.RuleError, match=r"Go on with schedule\.callback\(backup=\.\.\.\)"):
        fit(model, BY_VALUES(), keras.callbacks.BackupAndRestore(tmp_path))
    assert len(model.trainable_variables) == len(make().trainable_variables)


def test_nor_what_a_predicate_did():
    few = sg.where(lambda node: node.config.get("units", 99) < 10)
    schedule = sg.Schedule([sg.Phase(sg.freeze(few)), sg.Phase(sg.freeze("a", "bias"))])
    with pytest.raises(sg.errors.RuleError, match="chose by values or by a predicate"):
        fit(make(), schedule, first=1, last=2)
    model = make()
    sg.adjust(model, sg.freeze(few))
    with pytest.warns(UserWarning, match="what trains now is taken for what they chose"):
        assert fit(model, schedule, first=1, last=2) == fit(make(), schedule, last=2)[1:]


def test_nor_statistics_that_a_predicate_held():
    held = sg.freeze(sg.where(lambda node: node.class_name == "BatchNormalization"), "gamma", stats=True)
    schedule = sg.Schedule([sg.Phase(held), sg.Phase(sg.freeze("a"))])
    model = sg.rewrite(make(), sg.freeze("bn", "gamma"))
    model.compile("adam", "mse")
    with pytest.raises(
        sg.errors.RuleError, match=r"training and 'bn/moving_mean', 'bn/moving_variance' still"
    ):
        fit(model, schedule, first=1, last=2)


def test_what_was_frozen_for_another_reason_is_not_taken_for_it():
    model = sg.rewrite(make(), sg.freeze("a", kernel=sg.channels([0])))
    with pytest.raises(sg.errors.RuleError, match="chose by values"):
        fit(model, BY_VALUES(), first=1)


ALL_BY_THEN = lambda: sg.Schedule(  # noqa: E731
    [sg.Phase(sg.train("a", kernel=sg.elements(5, by="magnitude"))), sg.Phase(sg.train("a"), epochs=2)]
)


@pytest.mark.parametrize("make_schedule", [*SCHEDULES.values(), BY_VALUES, ALL_BY_THEN])
def test_a_model_that_lived_through_them_goes_on(make_schedule, tmp_path):
    """Bit for bit, from a file: nothing is carried out once more, and no slot is lost."""
    whole, model = make(), make()
    trained = fit(whole, make_schedule())
    fit(model, make_schedule(), last=2)
    model.save(tmp_path / "m.keras")
    model = keras.saving.load_model(tmp_path / "m.keras")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert fit(model, make_schedule(), first=2) == trained[2:]
    said = [str(each.message) for each in told if "fit begins" in str(each.message)]
    assert len(said) == (make_schedule in (BY_VALUES, SCHEDULES["growth at random"]))
    assert all("what trains now is taken for what they chose" in text for text in said)
    assert_same_weights(dict(_weights(whole)), dict(_weights(model)))


def test_the_same_model_may_go_back_an_epoch():
    """As in `initial_epoch=history.epoch[-1]`, which counts one too few."""
    model = make()
    fit(model, ALL_BY_THEN(), last=2)
    optimizer, steps = model.optimizer, int(to_numpy(model.optimizer.iterations))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="fit begins")
        fit(model, ALL_BY_THEN(), first=1, last=2)
    assert int(to_numpy(model.optimizer.iterations)) == steps + 1
    assert model.optimizer is optimizer


def test_what_was_frozen_since_stays_so():
    schedule = sg.Schedule([sg.Phase([sg.freeze("**"), sg.train("head")], epochs=2), sg.Phase(sg.train("b"))])
    model = make()
    fit(model, schedule, last=2)
    model = sg.rewrite(model, sg.freeze("head"))
    before = dict(_weights(model))
    with pytest.warns(UserWarning, match=r"would train 'head/.*which is frozen here and stays so"):
        assert fit(model, schedule, first=2) == [16 * 8 + 8]
    moved = [path for path, value in _weights(model) if not np.array_equal(before[path], value)]
    assert moved == ["b/kernel", "b/bias"]


def test_what_is_frozen_does_not_come_free_beside_what_freezes():
    schedule = sg.Schedule([sg.Phase([sg.freeze("**"), sg.train("head")]), sg.Phase(sg.train("b"))])
    model = sg.rewrite(make(), sg.freeze("head"))
    with pytest.raises(sg.errors.RuleError, match=r"would freeze 'a/kernel'.*train 'head/kernel'"):
        fit(model, schedule, first=1, last=2)


def test_two_schedules_at_once():
    """Each knows of its own phases: none is carried out again in the midst of a run."""
    one = sg.Schedule([sg.Phase([sg.freeze("**"), sg.train("head")]), sg.Phase(sg.train("a"), epochs=2)])
    two = sg.Schedule([sg.Phase(sg.train("b", kernel=sg.channels([0])), epochs=2), sg.Phase(sg.train("b"))])
    model, by_hand = make(), make()
    trained = fit(model, one, two.callback())
    for rules in ([*one.phases[0].rules, *two.phases[0].rules], one.phases[1].rules, two.phases[1].rules):
        sg.adjust(by_hand, rules)
        by_hand.fit(X, Y, shuffle=False, verbose=0)
        assert trained.pop(0) == sum(math.prod(v.shape) for v in by_hand.trainable_variables)
    assert not trained
    assert_same_weights(dict(_weights(model)), dict(_weights(by_hand)))


def test_schedules_of_other_masks_are_others():
    masks = np.eye(8, dtype=bool), np.eye(8, dtype=bool)[::-1]
    one, other = (sg.Schedule([sg.Phase(sg.train("d", kernel=sg.elements(mask)))]) for mask in masks)
    assert str(one) == str(other)
    assert one.digest != other.digest


def test_phases_that_do_not_begin_are_told():
    model, schedule = make(), SCHEDULES["unfreezing"]()
    with pytest.warns(UserWarning, match="fit ends after 2 epochs, and the schedule has 3"):
        model.fit(X, Y, epochs=2, callbacks=[schedule.callback()], verbose=0)


def fit_with_the_schedule():
    make().fit(X, Y, callbacks=[SCHEDULES["unfreezing"]()], verbose=0)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: sg.Schedule(sg.Phase(sg.freeze("a"))), r"write Schedule\(\[Phase\("),  # type: ignore[arg-type]
        (lambda: sg.budget_growth("**", "kernel", amounts=0.1, by="random"), "amounts is a list"),  # type: ignore[arg-type]
        (lambda: sg.layer_sampling(["*"], count=1, phases=3), "count=1 of 1 is no draw"),
        (fit_with_the_schedule, r"write callbacks=\[schedule\.callback\(\)\]"),
    ],
    ids=["a phase", "a number", "nothing to draw", "no callback"],
)
def test_what_is_easily_mistaken(act, message):
    with pytest.raises(sg.errors.RuleError, match=message):
        act()


def test_a_loop_of_ones_own_may_call_it():
    model, callback = make(), SCHEDULES["unfreezing"]().callback()
    callback.set_model(model)
    callback.on_train_begin()
    counts = []
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        counts.append(len(model.trainable_variables))
    assert counts == [2, 4, 6]
