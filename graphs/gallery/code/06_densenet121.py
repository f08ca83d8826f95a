"""DenseNet121, biases and scales only.

Kernels hold still; what shifts and scales the signal learns: a few percent of the parameters.
"""

import keras
import surgeon as sg

model = keras.applications.DenseNet121(weights=None)
plan = sg.plan(model, [
    sg.freeze("*"),
    sg.train(sg.isa("BatchNormalization"), "gamma", "beta"),
    sg.train("predictions"),
])
