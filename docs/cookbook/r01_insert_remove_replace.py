"""1. Replace, delete or insert any layer of ResNet50."""

import keras
import numpy as np
from patients import application, close, picture

import surgeon as sg

model = application("ResNet50", classes=10)
# --- recipe
tuned = sg.rewrite(
    model,
    [
        sg.replace("conv1_relu", keras.layers.Activation("gelu", name="conv1_gelu")),
        sg.remove("conv3_block2_1_relu"),
        sg.insert_after("conv4_block6_out", keras.layers.Dropout(0.3, name="rest")),
    ],
)
# --- check
names = [layer.name for layer in tuned.layers]
assert "conv1_gelu" in names
assert "conv1_relu" not in names
assert "conv3_block2_1_relu" not in names
assert names[names.index("conv4_block6_out") + 1] == "rest"
assert len(names) == len(model.layers)
for old, new in zip(model.weights, tuned.weights, strict=True):
    assert np.array_equal(old, new)
x = picture(model, batch=1)
start, end = sg.extract(model, end="conv1_bn"), sg.extract(tuned, end="conv1_gelu")
assert close(keras.activations.gelu(start(x)), end(x))
part = ("conv3_block2_1_bn", "conv3_block2_2_conv")
one, other = (sg.extract(each, *part) for each in (model, tuned))
y = np.random.default_rng(0).normal(size=(1, *one.input_shape[1:])).astype("float32")
assert close(one(np.maximum(y, 0)), other(np.maximum(y, 0)))
assert not close(one(y), other(y))
