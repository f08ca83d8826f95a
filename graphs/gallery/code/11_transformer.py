"""A BERT of two layers.

Dense layers inside of layers have paths too. The padding mask goes along as an input.
"""

import keras_hub
import surgeon as sg

model = keras_hub.models.BertBackbone(
    vocabulary_size=1000, num_layers=2, num_heads=4, hidden_dim=64, intermediate_dim=256,
    max_sequence_length=64, name="small_bert",
)
plan = sg.plan(model, [
    sg.freeze("**"),
    sg.train("**/_feedforward_*_dense", kernel=sg.channels(0.25, by="magnitude")),
    sg.train("transformer_layer_1/**", "bias"),
])
