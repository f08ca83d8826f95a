"""2. Replace a layer by one of another output size."""

import keras
import numpy as np
from patients import perceptron, picture

import surgeon as sg

model = perceptron()
# --- recipe
plan = sg.plan(model, sg.replace("fc_2", keras.layers.Dense(96, activation="relu")))
print(plan)  # says that fc_3 is made anew, and that its bias is carried
tuned = plan.apply(model)
# --- check
assert "makes anew fc_3: Dense → Dense (carries bias; new values: kernel (96, 16))" in str(plan)
assert [layer.kernel.shape for layer in tuned.layers] == [(12, 128), (128, 96), (96, 16), (16, 4)]
for name, weights in (("fc_1", "kernel bias"), ("fc_3", "bias"), ("logits", "kernel bias")):
    for weight in weights.split():
        old, new = (getattr(each.get_layer(name), weight) for each in (model, tuned))
        assert np.array_equal(old, new), (name, weight)
assert tuned(picture(model)).shape == (2, 4)
