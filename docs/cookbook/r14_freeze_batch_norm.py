"""14. Freeze BatchNormalization with its statistics."""

import numpy as np
from patients import picture, unet

import surgeon as sg

model = unet()
# --- recipe
tuned = sg.rewrite(model, sg.freeze_batch_norm())
# --- check
tuned.trainable = False
tuned.trainable = True  # would set a plain layer loose
tuned.compile("adamw", "mse")
tuned.fit(picture(model), np.ones((2, 32, 32, 2)), epochs=2, verbose=0)
for old, new in zip(model.weights, tuned.weights, strict=True):
    assert np.array_equal(old, new) == ("_bn/" in old.path), old.path
assert sum("_bn/" in weight.path for weight in tuned.weights) == 16
