"""10. Drop the shared Embedding of a siamese model, and feed vectors instead."""

import numpy as np
from patients import close, siamese

import surgeon as sg

model = siamese()
# --- recipe
tuned = sg.extract(model, start="embedding")
# --- check
assert [tuple(tensor.shape) for tensor in tuned.inputs] == [(None, 6, 8), (None, 6, 8)]
assert "embedding" not in [layer.name for layer in tuned.layers]
left, right = np.arange(12).reshape(2, 6), np.arange(20, 32).reshape(2, 6)
table = np.asarray(model.get_layer("embedding").embeddings)
assert close(model([left, right]), tuned([table[left], table[right]]), 1e-6)
