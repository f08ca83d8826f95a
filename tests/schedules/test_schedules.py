"""What trains of a live model is what a phase says; a stopped run goes on as if it had not been."""

from __future__ import annotations

from typing import Any, cast

import keras
import numpy as np
import pytest
from keras import layers
from safetensors.numpy import save_file

import surgeon as sg
from surgeon.schedules.backup import read_backup, write_backup
from tests.helpers import assert_moved, assert_same_weights, assert_unmoved, same_bits, to_numpy, weights_of
from tests.zoo import jitter

RNG = np.random.default_rng(5)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")


def make(optimizer=None, *, eager=True):
    """Two hidden layers of one shape, Dropout and BatchNormalization between them, and a head.

    Eager, unless the trace is what is looked at: for a handful of steps, tracing costs ten times as much.
    """
    keras.utils.set_random_seed(1)
    x = start = keras.Input((6,), name="x")
    for name in ("a", "b"):
        x = layers.Dense(6, activation="tanh", name=name)(x)
        x = layers.Dropout(0.2, seed=3, name=f"drop_{name}")(x)
    x = layers.BatchNormalization(name="bn")(x)
    model = jitter(keras.Model(start, layers.Dense(2, name="head")(x), name="small"))
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse", run_eagerly=eager)
    return model


def by_gradient():
    return sg.gradient((X, Y), batch_size=16, verbose=0)


SCHEDULES = {
    "regrowth": lambda: sg.regrowth("**", "kernel", amount=0.2, phases=4, by=by_gradient(), epochs=2),
    "growth": lambda: sg.budget_growth(
        "**", "kernel", "bias", amounts=[0.1, 0.2, 0.4, 0.5], by="magnitude", epochs=2
    ),
    "unfreezing": lambda: sg.gradual_unfreezing(["head", "bn", "b", "a"], epochs=2),
    "sampling": lambda: sg.layer_sampling(["a", "b"], count=1, phases=4, always=["head"], epochs=2, seed=4),
}


class StopError(Exception):
    """The machine went down."""


def fit(model, schedule, callback, *, stop_at=None):
    def stop(epoch, logs):
        if epoch == stop_at:
            raise StopError

    crash = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    return model.fit(
        X, Y, batch_size=8, epochs=schedule.epochs, shuffle=False, verbose=0, callbacks=[callback, crash]
    )


def everything(model):
    """All weights and all that the optimizer remembers."""
    slots = {str(number): to_numpy(v) for number, v in enumerate(model.optimizer.variables)}
    return weights_of(model) | slots


@pytest.mark.parametrize(
    "name, eager",
    [
        ("regrowth", False),
        ("unfreezing", True),
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in SCHEDULES if name != "regrowth"),
    ],
)
def test_a_run_that_was_stopped_in_its_third_phase_ends_as_if_it_had_not_been(name, eager, tmp_path):
    schedule, file = SCHEDULES[name](), tmp_path / "run.safetensors"
    whole = make(eager=eager)
    fit(whole, schedule, schedule.callback(backup=file))
    assert not file.exists()
    stopped = make(eager=eager)
    with pytest.raises(StopError):
        fit(stopped, schedule, schedule.callback(backup=file), stop_at=5)
    assert file.exists()
    keras.backend.clear_session()
    resumed, again = make(eager=eager), SCHEDULES[name]()
    history = fit(resumed, again, again.callback(backup=file))
    assert history.epoch == [5, 6, 7]
    assert_same_weights(everything(whole), everything(resumed))
    assert_moved(weights_of(make()), weights_of(sg.restore(resumed)), ["head/kernel"])
    assert not file.exists()


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_is_frozen_in_a_phase_does_not_move_in_it(name):
    model = make(keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=1.0))
    sizes: list[int] = []
    masks: list[dict[str, Any]] = []
    for phase in SCHEDULES[name]().run(model):
        seal = None if len(model.trainable_variables) == 8 else sg.seal(model)
        before = {v.path: to_numpy(v) for v in model.trainable_variables}
        model.fit(X, Y, epochs=phase.epochs, verbose=0)
        if seal is not None:
            seal.verify(model)
        assert_moved(before, {v.path: to_numpy(v) for v in model.trainable_variables})
        sizes.append(sum(v.size for v in before.values()))
        masks.append({v.path: to_numpy(v) for v in model.non_trainable_variables if "index" in v.path})
    elements = 6 * 6 * 2 + 12
    expected = {
        "regrowth": [round(0.2 * elements)] * 4,
        "growth": [np.floor(f * (elements + 14) + 0.5) for f in (0.1, 0.2, 0.4, 0.5)],
        "unfreezing": [14, 26, 68, 110],
        "sampling": [56] * 4,
    }
    assert sizes == expected[name]
    if name == "regrowth":
        assert any(p not in masks[-1] or not same_bits(m, masks[-1][p]) for p, m in masks[0].items())


def test_layers_of_one_shape_take_turns():
    model, before, moved = make(eager=False), weights_of(make()), list[set[str]]()

    def look(epoch, logs):
        after = weights_of(sg.restore(model))
        moved.append({path for path in after if not same_bits(before[path], after[path])})
        before.update(after)

    schedule = sg.Schedule(
        [sg.Phase([sg.freeze("**"), sg.train(name, "kernel")]) for name in ("a", "b", "a")]
    )
    watch = keras.callbacks.LambdaCallback(on_epoch_end=look)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule.callback(), watch])
    assert moved == [{"a/kernel"}, {"b/kernel"}, {"a/kernel"}]


def test_one_fit_with_a_callback_is_the_same_as_a_loop():
    one, other, schedule = make(), make(), SCHEDULES["regrowth"]()
    fit(one, schedule, schedule.callback())
    for phase in schedule.run(other):
        other.fit(X, Y, batch_size=8, epochs=phase.epochs, shuffle=False, verbose=0)
    assert_same_weights(everything(one), everything(other))


def test_a_loop_goes_on_after_the_last_phase_that_ended(tmp_path):
    schedule, file = SCHEDULES["regrowth"](), tmp_path / "run"
    whole, stopped, resumed = make(), make(), make()
    for model in (whole, stopped):
        for number, phase in enumerate(schedule.run(model, backup=file)):
            if model is stopped and number == 2:
                break
            model.fit(X, Y, batch_size=8, epochs=phase.epochs, shuffle=False, verbose=0)
    phases = 0
    for phase in schedule.run(resumed, backup=file):
        resumed.fit(X, Y, batch_size=8, epochs=phase.epochs, shuffle=False, verbose=0)
        phases += 1
    assert phases == 2
    assert_same_weights(everything(whole), everything(resumed))


def momentum(model, path):
    """What Adam remembers of each element of a weight, spread over the weight; NaN where nothing."""
    layer, name = path.split("/")
    variable = getattr(model.get_layer(layer), name)
    compact = getattr(variable, "compact", variable)
    at = next(i for i, v in enumerate(model.trainable_variables) if v is compact)
    whole = np.full(variable.shape, np.nan, "float32")
    variable.part.put(whole, to_numpy(model.optimizer._momentums[at]))
    return whole, variable.part.to_mask()


@pytest.mark.parametrize("count", [12, 20])
def test_momentum_follows_each_element_that_goes_on_training(count):
    model = make()
    sg.adjust(model, [sg.freeze("**"), sg.train("a", kernel=sg.elements(12, by="random"))])
    model.fit(X, Y, epochs=2, verbose=0)
    before, trained = momentum(model, "a/kernel")
    weights, iterations = weights_of(sg.restore(model)), int(model.optimizer.iterations)
    variables = [id(v) for v in model.trainable_variables]
    sg.adjust(model, sg.train("a", kernel=sg.elements(count, by="magnitude", keep=0.5)))
    after, trains = momentum(model, "a/kernel")
    both = trained & trains
    assert both.sum() >= 6
    assert np.array_equal(after[both], before[both])
    assert np.abs(after[both]).min() > 0
    assert not after[trains & ~trained].any()
    assert int(model.optimizer.iterations) == iterations
    assert_same_weights(weights, weights_of(sg.restore(model)))
    # As many elements as before need no new variable, and so no new trace.
    assert ([id(v) for v in model.trainable_variables] == variables) == (count == 12)


def test_what_begins_to_train_begins_as_the_optimizer_begins():
    model = make(keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.1, use_ema=True))
    sg.adjust(model, [sg.freeze("**"), sg.train("a", kernel=sg.channels([0, 1]))])
    model.fit(X, Y, epochs=1, verbose=0)
    averaged = to_numpy(model.optimizer._model_variables_moving_average[0])
    sg.adjust(model, sg.train("a", kernel=sg.channels([1, 2])))
    accumulator = to_numpy(model.optimizer._accumulators[0])
    average = to_numpy(model.optimizer._model_variables_moving_average[0])
    assert (accumulator[:, 0] > 0.1).all()
    assert (accumulator[:, 1] == np.float32(0.1)).all()
    kernel = to_numpy(model.get_layer("a").kernel)
    assert np.array_equal(average[:, 1], kernel[:, 2])
    assert np.array_equal(average[:, 0], averaged[:, 1])


def test_an_adjusted_model_saves_loads_and_restores(tmp_path):
    model = make()
    for phase in SCHEDULES["growth"]().run(model):
        model.fit(X, Y, epochs=phase.epochs, verbose=0)
    sg.adjust(model, [sg.train("head"), sg.freeze("bn")])
    seal, x = sg.seal(model), X
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    seal.verify(loaded)
    assert [v.shape for v in loaded.trainable_variables] == [v.shape for v in model.trainable_variables]
    plain = sg.restore(loaded)
    assert np.array_equal(to_numpy(plain(x)), to_numpy(model(x)))
    assert type(plain.get_layer("a")) is layers.Dense
    sg.adjust(model, sg.train("**"))
    assert len(model.trainable_variables) == 8
    before = weights_of(model)
    model.fit(X, Y, verbose=0)
    assert_moved(before, weights_of(model), [v.path for v in model.trainable_variables])
    sg.adjust(model, sg.freeze("**"))
    before = weights_of(model)
    model.evaluate(X, Y, verbose=0)
    assert_unmoved(before, weights_of(model))
    assert not model.trainable_variables


def test_backups_of_something_else_are_refused(tmp_path):
    schedule, file = SCHEDULES["regrowth"](), tmp_path / "run"
    model = make()
    with pytest.raises(StopError):
        fit(model, schedule, schedule.callback(backup=file), stop_at=3)
    other = SCHEDULES["growth"]()
    with pytest.raises(sg.RuleError, match="run is of another schedule: remove it to begin anew"):
        fit(make(), other, other.callback(backup=file))
    with pytest.raises(sg.RuleError, match=r"of another model, or another optimizer: '.*' is in one of them"):
        fit(make("sgd"), schedule, schedule.callback(backup=file))
    small = keras.Sequential([keras.Input((6,)), layers.Dense(2, name="c")])
    small.compile("adam", "mse")
    with pytest.raises(sg.RuleError, match="of another model: it has"):
        fit(small, schedule, schedule.callback(backup=file))
    save_file({"x": np.zeros(1)}, other_file := tmp_path / "weights", {"format": "pt"})
    with pytest.raises(sg.RuleError, match="weights is no backup of format 2: remove it to begin anew"):
        fit(make(), schedule, schedule.callback(backup=other_file))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(sg.RuleError, match="run is damaged"):
        fit(make(), schedule, schedule.callback(backup=file))


def test_the_best_weights_come_back_in_another_phase_than_theirs():
    """They are held as a list; by then other elements train."""
    model, kept = make(), dict[int, Any]()

    def keep(epoch, logs):
        logs["order"] = -epoch  # the first epoch is the best
        kept[epoch] = weights_of(sg.restore(model))

    schedule = sg.regrowth("**", "kernel", amount=0.2, phases=3, by="random", drop=0.9, over="weight")
    best = keras.callbacks.EarlyStopping("order", mode="max", patience=9, restore_best_weights=True)
    watch = keras.callbacks.LambdaCallback(on_epoch_end=keep)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule.callback(), watch, best])
    assert best.best_epoch == 0
    assert_same_weights(kept[0], weights_of(sg.restore(model)))


OTHER_SIZES = {
    "more of a weight": [sg.train("a", kernel=sg.channels([0])), sg.train("a", kernel=sg.channels([0, 1]))],
    "all of it": [sg.train("a", kernel=sg.elements(4, by="random")), sg.train("a")],
    "a weight of the same shape": [
        [sg.train("bn"), sg.train("bn", gamma=sg.channels([0]))],
        [sg.train("bn"), sg.train("bn", beta=sg.channels([0]))],
    ],
}


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.parametrize("phases", OTHER_SIZES.values(), ids=OTHER_SIZES)
def test_a_file_of_the_best_weights_fits_the_stock_model_whatever_trained(phases, tmp_path):
    """Lists of weights do not: their form follows what trains."""
    model, kept = make(), dict[int, Any]()
    sg.adjust(model, sg.freeze("**"))

    def keep(epoch, logs):
        logs["order"] = -epoch
        kept[epoch] = weights_of(sg.restore(model))

    schedule, file = sg.Schedule([sg.Phase(rules) for rules in phases]), tmp_path / "best.weights.h5"
    best = keras.callbacks.ModelCheckpoint(
        file, "order", mode="max", save_best_only=True, save_weights_only=True
    )
    watch = keras.callbacks.LambdaCallback(on_epoch_end=keep)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[schedule.callback(), watch, best])
    assert any(not same_bits(kept[0][path], kept[1][path]) for path in kept[0])
    if phases is OTHER_SIZES["more of a weight"]:
        with pytest.raises(
            ValueError, match=r"trains 2 positions here, and 1 in the file: surgeon\.restore\("
        ):
            model.load_weights(file)
    plain = sg.restore(model)
    plain.load_weights(file)
    assert_same_weights(kept[0], weights_of(plain))


WRONG = {
    "a layer": (sg.train("haed"), sg.NoMatchError, "no layer matches 'haed'; close: 'head'"),
    "a weight": (sg.train("head", "kernal"), sg.WeightNameError, "no.* weight 'kernal'; close: 'kernel'"),
    "no weights": (sg.train("drop_a"), sg.NoMatchError, "matches only layers without weights: drop_a"),
    "a channel": (sg.train("head", kernel=sg.channels([2])), sg.SelectionError, "2 is outside 'head/kernel'"),
    "a count": (
        sg.freeze("head", kernel=sg.rows(7, by=by_gradient())),
        sg.SelectionError,
        "7 rows are too many for 'head/kernel'",
    ),
    "relative": (sg.train(sg.upstream_of("haed")), sg.NoMatchError, "'haed'"),
}


@pytest.mark.parametrize("way", ["check", "run", "fit"])
@pytest.mark.parametrize(("rule", "error", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_in_a_later_phase_is_told_before_the_first_begins(rule, error, message, way):
    model = make()
    schedule = sg.Schedule([sg.Phase(sg.freeze("a")), sg.Phase(sg.train("a")), sg.Phase(rule)])
    model.optimizer.build(model.trainable_variables)  # which some backends do before callbacks begin
    before = everything(model)
    begin = {
        "check": lambda: schedule.check(model),
        "run": lambda: next(schedule.run(model)),
        "fit": lambda: fit(model, schedule, schedule.callback()),
    }
    with pytest.raises(error, match=f"phase 3: .*{message}"):
        begin[way]()
    assert_same_weights(before, everything(model))
    assert len(model.trainable_variables) == 8  # nor did the first phase begin


def test_what_depends_on_how_a_phase_finds_the_model_is_told_when_it_begins():
    """A predicate may look at what trains by then."""
    loose = sg.where(lambda node: node.weights and not any(weight.trainable for weight in node.weights))
    schedule = sg.Schedule([sg.Phase(sg.freeze("a")), sg.Phase(sg.train(loose & sg.isa("Dense")))])
    model = make()
    counts = [len(model.trainable_variables) for _ in schedule.run(model)]
    assert counts == [6, 8]
    with pytest.raises(sg.NoMatchError):
        list(sg.Schedule([sg.Phase(sg.freeze("a")), sg.Phase(sg.train(loose & sg.name("z")))]).run(model))


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: sg.Schedule([]), sg.RuleError, "at least one phase"),
        (
            lambda: sg.Schedule([cast("Any", sg.freeze("a"))]),
            sg.RuleError,
            r"is no phase: write Phase\(",
        ),
        (lambda: sg.Phase(sg.freeze("a"), epochs=0), sg.RuleError, "from 1 up, not 0"),
        (lambda: sg.Phase(sg.replace("a", layers.ReLU())), sg.RuleError, "rewrite the model first"),
        (lambda: sg.layer_sampling(["a"], count=2, phases=1), sg.RuleError, "count is from 1 to 1"),
        (
            lambda: sg.regrowth("a", "kernel", amount=2, phases=1, by="random", drop=0),
            sg.RuleError,
            "drop is",
        ),
        (lambda: sg.budget_growth("a", amounts=[2], by="random"), sg.RuleError, "say of which weights"),
        (
            lambda: sg.budget_growth("a", "kernel", amounts=[0.1, 0.5, 0.2], by="random"),
            sg.RuleError,
            r"0.2 cannot follow on 0.5: write amounts=\[0.1, 0.2, 0.5\]",
        ),
        (lambda: sg.adjust(make(), sg.replace("a", layers.ReLU())), sg.PlanError, "use rewrite"),
        (lambda: sg.adjust(make(), sg.freeze("z")), sg.NoMatchError, "no layer matches 'z'"),
    ],
)
def test_nonsense_is_refused(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


def test_a_backup_knows_where_elements_were_when_their_selection_last_changed(tmp_path):
    model, other = make(), make()
    rules = [sg.freeze("**"), sg.train("a", kernel=sg.elements(12, by="random"))]
    sg.adjust(model, rules)
    model.fit(X, Y, verbose=0)
    write_backup(tmp_path / "run", model, "digest", 1)
    assert read_backup(tmp_path / "run", other, "digest") == 1
    assert_same_weights(everything(model), everything(other))
    starts = [one.get_layer("a").kernel.started() for one in (model, other)]
    assert same_bits(*starts)
    assert (starts[0] != to_numpy(model.get_layer("a").kernel)).sum() == 12
