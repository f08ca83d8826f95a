"""EfficientNetB0, squeeze and excitation only.

Only the small attention over channels inside each block goes on learning.
"""

import keras
import surgeon as sg

model = keras.applications.EfficientNetB0(weights=None)
plan = sg.plan(model, [
    sg.freeze("*"),
    sg.train("block*_se_*"),
    sg.train("top_conv", kernel=sg.channels(0.2, by="magnitude")),
    sg.train("predictions"),
])
