"""Curves of a run: what the history says is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

import surgeon as sg
from surgeon.errors import RenderError
from surgeon.plots import plot_training
from tests import zoo


def lines(figure):
    return {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}


def test_a_run_of_a_schedule():
    model = zoo.mlp()
    model.compile("adam", "mse")
    schedule = sg.gradual_unfreezing(["head", "dense_2"], epochs=2)
    x, y = np.ones((8, 6)), np.ones((8, 3))
    history = model.fit(x, y, validation_data=(x, y), epochs=4, callbacks=[schedule.callback()], verbose=0)
    head, hidden = 8 * 3 + 3, 8 * 8 + 8
    assert history.history["trainable"] == [head, head, head + hidden, head + hidden]
    figure = plot_training(history, schedule=schedule)
    assert lines(figure)["loss"] == history.history["loss"]
    assert lines(figure)["val_loss"] == history.history["val_loss"]
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights == history.history["trainable"]
    (border,) = (line for line in figure.axes[0].lines if line.get_linestyle() == ":")
    assert list(border.get_xdata()) == [2, 2]
    assert figure.axes[0].get_title(loc="left") == "4 epochs, 2 phases"


def test_a_part_that_trains_is_counted_by_its_elements():
    model = sg.rewrite(zoo.mlp(), [sg.freeze("*"), sg.train("head", kernel=sg.channels([0]))])
    model.compile("sgd", "mse")
    callback = sg.Schedule([sg.Phase(sg.freeze("dense_1"))]).callback()
    history = model.fit(np.ones((8, 6)), np.ones((8, 3)), callbacks=[callback], verbose=0)
    assert history.history["trainable"] == [8]


def test_other_metrics_and_runs_without_a_schedule():
    figure = plot_training({"loss": [1, 2], "mae": [3.0, 4.0]}, metrics=["mae"])
    assert lines(figure) == {"mae": [3.0, 4.0]}
    assert len(figure.axes) == 1
    assert len(plot_training({"loss": []}).axes) == 1
    with pytest.raises(RenderError, match="no metric 'los'; close: 'loss'"):
        plot_training({"loss": [1.0]}, metrics=["los"])


def test_saving(tmp_path):
    for name in ("one.svg", "other.svg"):
        plot_training({"loss": [1, 2], "trainable": [3, 4]}, tmp_path / name, theme="dark")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()
