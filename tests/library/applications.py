"""What folding BatchNormalization makes of keras.applications: models, how they are compared, the figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy

SIZE = 75
"""Sides of the pictures: the smallest that every one of them takes."""

LARGER = {"InceptionResNetV2": (139, 4)}
"""Sides and samples where statistics of two numbers would let rounding grow by 1e16."""


def with_norm() -> dict[str, Any]:
    """Return the constructors of all keras.applications that have BatchNormalization, by name."""
    made = {n: v for n, v in vars(keras.applications).items() if callable(v) and n[0].isupper()}
    return {name: made[name] for name in sorted(made) if not name.startswith(("VGG", "ConvNeXt"))}


def calibrated(model: Any, batch: int = 2) -> Any:
    """Give a model statistics that fit its signal, as training does: else it grows and drowns in rounding."""
    zoo.jitter(model)
    norms = [layer for layer in zoo.every_layer(model) if isinstance(layer, layers.BatchNormalization)]
    kept = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(zoo.sample_inputs(model, batch=batch), training=True)
    for layer, momentum in zip(norms, kept, strict=True):
        layer.momentum = momentum
    return model


def worst_difference(old: Any, new: Any) -> float:
    """Return the largest difference of two tensors, as a part of the largest value."""
    old, new = to_numpy(old), to_numpy(new)
    assert np.isfinite(old).all()
    return float(np.abs(old - new).max() / np.abs(old).max())


@dataclass(frozen=True)
class Folded:
    """What folding did to one model.

    Attributes:
        before: Number of BatchNormalization layers.
        left: Those that are left: path and reason.
        foldable: Paths of those that are left and could be folded, counted by hand.
        difference: Largest difference of the outputs, as a part of the largest.
    """

    before: int
    left: dict[str, str]
    foldable: list[str]
    difference: float

    @property
    def reasons(self) -> str:
        """Return why some are left, with how many of each."""
        counts = Counter(_kind(reason) for reason in self.left.values())
        return "; ".join(f"{count} × {reason}" for reason, count in counts.most_common())


def fold(constructor: Any) -> Folded:
    """Fold all that can be folded in one of keras.applications.

    In float64, so that what is seen is the arithmetic, and not how a deep network amplifies rounding.
    """
    keras.config.set_dtype_policy("float64")
    size, batch = LARGER.get(constructor.__name__, (SIZE, 2))
    model = calibrated(constructor(weights=None, include_top=False, input_shape=(size, size, 3)), batch)
    plan = sg.plan(model, sg.fold_batch_norm())
    folded = plan.apply(model, validate="structure")
    inputs = zoo.sample_inputs(model, batch=1)
    left = {layer.name for layer in folded.layers if isinstance(layer, layers.BatchNormalization)}
    reasons = dict(plan.outcomes[0].skipped)
    before = sum(isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    foldable = [name for name in sorted(left) if could_be_folded(folded, name)]
    difference = worst_difference(model(inputs), folded(inputs))
    return Folded(before, {name: reasons.get(name, "") for name in sorted(left)}, foldable, difference)


def could_be_folded(model: Any, name: str) -> bool:
    """Whether a BatchNormalization alone reads a linear layer, told from Keras's own records."""
    norm = model.get_layer(name)
    (tensor,) = norm._inbound_nodes[0].input_tensors
    before = tensor._keras_history.operation
    kernels = (
        layers.Dense
        | layers.Conv1D
        | layers.Conv2D
        | layers.Conv2DTranspose
        | layers.DepthwiseConv2D
        | layers.SeparableConv2D
    )
    if not isinstance(before, kernels) or before.activation is not keras.activations.linear:
        return False
    return len(before._outbound_nodes) == 1 and len(before._inbound_nodes) == 1


def _kind(reason: str) -> str:
    """Return a reason without the names of layers, for counting."""
    for words, kind in (
        ("is_linear", "after no linear layer"),
        ("also read", "its input is read elsewhere, too"),
        ("model's output", "its input is an output of the model"),
    ):
        if words in reason:
            return kind
    return reason.partition(":")[2].strip() or "no reason"
