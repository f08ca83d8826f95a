"""A model in a model.

A path reaches into the nested encoder: `encoder/conv_a`. Its box tells how much is frozen.
"""

import keras
import surgeon as sg
from keras import layers

image = keras.Input((32, 32, 3))
a = layers.Conv2D(16, 3, name="conv_a")(image)
a = layers.ReLU(name="relu_a")(layers.BatchNormalization(name="bn_a")(a))
b = layers.Conv2D(16, 3, padding="same", name="conv_b")(a)
b = layers.BatchNormalization(name="bn_b")(b)
features = layers.GlobalAveragePooling2D(name="gap")(layers.Add(name="add")([a, b]))
encoder = keras.Model(image, features, name="encoder")

photo = keras.Input((32, 32, 3))
x = layers.LayerNormalization(name="norm")(layers.Dense(64, name="adapter")(encoder(photo)))
heads = [layers.Dense(10, name="class_head")(x), layers.Dense(4, name="box_head")(x)]
model = keras.Model(photo, heads, name="detector")

plan = sg.plan(model, [
    sg.freeze("encoder/*_a"),
    sg.freeze("encoder/conv_b", "kernel"),
    sg.train("adapter", kernel=sg.channels(0.25, by="magnitude")),
])
