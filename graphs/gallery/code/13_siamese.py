"""One tower, two pictures.

A layer that is called twice is drawn once; the second call says so, and its weights count once.
"""

import keras
import surgeon as sg
from keras import layers

left, right, image = (keras.Input((24, 24, 1), name=name) for name in ("left", "right", "image"))
x = layers.Conv2D(8, 3, name="conv")(image)
x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(x))
tower = keras.Model(image, layers.Dense(16, name="embed")(x), name="tower")
apart = layers.Subtract(name="apart")([tower(left), tower(right)])
model = keras.Model([left, right], layers.Dense(1, name="same")(apart), name="siamese")

plan = sg.plan(model, [
    sg.freeze("tower/conv", "kernel"),
    sg.train("tower/embed", kernel=sg.channels([0, 1, 2, 3])),
])
