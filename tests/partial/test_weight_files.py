"""What a partly frozen layer has in a `.weights.h5` file."""

from __future__ import annotations

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon import paths
from tests.helpers import assert_same_outputs, same_bits, to_numpy
from tests.zoo import jitter


def fresh():
    stack = [layers.Dense(5, name="a"), layers.BatchNormalization(name="n"), layers.Dense(3, name="b")]
    return keras.Sequential([keras.Input((6,)), *stack], name="m")


def model_of():
    return jitter(fresh())


def test_frozen_layers_leave_the_bytes_of_a_file_as_they_are(tmp_path):
    model = model_of()
    frozen = sg.rewrite(model, sg.freeze("**"))
    model.save_weights(tmp_path / "stock.weights.h5")
    frozen.save_weights(tmp_path / "frozen.weights.h5")
    stock = (tmp_path / "stock.weights.h5").read_bytes()
    assert (tmp_path / "frozen.weights.h5").read_bytes() == stock


def test_a_partly_frozen_layer_has_a_group_of_its_positions(tmp_path):
    tuned = sg.rewrite(model_of(), [sg.freeze("n"), sg.train("a", kernel=sg.channels([1]))])
    tuned.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        groups = [name for name in file["layers"] if paths.STATE in file[f"layers/{name}"]]
        positions = file[f"layers/dense/{paths.STATE}/vars/kernel"][()]
    assert groups == ["dense"]
    assert positions.tolist() == [1]


def test_a_frozen_weight_takes_the_values_of_a_file_in_which_it_trained(tmp_path):
    source = sg.rewrite(model_of(), sg.train("a", kernel=sg.channels([1]), bias=sg.channels([0])))
    source.save_weights(tmp_path / "m.weights.h5")
    for rules in (sg.freeze("a"), [sg.freeze("a", "kernel"), sg.train("a", bias=sg.channels([2]))]):
        other = sg.rewrite(fresh(), rules)
        other.load_weights(tmp_path / "m.weights.h5")
        kernel = to_numpy(other.get_layer("a").kernel.value)
        assert same_bits(kernel, to_numpy(source.get_layer("a").kernel.value))
        assert not {"a/kernel"} & {v.path for v in other.trainable_variables}
        x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
        assert_same_outputs(other(x), source(x))


@pytest.mark.parametrize("positions", [[5], [-1], [1, 1], [3, 1], [0.0, 2.0]], ids=str)
def test_positions_that_are_none_are_refused(tmp_path, positions):
    tuned = sg.rewrite(model_of(), sg.train("a", kernel=sg.channels(range(len(positions)))))
    tuned.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        group = file[f"layers/dense/{paths.STATE}/vars"]
        del group["kernel"]
        group["kernel"] = np.array(positions, "float32" if isinstance(positions[0], float) else "int32")
    before = tuned.get_layer("a").kernel.part
    with pytest.raises(ValueError, match=r"a/kernel: the file's positions of what trains are damaged"):
        tuned.load_weights(tmp_path / "m.weights.h5")
    assert tuned.get_layer("a").kernel.part == before
