"""16. LoRA on chosen layers of a keras_hub model."""

import keras_hub
import numpy as np
from patients import as_if_trained

import surgeon as sg

sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 12}
model = as_if_trained(keras_hub.models.BertBackbone(vocabulary_size=50, **sizes))
# --- recipe
attention = "**/_self_attention_layer/_{}_dense"
tuned = sg.rewrite(
    model,
    [
        sg.freeze("**"),
        sg.lora(sg.name(attention.format("query")) | attention.format("value"), rank=4),
    ],
)
# --- check
words = {name: np.arange(24).reshape(2, 12) % 50 for name in ("token_ids", "segment_ids", "padding_mask")}
words["segment_ids"], words["padding_mask"] = words["segment_ids"] * 0, words["padding_mask"] * 0 + 1
for name, output in model(words).items():
    assert np.array_equal(output, tuned(words)[name])
shapes = [tuple(variable.shape) for variable in tuned.trainable_variables]
assert sorted(shapes) == [(4, 8)] * 4 + [(16, 2, 4)] * 4  # two adapters in each of two layers
tuned.trainable = False
tuned.trainable = True  # does not set the adapted kernels loose
assert len(tuned.trainable_variables) == 8
