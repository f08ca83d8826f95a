"""Models whose channels are removed, what that is compared with, and the figures."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy


def unet() -> Any:
    """Return a U-Net of two levels."""
    x = image = keras.Input((16, 16, 3), name="image")
    skips = []
    for number, filters in enumerate((10, 20)):
        x = layers.Conv2D(filters, 3, padding="same", name=f"down_{number}")(x)
        x = layers.ReLU(name=f"down_{number}_relu")(layers.BatchNormalization(name=f"down_{number}_bn")(x))
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool_{number}")(x)
    x = layers.SeparableConv2D(30, 3, padding="same", activation="relu", name="bottom")(x)
    for number, filters in ((1, 20), (0, 10)):
        x = layers.Conv2DTranspose(filters, 2, 2, name=f"up_{number}")(x)
        x = layers.Concatenate(name=f"skip_{number}")([x, skips[number]])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"merge_{number}")(x)
    return zoo.jitter(keras.Model(image, layers.Conv2D(2, 1, name="mask")(x), name="unet"))


def application(name: str, size: int, **options: Any) -> Any:
    """Return one of keras.applications, with random weights."""
    return zoo.jitter(
        getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10, **options)
    )


MODELS: dict[str, Callable[[], Any]] = {
    "unet": unet,
    "residual": zoo.residual,
    "cnn": zoo.cnn,
    "MobileNetV2": lambda: application("MobileNetV2", 32, alpha=0.35),
    "VGG16": lambda: application("VGG16", 32),
    "ResNet50": lambda: application("ResNet50", 32),
    "DenseNet121": lambda: application("DenseNet121", 32),
}
FIGURES = ("VGG16", "ResNet50", "MobileNetV2", "DenseNet121", "unet")
WHICH = sg.isa("Conv2D") | sg.isa("Dense") | sg.isa("SeparableConv2D") | sg.isa("Conv2DTranspose")


def zeroed(model: Any, plan: Any) -> Any:
    """Return a copy of a model in which the channels that a plan removes are zero all the way."""
    copy = sg.rewrite(model, [])
    for change in plan.journal:
        takes = plan.templates[change.slots[0]].details["takes"]
        layer = copy.get_layer(change.path)
        names = ("gamma", "beta") if "gamma" in takes else ("pointwise_kernel", "kernel", "bias")
        for name in names:
            if name not in takes or getattr(layer, name, None) is None:
                continue
            axis, stay = takes[name][-1]
            value = to_numpy(getattr(layer, name))
            gone = np.setdiff1d(np.arange(value.shape[axis]), stay)
            index: list[Any] = [slice(None)] * value.ndim
            index[axis] = gone
            if not (name == "kernel" and isinstance(layer, layers.DepthwiseConv2D)):
                value[tuple(index)] = 0
            getattr(layer, name).assign(value)
    return copy


@dataclass(frozen=True)
class Pruned:
    """A model before and after 30 % of its channels went.

    Attributes:
        before: The model.
        after: The model without these channels.
        plan: The plan.
        difference: Largest difference from the outputs of the model in which these channels are zero, as a
            part of the largest value.
        moved: The same from the outputs of the model as it was.
    """

    before: Any
    after: Any
    plan: Any
    difference: float
    moved: float

    @property
    def skipped(self) -> dict[str, str]:
        """Why some layers keep their channels."""
        return dict(self.plan.outcomes[0].skipped)

    def channels(self) -> tuple[int, int]:
        """Return how many channels the layers that may lose some have, before and after."""
        counts = [0, 0]
        for layer in self.before.layers:
            setting = next((name for name in ("filters", "units") if hasattr(layer, name)), None)
            if setting is not None and layer.name not in self.skipped:
                counts[0] += getattr(layer, setting)
                counts[1] += getattr(self.after.get_layer(layer.name), setting)
        return counts[0], counts[1]


def prune(model: Any, which: Any = WHICH, channels: float = 0.3) -> Pruned:
    """Remove some of the channels, and compare with the model in which they are zero."""
    plan = sg.plan(model, sg.prune(which, channels=channels))
    after = plan.apply(model, validate="structure")
    inputs = zoo.sample_inputs(model)
    want, got, full = (_flat(each(inputs)) for each in (zeroed(model, plan), after, model))
    assert np.isfinite(want).all()
    difference = float(np.abs(want - got).max() / np.abs(want).max())
    return Pruned(model, after, plan, difference, float(np.abs(full - got).max() / np.abs(full).max()))


def _flat(outputs: Any) -> Any:
    """Return all outputs of a model as one array."""
    return np.concatenate([to_numpy(one).astype("float64").ravel() for one in keras.tree.flatten(outputs)])


def size_of(model: Any) -> int:
    """Return the number of elements in all weights."""
    return sum(math.prod(v.shape) for v in model.weights)


def bytes_of(model: Any) -> int:
    """Return the size of a model's `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.stat().st_size


def flops_of(model: Any) -> int:
    """Return the floating-point operations of a prediction for one sample, by TensorFlow's profiler."""
    import tensorflow as tf

    shapes = [(1, *tensor.shape[1:]) for tensor in model.inputs]
    specs = [tf.TensorSpec(shape, tensor.dtype) for shape, tensor in zip(shapes, model.inputs, strict=True)]
    graph = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0])).get_concrete_function(*specs).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder
    quiet = options(options.float_operation()).with_empty_output().build()
    return int(tf.compat.v1.profiler.profile(graph, options=quiet).total_float_ops)
