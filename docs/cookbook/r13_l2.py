"""13. L2 on all convolutions, in the loss, with the weights kept."""

import numpy as np
from patients import close, picture, unet

import surgeon as sg

model = unet()
# --- recipe
tuned = sg.rewrite(model, sg.add_l2(1e-3, sg.isa("Conv2D")))
# --- check
kernels = [layer.kernel for layer in model.layers if "conv" in type(layer).__name__.lower()]
assert len(kernels) == 6
penalty = sum(1e-3 * np.square(kernel).sum() for kernel in kernels)
assert len(tuned.losses) == 6
assert close(sum(tuned.losses), penalty, 1e-5)
x, y = picture(model), np.zeros((2, 32, 32, 2))
assert np.array_equal(model(x), tuned(x))
for each in (model, tuned):
    each.compile("sgd", "mse")
assert close(tuned.evaluate(x, y, verbose=0) - model.evaluate(x, y, verbose=0), penalty, 1e-3)
