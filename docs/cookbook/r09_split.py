"""9. Split a trained model at a layer, branches included."""

from patients import application, close, picture

import surgeon as sg

model = application("ResNet50", classes=10)
# --- recipe
first, second = sg.split(model, "conv3_block2_2_relu")  # in the middle of a residual block
# --- check
x = picture(model, batch=1)
assert close(model(x), second(first(x)), 1e-5)
assert [tensor.shape[-1] for tensor in first.outputs] == [512, 128]  # the shortcut crosses the cut, too
assert len(first.weights) + len(second.weights) == len(model.weights)
whole = sg.join(first, second)
assert close(model(x), whole(x), 1e-5)
