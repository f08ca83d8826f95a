"""ConvNeXtTiny, layer by layer less.

The deeper the stage, the more of it learns.
"""

import keras
import surgeon as sg

model = keras.applications.ConvNeXtTiny(weights=None)
plan = sg.plan(model, [
    sg.freeze("*_stage_[01]_*"),
    sg.train("*_stage_2_*_pointwise_conv_*", kernel=sg.rows(0.1, by="magnitude")),
])
