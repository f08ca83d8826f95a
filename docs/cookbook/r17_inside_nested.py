"""17. The output of a layer two levels deep inside nested models."""

import keras
from patients import close, nested, picture

import surgeon as sg

model = nested()
# --- recipe
features = sg.extract(model, end="encoder/block/dense")
# --- check
x = picture(model)
encoder = model.get_layer("encoder")
by_hand = encoder.get_layer("pool")(encoder.get_layer("conv")(x))
by_hand = encoder.get_layer("block").get_layer("dense")(by_hand)
assert isinstance(features, keras.Model)
assert features.output_shape == (None, 12)
assert close(by_hand, features(x), 1e-6)
