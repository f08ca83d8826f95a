"""ResNet152 in sixteen cards.

517 layers, of which eighteen blocks in a row are frozen and seventeen train: the run parts at the border.
"""

import keras
import surgeon as sg

model = keras.applications.ResNet152(weights=None)
plan = sg.plan(model, [
    sg.freeze("conv[1-3]_*"),
    sg.freeze("conv4_block[1-9]_*"), sg.freeze("conv4_block1[0-9]_*"),
])
