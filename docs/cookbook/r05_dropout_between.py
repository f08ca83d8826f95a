"""5. Dropout between pretrained Dense layers."""

import numpy as np
from patients import close, perceptron, picture

import surgeon as sg

model = perceptron()
# --- recipe
tuned = sg.rewrite(model, sg.dropout_after(sg.isa("Dense") & ~sg.last(sg.isa("Dense")), rate=0.5))
# --- check
names = [layer.name for layer in tuned.layers]
assert names == ["fc_1", "fc_1_dropout", "fc_2", "fc_2_dropout", "fc_3", "fc_3_dropout", "logits"]
x = picture(model)
assert np.array_equal(model(x), tuned(x))  # at inference nothing drops
assert not close(model(x), tuned(x, training=True))
