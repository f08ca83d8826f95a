"""6. Custom layers inside DenseNet121, at two concat points."""

import keras
import numpy as np
from patients import application, close, picture

import surgeon as sg

model = application("DenseNet121", size=32, classes=10)


@keras.saving.register_keras_serializable("cookbook")
class Gate(keras.layers.Layer):
    """Scales each channel by a weight of its own, at first 1."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(shape[-1],), initializer="ones", name="gate")

    def call(self, x):
        return x * self.gate


# --- recipe
points = ["conv3_block12_concat", "conv4_block24_concat"]
tuned = sg.rewrite(model, [sg.insert_after(point, Gate(name=f"{point}_gate")) for point in points])
# --- check
x = picture(model, batch=1)
assert close(model(x), tuned(x), 1e-6)
gates = [layer.gate for layer in tuned.layers if isinstance(layer, Gate)]
assert [gate.shape for gate in gates] == [(512,), (1024,)]
gates[0].assign(np.full(512, 0.5, "float32"))
assert not close(model(x), tuned(x))
graph = sg.to_graph(tuned)
assert [graph[ref.node].name for ref in graph["pool3_bn"].inputs] == ["conv3_block12_concat_gate"]
