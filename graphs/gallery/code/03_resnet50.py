"""ResNet50, all but the last stage.

The usual way to fine-tune: the first four stages stay, BatchNormalization stays everywhere, the rest learns.
"""

import keras
import surgeon as sg

model = keras.applications.ResNet50(weights=None, classes=7)
plan = sg.plan(model, [
    sg.freeze("conv[1-4]_*"),
    sg.freeze(sg.isa("BatchNormalization")),
])
