"""Whichever module of Surgeon is imported first, before Keras, Keras knows the classes that files name."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import tiers, to_numpy
from tests.zoo import ROOT, jitter

MODULES = (
    "attaching",
    "assemble",
    "conv",
    "dense",
    "einsum",
    "fast",
    "gradients",
    "keras2",
    "layer",
    "part",
    "variable",
)
FIRST = ["surgeon", "surgeon.partial", *(f"surgeon.partial.{name}" for name in MODULES)]
SOME = ("surgeon", "surgeon.partial", "surgeon.partial.variable")
KNOWN = "Partial PartialConv2D PartialDense PartialState hard_sigmoid_keras2"
SCRIPT = """
import sys
import {first}
import keras, numpy as np
names = [name.split(">") for name in keras.saving.get_custom_objects()]
print(*sorted(name for package, name in names if package == "surgeon"))
model = keras.models.load_model(sys.argv[1])
print([(v.path, tuple(v.shape)) for v in model.trainable_variables])
np.save(sys.argv[2], keras.ops.convert_to_numpy(model(np.ones((2, 5, 4), "float32"))))
"""


@pytest.mark.parametrize("first", tiers(FIRST, slow=SOME))
def test_a_fresh_process_opens_a_partly_frozen_model(first, tmp_path):
    start = keras.Input((5, 4))
    x = layers.Dense(4, name="dense")(layers.LSTM(4, name="lstm")(start))
    stock = jitter(keras.Model(start, layers.Dense(2, name="head")(x)))
    parts = [sg.train("lstm", "bias"), sg.train("dense", kernel=sg.channels([1]))]
    model = sg.rewrite(stock, [sg.freeze("**"), *parts])
    model.save(tmp_path / "m.keras")
    command = [sys.executable, "-c", SCRIPT.format(first=first), tmp_path / "m.keras", tmp_path / "y.npy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    known, trains = done.stdout.splitlines()
    assert known == KNOWN
    assert trains == str([(v.path, tuple(v.shape)) for v in model.trainable_variables])
    # Two processes may add up an LSTM's products in another order, in the last bit.
    here = to_numpy(model(np.ones((2, 5, 4), "float32")))
    assert np.allclose(np.load(tmp_path / "y.npy"), here, rtol=1e-5)
