"""12. Freeze some weights, or half of the filters of a convolution."""

import numpy as np
from patients import picture, unet

import surgeon as sg

model = unet()
# --- recipe
tuned = sg.rewrite(
    model,
    [
        sg.freeze("down_0", kernel=sg.channels(slice(0, 8))),  # the first half of its 16 filters
        sg.freeze("bottom", "bias"),
    ],
)
# --- check
tuned.compile("adamw", "mse")
tuned.fit(picture(model), np.ones((2, 32, 32, 2)), epochs=2, verbose=0)
old, new = (np.asarray(each.get_layer("down_0").kernel) for each in (model, tuned))
assert np.array_equal(old[..., :8], new[..., :8])
assert (old[..., 8:] != new[..., 8:]).mean() > 0.99
assert np.array_equal(model.get_layer("bottom").bias, tuned.get_layer("bottom").bias)
assert not np.array_equal(model.get_layer("bottom").kernel, tuned.get_layer("bottom").kernel)
