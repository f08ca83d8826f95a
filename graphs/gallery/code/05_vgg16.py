"""VGG16, a tenth of the channels.

Most of VGG lies in two Dense layers. Of these only the strongest tenth of the units goes on learning.
"""

import keras
import surgeon as sg

model = keras.applications.VGG16(weights=None)
plan = sg.plan(model, [
    sg.freeze("block*_conv*"),
    sg.train("fc[12]", kernel=sg.channels(0.10, by="magnitude")),
])
