"""Every layer with weights that Keras ships, and the kinds of part of a weight that can train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

import surgeon as sg
from surgeon.errors import SelectionError
from surgeon.planning.asks import weight_sites
from tests.zoo import jitter

Made = Callable[[], Any]


@keras.saving.register_keras_serializable("surgeon_tests")
class Custom(layers.Layer):
    """A layer as users write them: a weight of three axes, and a Dense inside."""

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.mixing = self.add_weight(shape=(2, input_shape[-1], 4), name="mixing")
        self.inner = layers.Dense(4)
        self.inner.build((*input_shape[:-1], 4))

    def call(self, inputs: Any) -> Any:
        """Mix."""
        mixed = keras.ops.tensordot(inputs, self.mixing, axes=[[-1], [1]])
        return self.inner(keras.ops.sum(mixed, axis=-2))


VECTOR, SEQUENCE, IMAGE, VOLUME, TOKENS = (8,), (6, 4), (6, 6, 4), (4, 4, 4, 2), (6,)

# Sizes are even wherever they can be, so that pairs fit along every axis.
LAYERS: dict[str, tuple[Made, tuple[int, ...]]] = {
    "Dense": (lambda: layers.Dense(4), VECTOR),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cde->abde", (6, 2, 4), bias_axes="de"), SEQUENCE),
    "Embedding": (lambda: layers.Embedding(8, 4), TOKENS),
    "ReversibleEmbedding": (lambda: layers.ReversibleEmbedding(8, 4), TOKENS),
    "Conv1D": (lambda: layers.Conv1D(4, 2), SEQUENCE),
    "Conv2D": (lambda: layers.Conv2D(4, 2), IMAGE),
    "Conv2D (groups)": (lambda: layers.Conv2D(4, 2, groups=2), IMAGE),
    "Conv3D": (lambda: layers.Conv3D(4, 2), VOLUME),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(4, 2), SEQUENCE),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(4, 2), IMAGE),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(4, 2), VOLUME),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(2, depth_multiplier=2), SEQUENCE),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(2, depth_multiplier=2), IMAGE),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(4, 2, depth_multiplier=2), SEQUENCE),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(4, 2, depth_multiplier=2), IMAGE),
    "BatchNormalization": (layers.BatchNormalization, VECTOR),
    "LayerNormalization": (layers.LayerNormalization, VECTOR),
    "GroupNormalization": (lambda: layers.GroupNormalization(2), VECTOR),
    "RMSNormalization": (layers.RMSNormalization, VECTOR),
    "Normalization": (layers.Normalization, VECTOR),
    "SimpleRNN": (lambda: layers.SimpleRNN(4), SEQUENCE),
    "LSTM": (lambda: layers.LSTM(4), SEQUENCE),
    "GRU": (lambda: layers.GRU(4), SEQUENCE),
    "RNN (stacked cells)": (lambda: layers.RNN([layers.LSTMCell(4), layers.GRUCell(2)]), SEQUENCE),
    "RNN (SimpleRNNCell)": (lambda: layers.RNN(layers.SimpleRNNCell(4)), SEQUENCE),
    "Bidirectional": (lambda: layers.Bidirectional(layers.GRU(2)), SEQUENCE),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(4)), SEQUENCE),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(2, 2), IMAGE),
    "ConvLSTM2D": (lambda: layers.ConvLSTM2D(2, 2), VOLUME),
    "ConvLSTM3D": (lambda: layers.ConvLSTM3D(2, 2), (2, *VOLUME)),
    "MultiHeadAttention": (lambda: layers.MultiHeadAttention(2, 4), SEQUENCE),
    "GroupQueryAttention": (lambda: layers.GroupQueryAttention(4, 4, 2), SEQUENCE),
    "Attention (scaled)": (lambda: layers.Attention(use_scale=True, score_mode="concat"), SEQUENCE),
    "AdditiveAttention": (layers.AdditiveAttention, SEQUENCE),
    "PReLU": (layers.PReLU, VECTOR),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(4)), VECTOR),
    "a custom layer": (Custom, SEQUENCE),
}
_TAKES_TWO = (
    layers.MultiHeadAttention,
    layers.GroupQueryAttention,
    layers.Attention,
    layers.AdditiveAttention,
)


@dataclass(frozen=True)
class Weight:
    """One weight of a layer: its path from the layer, where it stands, and its shape."""

    layer: str
    name: str
    shape: tuple[int, ...]
    is_state: bool

    @property
    def path(self) -> str:
        """The path as it is written in the table."""
        return f"{self.layer}/{self.name}".removeprefix("subject").lstrip("/")


GRANULARITIES: dict[str, Callable[[Weight], Any]] = {
    "whole": lambda w: sg.freeze(w.layer, w.name),
    "channels": lambda w: sg.train(w.layer, **{w.name: sg.channels([0])}),
    "rows": lambda w: sg.train(w.layer, **{w.name: sg.rows([0])}),
    "first axis": lambda w: sg.train(w.layer, **{w.name: sg.along(0, [0])}),
    "elements": lambda w: sg.train(w.layer, **{w.name: sg.elements(0.3, by="random")}),
    "blocks": lambda w: sg.train(w.layer, **{w.name: sg.blocks([0], of=(2,) * min(2, max(1, len(w.shape))))}),
    "N:M": lambda w: sg.train(w.layer, **{w.name: sg.n_of_m(1, 2)}),
}


def model_with(layer: str) -> Any:
    """Return a small model around a layer of the table, which is called `subject` in it."""
    make, shape = LAYERS[layer]
    is_tokens = "Embedding" in layer
    start = keras.Input(shape, dtype="int32" if is_tokens else "float32")
    made = make()
    made.name = "subject"
    x = (
        made(start, start)
        if isinstance(made, layers.MultiHeadAttention | layers.GroupQueryAttention)
        else (made([start, start]) if isinstance(made, _TAKES_TWO) else made(start))
    )
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return jitter(keras.Model(start, layers.Dense(2, name="head")(x)))


def samples(layer: str) -> tuple[Any, Any]:
    """Return a batch of inputs and targets."""
    rng, (_, shape) = np.random.default_rng(0), LAYERS[layer]
    x = (
        rng.integers(0, 8, (4, *shape))
        if "Embedding" in layer
        else rng.normal(size=(4, *shape)).astype("float32")
    )
    return x, rng.normal(size=(4, 2)).astype("float32")


def weights_in(model: Any) -> list[Weight]:
    """Return the weights of the layer that the model is about."""
    sites = weight_sites(sg.to_graph(model))
    return [
        Weight(site.layer, site.name, tuple(site.weight.shape), site.weight.role == "state")
        for site in sites.values()
        if site.layer.split("/")[0] == "subject"
    ]


def refusal(model: Any, weight: Weight, granularity: str) -> str:
    """Return why this part of the weight cannot be chosen, or `""`."""
    try:
        sg.plan(model, GRANULARITIES[granularity](weight))
    except SelectionError as error:
        return str(error)
    return ""


def table() -> Iterator[str]:
    """Yield the lines of the table in `docs/layers.md`."""
    yield f"| layer | weight | shape here | {' | '.join(GRANULARITIES)} |"
    yield "|" + "---|" * (3 + len(GRANULARITIES))
    for layer in LAYERS:
        model = model_with(layer)
        for weight in weights_in(model):
            cells = [_cell(model, weight, granularity) for granularity in GRANULARITIES]
            shape = " × ".join(map(str, weight.shape)) or "scalar"
            yield f"| {layer} | `{weight.path}` | {shape} | {' | '.join(cells)} |"


def _cell(model: Any, weight: Weight, granularity: str) -> str:
    reason = refusal(model, weight, granularity)
    if not reason:
        return "holds still" if weight.is_state else "yes"
    known = {"is state": "state", "has no": "no such axis", "do not divide": "does not divide"}
    return next(short for text, short in known.items() if text in reason)
