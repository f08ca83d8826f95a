"""MobileNetV2, from whole layers to single weights.

156 layers: blocks become one card each, and neighbours that are alike in shape and state one card together.
The last layers train in part: a tenth of the channels, a hundredth of the weights.
"""

import keras
import surgeon as sg

model = keras.applications.MobileNetV2(weights=None, classes=10, input_shape=(96, 96, 3))
plan = sg.plan(model, [
    sg.freeze("Conv1"), sg.freeze("block_[1-9]_*"),                      # whole layers, by glob
    sg.freeze(sg.isa("Conv2D") & sg.name("block_1?_*"), "kernel"),       # one weight, not the bias
    sg.train("Conv_1", kernel=sg.channels(0.10, by="magnitude")),        # 10 % of the output channels
    sg.train("predictions", kernel=sg.elements(0.01, by="magnitude")),   # 1 % of the single weights
])
