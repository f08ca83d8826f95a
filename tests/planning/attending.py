"""Models with attention whose heads are removed, and the same models with these heads zeroed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy

STEPS = 5
"""How many time steps `attention` has."""


def block(x: Any, number: int, **settings: Any) -> Any:
    """Return a block of a transformer, with its normalizations before."""
    normal = layers.LayerNormalization(name=f"norm_{number}")(x)
    attended = layers.MultiHeadAttention(4, 3, name=f"attention_{number}", **settings)(
        normal, normal, use_causal_mask=True
    )
    x = layers.Add(name=f"add_{number}")([x, attended])
    inner = layers.Dense(12, "gelu", name=f"inner_{number}")(
        layers.LayerNormalization(name=f"second_{number}")(x)
    )
    return layers.Add(name=f"out_{number}")([x, layers.Dense(8, name=f"outer_{number}")(inner)])


def transformer() -> Any:
    """Return two blocks over tokens, with a mask."""
    ids = keras.Input((6,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 8, mask_zero=True, name="embedding")(ids)
    x = block(block(x, 0), 1, value_dim=5, use_bias=False)
    return zoo.jitter(keras.Model(ids, layers.Dense(3, name="head")(x), name="transformer"))


def attention(
    layer: Any, *, rank: int = 3, scores: bool = False, mask: Any = None, crossed: bool = False
) -> Any:
    """Return a model of one attention layer between Dense layers."""
    shape = (STEPS, 6) if rank == 3 else (3, STEPS, 6)
    image = keras.Input(shape, name="x")
    query = layers.Dense(8, name="before")(image)
    # Keras wants query and value to be of one size where heads are grouped.
    wide = 8 if isinstance(layer, layers.GroupQueryAttention) else 7
    value = layers.Dense(wide, name="source")(image) if crossed else query
    key = layers.Dense(10, name="keys")(image) if crossed else None
    given = {"return_attention_scores": True} if scores else {}
    out = layer(query, value, key, attention_mask=mask, **given)
    outputs = [layers.Dense(4, name="after")(out[0] if scores else out), *(out[1:] if scores else [])]
    return zoo.jitter(keras.Model(image, outputs if scores else outputs[0], name="attending"))


def zeroed(model: Any, heads: dict[str, list[int]]) -> Any:
    """Return a copy of a model in which what some heads put out is multiplied by zero."""
    copy = sg.rewrite(model, [])
    for path, gone in heads.items():
        kernel = copy.get_layer(path)._output_dense.kernel
        value = to_numpy(kernel).copy()
        value[gone] = 0
        kernel.assign(value)
    return copy


def difference(one: Any, other: Any) -> float:
    """Return the largest difference between the outputs of two models, as a part of the largest value."""
    inputs = zoo.sample_inputs(one)
    a, b = (
        np.concatenate([to_numpy(t).ravel() for t in keras.tree.flatten(m(inputs))]) for m in (one, other)
    )
    assert np.isfinite(a).all()
    return float(np.abs(a - b).max() / np.abs(a).max())
