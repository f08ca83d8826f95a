"""8. A new input height and width, with the weights kept."""

import numpy as np
from patients import application, close, picture

import surgeon as sg

model = application("MobileNetV2", classes=10)
# --- recipe
tuned = sg.rewrite(model, sg.change_input((96, 160, 3)))
# --- check
assert tuned.input_shape == (None, 96, 160, 3)
assert all(np.array_equal(a, b) for a, b in zip(model.weights, tuned.weights, strict=True))
x = picture(tuned, batch=1)
assert tuned(x).shape == (1, 10)
y = model.get_layer("Conv1")(x)  # a convolution does not mind the size
assert close(y, sg.extract(tuned, end="Conv1")(x))
assert tuned.get_layer("out_relu").output.shape[1:3] == (3, 5)
