"""15. BatchNormalization to GroupNormalization in a U-Net."""

import numpy as np
from patients import close, picture, unet

import surgeon as sg

model = unet()
# --- recipe
tuned = sg.rewrite(model, sg.to_group_norm(groups=8))
# --- check
norms = [layer for layer in tuned.layers if type(layer).__name__ == "GroupNormalization"]
assert [layer.name for layer in norms] == ["down_0_bn", "down_1_bn", "up_1_bn", "up_0_bn"]
assert not [layer for layer in tuned.layers if type(layer).__name__ == "BatchNormalization"]
for layer in norms:
    assert layer.groups == 8
    assert np.array_equal(layer.gamma, model.get_layer(layer.name).gamma)
    assert np.array_equal(layer.beta, model.get_layer(layer.name).beta)
x = np.asarray(model.get_layer("down_0")(picture(model))).reshape(2, 32, 32, 8, 2)
by_hand = (x - x.mean((1, 2, 4), keepdims=True)) / np.sqrt(x.var((1, 2, 4), keepdims=True) + norms[0].epsilon)
by_hand = by_hand.reshape(2, 32, 32, 16) * np.asarray(norms[0].gamma) + np.asarray(norms[0].beta)
assert close(by_hand, sg.extract(tuned, end="down_0_bn")(picture(model)))
