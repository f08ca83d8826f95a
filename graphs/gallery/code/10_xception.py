"""Xception, the middle flow.

Eight equal blocks in the middle are one card.
"""

import keras
import surgeon as sg

model = keras.applications.Xception(weights=None)
plan = sg.plan(model, [
    sg.freeze("block[1-4]_*"),
    sg.freeze("block1[0-3]_*"),
    sg.train("block14_*", pointwise_kernel=sg.channels(0.5, by="magnitude")),
])
