"""The models of `training.py`: one layer between two cheap ones, and whole networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

KERNELS = ("Dense", "EinsumDense", "Conv2D")
"""The classes that are frozen, whole or in part, in a whole network."""


@dataclass(frozen=True)
class Case:
    """A model, a batch to train it on, and which of its layers are frozen, whole or in part."""

    model: Any
    x: Any
    y: Any
    loss: str = "mse"
    selector: Any = field(default="subject")

    @property
    def is_one_layer(self) -> bool:
        """Whether one layer is measured, not a network."""
        return isinstance(self.selector, str)

    def subjects(self, model: Any) -> Iterator[Any]:
        """Yield the layers of a copy of the model that are meant."""
        if self.is_one_layer:
            yield model.get_layer(self.selector)
            return
        from surgeon._keras import child_layers

        for layer in child_layers(model):
            if type(layer).__name__ in KERNELS:
                yield layer
            else:
                yield from self.subjects(layer)


def dense(units: int, batch: int) -> Case:
    """Return a Dense of so many units between two cheap layers."""
    import keras
    import numpy as np

    start = keras.Input((units,))
    x = keras.layers.Rescaling(1.0)(start)
    x = keras.layers.LayerNormalization(name="before")(x)  # the gradient of the inputs is needed
    x = keras.layers.Dense(units, activation="relu", name="subject")(x)
    model = keras.Model(start, keras.layers.Dense(1, name="head")(x))
    return Case(model, np.ones((batch, units), "float32"), np.ones((batch, 1), "float32"))


def conv(filters: int, side: int, batch: int, kind: str = "Conv2D", **options: Any) -> Case:
    """Return a 3 × 3 convolution between two cheap layers."""
    import keras
    import numpy as np

    start = keras.Input((side, side, filters))
    x = keras.layers.DepthwiseConv2D(1, name="before")(start)
    options |= {"padding": "same", "activation": "relu"}
    x = getattr(keras.layers, kind)(filters, 3, name="subject", **options)(x)
    model = keras.Model(start, keras.layers.Dense(1, name="head")(keras.layers.GlobalAveragePooling2D()(x)))
    return Case(model, np.ones((batch, side, side, filters), "float32"), np.ones((batch, 1), "float32"))


def vision(make: str, batch: int, side: int = 96) -> Case:
    """Return a network of `keras.applications` for ten classes."""
    import keras
    import numpy as np

    model = getattr(keras.applications, make)(weights=None, classes=10, input_shape=(side, side, 3))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, side, side, 3)).astype("float32")
    return Case(model, x, rng.integers(10, size=batch), "sparse_categorical_crossentropy", _kernels())


def transformer(width: int = 256, depth: int = 4, length: int = 64, batch: int = 16) -> Case:
    """Return a small encoder: attention and two Dense in each block."""
    import keras
    import numpy as np
    from keras import layers

    start = keras.Input((length,), dtype="int32")
    x = layers.Embedding(1000, width)(start)
    for _ in range(depth):
        attended = layers.MultiHeadAttention(4, width // 4)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        hidden = layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, hidden]))
    model = keras.Model(start, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x)))
    rng = np.random.default_rng(0)
    tokens, labels = rng.integers(1000, size=(batch, length)), rng.integers(10, size=batch)
    return Case(model, tokens, labels, "sparse_categorical_crossentropy", _kernels())


def _kernels() -> Any:
    import surgeon as sg

    first, *others = map(sg.isa, KERNELS)
    for other in others:
        first = first | other
    return first


CASES: dict[str, Callable[..., Case]] = {
    "dense_1024": lambda: dense(1024, 256),
    "dense_4096": lambda: dense(4096, 64),
    "conv_64": lambda: conv(64, 28, 16),
    "conv_256": lambda: conv(256, 14, 16),
    "conv_256_groups": lambda: conv(256, 14, 16, groups=8),
    "conv_256_transposed": lambda: conv(256, 14, 16, "Conv2DTranspose"),
    "mobilenet_v2": lambda: vision("MobileNetV2", 16),
    "resnet50": lambda: vision("ResNet50", 8),
    "transformer": transformer,
}
