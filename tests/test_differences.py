"""What differs between two models: nothing is missed, and nothing is said twice."""

from __future__ import annotations

import json

import keras
import numpy as np
from hypothesis import given, settings
from keras import layers

import surgeon as sg
from tests import zoo
from tests.strategies import build, recipes


@given(recipes())
@settings(max_examples=8)
def test_a_model_does_not_differ_from_its_copy(recipe):
    model = build(recipe)
    difference = sg.diff(model, sg.rewrite(model, []))
    assert not difference, str(difference)


def test_each_kind_of_difference_has_its_line(tmp_path):
    model = zoo.cnn()
    tuned = sg.rewrite(
        model,
        [
            sg.freeze("conv_1"),
            sg.insert_after("pool_1", layers.Dropout(0.5, name="drop")),
            sg.remove("relu_2"),
            sg.rename("hidden", "trunk"),
            sg.configure("conv_2", activation="gelu"),
            sg.replace("predictions", layers.Dense(7)),
        ],
    )
    beta = tuned.get_layer("bn_1").beta
    beta.assign(beta + np.array([0, 0, 0.5, 0, 0, 0], "float32"))
    difference = sg.diff(model, tuned)
    lines = str(difference).splitlines()
    for line in (
        "+ drop",
        "- relu_2",
        "~ hidden: is now called trunk",
        "~ conv_2: activation 'linear' → 'gelu'",
        "~ predictions: units 4 → 7",
        "~ predictions/kernel: shape (10, 4) → (10, 7)",
        "> conv_2: reads drop, before pool_1",
        "> pool_2: reads bn_2, before relu_2",
        "  conv_1/kernel: 162 → 0 train, less than before",
    ):
        assert line in lines, str(difference)
    assert [(r.path, r.moved, r.size, round(r.largest, 3)) for r in difference.retrained] == [
        ("bn_1/beta", 1, 6, 0.5)
    ]
    assert 0 < difference.retrained[0].relative <= 2
    assert len([line for line in lines if line.startswith(">")]) == 2
    data = json.loads(difference.to_json())
    assert data["added"] == ["drop"]
    assert data["retrained"][0]["moved"] == 1
    assert "graphs" not in data
    difference.diagram(tmp_path / "change.svg")
    assert (tmp_path / "change.svg").read_text(encoding="utf-8").startswith("<")


def test_what_was_zero_has_not_moved_infinitely_far():
    model = zoo.mlp()
    model.get_layer("head").bias.assign([0.0, 1e-9, 0.0])
    tuned = sg.rewrite(model, [])
    tuned.get_layer("head").bias.assign([0.3, 0.0, 0.4])
    (moved,) = sg.diff(model, tuned).retrained
    assert abs(moved.relative - 1) < 1e-6
    assert "by up to 0.4, 100.00% in all" in str(sg.diff(model, tuned))


def test_moving_statistics_that_hold_still_are_a_difference():
    model = zoo.cnn()
    still = sg.rewrite(model, sg.freeze("bn_1", "moving_mean"))
    there, back = sg.diff(model, still), sg.diff(still, model)
    assert dict(there.changed)["bn_1/moving_mean"] == "the state holds still"
    assert dict(back.changed)["bn_1/moving_mean"] == "the state moves again"
    assert not there.frozen
    assert not sg.diff(still, sg.rewrite(still, []))


def test_what_is_frozen_is_a_difference_where_the_shape_is_another_one_too():
    model = zoo.cnn()
    fewer = sg.prune("conv_1", channels=[1, 4])
    both = sg.diff(model, sg.rewrite(model, [sg.freeze("conv_1", "kernel"), fewer]))
    assert dict(both.changed)["conv_1/kernel"] == "shape (3, 3, 3, 6) → (3, 3, 3, 4)"
    assert both.frozen == (("conv_1/kernel", 162, 0),)
    assert not sg.diff(model, sg.rewrite(model, fewer)).frozen  # all of fewer trains
    held = sg.rewrite(model, sg.freeze("hidden", "kernel"))
    wider = sg.rewrite(model, sg.configure("hidden", units=12))
    back = sg.diff(held, wider)
    assert back.released == (("hidden/kernel", 0, 864),)
    half = sg.rewrite(wider, sg.train("hidden", kernel=sg.channels(11, by="magnitude")))
    text = str(sg.diff(model, half))
    assert "hidden/kernel: 720 → 792 train, a smaller part of it than before" in text
    still = sg.rewrite(model, [fewer, sg.freeze("bn_1", "moving_mean")])
    assert "bn_1/moving_mean: the state holds still" in str(sg.diff(model, still))


def test_a_layer_of_another_class_or_other_values_is_not_taken_for_a_renamed_one():
    def model(*made):
        return keras.Sequential([keras.Input((4,), name="x"), *made])

    def dense(name, start="ones"):
        return layers.Dense(4, name=name, kernel_initializer=start)

    same = sg.diff(model(dense("a"), dense("b")), model(dense("c"), dense("d")))
    assert [line for line in str(same).splitlines() if "is now called" in line] == [
        "~ a: is now called c",
        "~ b: is now called d",
    ]
    other = str(sg.diff(model(dense("a")), model(dense("b", "zeros")))).splitlines()
    assert {"+ b", "- a"} <= set(other)
    kinds = sg.diff(model(dense("a")), model(layers.ReLU(name="a")))
    assert "~ a: Dense → ReLU" in str(kinds).splitlines()


def test_settings_that_are_tables_are_compared_as_keras_saves_them():
    def model(**options):
        regular = keras.regularizers.L2(0.1)
        return keras.Sequential(
            [keras.Input((4,), name="x"), Tabled({"a": (1, 2), "r": regular, **options}, name="t")]
        )

    assert not sg.diff(model(), model())
    assert "table" in str(sg.diff(model(), model(a=(1, 3))))


class Tabled(layers.Layer):
    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {**super().get_config(), "table": dict(self.table)}


def test_a_picture_is_written_only_where_a_path_is_given(tmp_path):
    difference = sg.diff(zoo.mlp(), zoo.mlp())
    drawing = difference.diagram(tmp_path / "change.dot")
    assert (tmp_path / "change.dot").read_text(encoding="utf-8") == drawing.dot
    assert difference.diagram().dot == drawing.dot
    assert [file.name for file in tmp_path.iterdir()] == ["change.dot"]
