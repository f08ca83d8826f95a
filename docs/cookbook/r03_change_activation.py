"""3. swish to relu in EfficientNetB0, as a layer and as a setting of layers."""

import numpy as np
from patients import application, close, picture

import surgeon as sg

model = application("EfficientNetB0", classes=10)
# --- recipe
tuned = sg.rewrite(model, sg.change_activation("swish", "relu"))
# --- check


def activations(model):
    return [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")]


old, new = activations(model), activations(tuned)
assert old.count("silu") == 49  # 33 layers, and 16 settings of convolutions
assert new == ["relu" if name == "silu" else name for name in old]
for before, after in zip(model.weights, tuned.weights, strict=True):
    assert np.array_equal(before, after)
x = picture(model, batch=1)
normed = np.asarray(sg.extract(model, end="stem_bn")(x))
assert close(np.maximum(normed, 0), sg.extract(tuned, end="stem_activation")(x))
squeezed = np.random.default_rng(0).normal(size=(1, 1, 1, 32)).astype("float32")
reduce = tuned.get_layer("block1a_se_reduce")
by_hand = squeezed[0, 0] @ np.asarray(reduce.kernel)[0, 0] + np.asarray(reduce.bias)
assert close(np.maximum(by_hand, 0), reduce(squeezed)[0, 0])
