"""Text, with its mask.

An Embedding says which steps are padding. The dotted arrows show where that goes.
"""

import keras
import surgeon as sg
from keras import layers

words = keras.Input((20,), dtype="int32", name="words")
x = layers.Embedding(500, 16, mask_zero=True, name="embedding")(words)
x = layers.LSTM(24, return_sequences=True, name="lstm")(x)
x = layers.Bidirectional(layers.GRU(12, return_sequences=True), name="both_ways")(x)
x = layers.LayerNormalization(name="norm")(x)
x = layers.LSTM(16, name="last")(x)
model = keras.Model(words, layers.Dense(3, name="head")(x), name="text")

plan = sg.plan(model, [
    sg.freeze("embedding"),
    sg.freeze("both_ways/**"),
    sg.train("lstm/cell", recurrent_kernel=sg.elements(0.05, by="magnitude")),
])
