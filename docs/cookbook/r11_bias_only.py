"""11. Train the biases but not the kernels, and the reverse."""

import numpy as np
from patients import perceptron, picture

import surgeon as sg

model = perceptron()
# --- recipe
biases = sg.rewrite(model, sg.bias_only())
kernels = sg.rewrite(model, [sg.freeze("**"), sg.train("**", "kernel")])
# --- check
for tuned, moving in ((biases, "bias"), (kernels, "kernel")):
    seal = sg.seal(tuned)
    tuned.compile("adamw", "mse")
    tuned.fit(picture(model, 8), np.ones((8, 4)), epochs=2, verbose=0)
    seal.verify(tuned)
    for old, new in zip(model.weights, tuned.weights, strict=True):
        assert np.array_equal(old, new) == (moving not in old.name), old.path
