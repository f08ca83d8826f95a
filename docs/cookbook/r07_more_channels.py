"""7. The first convolution of InceptionResNetV2 from 3 to 20 channels."""

import numpy as np
from patients import application, close, picture

import surgeon as sg

model = application("InceptionResNetV2", size=96, include_top=False)
# --- recipe
tuned = sg.rewrite(model, sg.change_input((96, 96, 20), channels="mean"))
# --- check
assert tuned.input_shape == (None, 96, 96, 20)
old, new = model.weights[0], tuned.weights[0]
assert new.shape == (3, 3, 20, 32)
assert close(new[:, :, 7], np.mean(old, axis=2) * 3 / 20, 1e-6)
for before, after in zip(model.weights[1:], tuned.weights[1:], strict=True):
    assert np.array_equal(before, after)
grey = picture(model, batch=1)[..., :1]  # all channels alike: both models see the same
assert close(model(np.repeat(grey, 3, -1)), tuned(np.repeat(grey, 20, -1)), 1e-3)
