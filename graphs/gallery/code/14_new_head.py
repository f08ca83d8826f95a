"""A new head.

A replaced layer says what it was; it trains while all else holds still.
"""

import keras
import surgeon as sg
from keras import layers

model = keras.applications.MobileNetV3Small(weights=None, input_shape=(96, 96, 3), include_top=False, pooling="avg")
model = keras.Sequential([keras.Input((96, 96, 3)), model, layers.Dense(10, name="head")], name="classifier")

plan = sg.plan(model, [
    sg.freeze("**"),
    sg.replace("head", lambda node: layers.EinsumDense("bi,io->bo", 4, bias_axes="o", name="head")),
    sg.train("head"),
])
