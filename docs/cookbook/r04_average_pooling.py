"""4. MaxPooling to AveragePooling in VGG19."""

import keras
import numpy as np
from patients import application, close, picture

import surgeon as sg

model = application("VGG19", size=32, include_top=False)
# --- recipe
tuned = sg.rewrite(model, sg.to_average_pooling())
# --- check
kinds = [type(layer).__name__ for layer in tuned.layers if "pool" in layer.name]
assert kinds == ["AveragePooling2D"] * 5
x = y = picture(model)
for layer in model.layers[1:]:  # by hand
    y = keras.ops.average_pool(y, 2, 2) if "pool" in layer.name else layer(y)
assert close(y, tuned(x))
assert not close(model(x), tuned(x))
assert all(np.array_equal(a, b) for a, b in zip(model.weights, tuned.weights, strict=True))
