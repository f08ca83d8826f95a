"""What `docs/schedules.md` says of a schedule beside other callbacks."""

from __future__ import annotations

import keras
import pytest

import surgeon as sg
from tests.helpers import to_numpy
from tests.schedules.test_schedules import StopError, X, Y, make

BEGINS = sg.Schedule(
    [sg.Phase([sg.freeze("**"), sg.train("head")], epochs=1), sg.Phase(sg.train("b"), epochs=2)]
)


def fit(model, *callbacks):
    return model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[*callbacks])


def test_what_comes_after_it_sees_the_phase_and_how_much_trains():
    model, begun, logged = make(), [], []
    history = fit(
        model,
        BEGINS.callback(),
        keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: begun.append(len(model.trainable_variables)),
            on_epoch_end=lambda epoch, logs: logged.append(logs["trainable"]),
        ),
    )
    assert begun == [2, 4, 4]
    assert logged == history.history["trainable"] == [14, 56, 56]


@pytest.mark.parametrize("is_before, rate", [(True, 0.5), (False, 0.01)])
def test_a_backup_has_the_learning_rate_that_a_callback_before_it_set(is_before, rate, tmp_path):
    def slow_down(model):
        def end(epoch, logs):
            if epoch == 1:
                model.optimizer.learning_rate = 0.5

        return keras.callbacks.LambdaCallback(on_epoch_end=end)

    def crash(epoch, logs):
        if epoch == 2:
            raise StopError

    stopped, resumed, rates = make(), make(), []
    pair = [slow_down(stopped), BEGINS.callback(backup=tmp_path / "run")]
    with pytest.raises(StopError):
        fit(
            stopped,
            *(pair if is_before else pair[::-1]),
            keras.callbacks.LambdaCallback(on_epoch_begin=crash),
        )
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: rates.append(float(to_numpy(resumed.optimizer.learning_rate)))
    )
    fit(resumed, BEGINS.callback(backup=tmp_path / "run"), note)
    assert rates == pytest.approx([rate])


def test_early_stopping_ends_the_run_and_its_backup(tmp_path):
    model, file = make(), tmp_path / "run"
    there = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: there.append(file.exists()))
    impatient = keras.callbacks.EarlyStopping("trainable", mode="min", patience=1)
    history = fit(model, BEGINS.callback(backup=file), note, impatient)
    assert history.epoch == [0, 1]
    assert there == [True, True]
    assert not file.exists()
