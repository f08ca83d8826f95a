"""NASNetMobile: no prefix, still a picture.

Names end with the cell that they belong to, and cells read from two before them. Cards are cells, and no arrow leads back.
"""

import keras
import surgeon as sg

model = keras.applications.NASNetMobile(weights=None)
plan = sg.plan(model, [
    sg.freeze("*_[0-9]"),
    sg.freeze("stem_*"),
])
