"""The matrix in which frozen must stay frozen: every optimizer of Keras, in every option that moves weights.

`subject` is one model with a weight of every granularity under every kind of penalty. `naive` is the same
model as people write it by hand: one full-size variable, and a mask that keeps the gradient from the frozen
elements.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import constraints, layers, ops, optimizers, regularizers
from numpy.typing import NDArray

import surgeon as sg
from surgeon import paths
from surgeon.partial import PartialVariable
from tests.helpers import to_numpy
from tests.zoo import jitter

STEPS = 50
BATCH = 4
RATE = 0.01

Optimizer = Callable[..., Any]
Masks = dict[str, NDArray[np.bool_]]

OPTIMIZERS: dict[str, Optimizer] = {
    "SGD": optimizers.SGD,
    "SGD momentum": lambda **options: optimizers.SGD(momentum=0.9, **options),
    "SGD nesterov": lambda **options: optimizers.SGD(momentum=0.9, nesterov=True, **options),
    "Adam": optimizers.Adam,
    "Adam amsgrad": lambda **options: optimizers.Adam(amsgrad=True, **options),
    "AdamW": optimizers.AdamW,
    "Lion": optimizers.Lion,
    "Adafactor": optimizers.Adafactor,
    "Muon": optimizers.Muon,
    "Lamb": optimizers.Lamb,
    "Ftrl": lambda **options: optimizers.Ftrl(
        l1_regularization_strength=1e-3, l2_regularization_strength=1e-3, **options
    ),
    "Nadam": optimizers.Nadam,
    "RMSprop": lambda **options: optimizers.RMSprop(momentum=0.5, centered=True, **options),
    "Adagrad": optimizers.Adagrad,
    "Adadelta": optimizers.Adadelta,
    "Adamax": optimizers.Adamax,
    "ScheduleFreeAdamW": lambda **options: optimizers.ScheduleFreeAdamW(warmup_steps=2, **options),
}

OPTIONS: dict[str, dict[str, Any]] = {
    "decay, clipnorm, accumulation": {"weight_decay": 0.1, "clipnorm": 0.5, "gradient_accumulation_steps": 2},
    "decay, global clipnorm, EMA": {
        "weight_decay": 0.1,
        "global_clipnorm": 0.5,
        "use_ema": True,
        "ema_momentum": 0.9,
        "ema_overwrite_frequency": 5,
    },
    "clipvalue, loss scale": {"clipvalue": 0.1},
}


def optimizer(name: str, option: str) -> Any:
    """Return an optimizer of the matrix; the loss scale goes around it. The option `"alone"` is none."""
    made = OPTIMIZERS[name](learning_rate=RATE, **OPTIONS.get(option, {}))
    return optimizers.LossScaleOptimizer(made, initial_scale=64.0) if "loss scale" in option else made


RULES = [
    sg.train("embedding", embeddings=sg.rows([1, 4, 7])),
    sg.train("conv", kernel=sg.channels([0, 2])),
    sg.freeze("batch_norm"),
    sg.train("rows", kernel=sg.rows([0, 5])),
    sg.train("few", kernel=sg.elements(0.2, by="random")),
    sg.train("most", kernel=sg.elements(0.8, by="random"), bias=sg.channels([0, 3])),
    sg.freeze("whole", "kernel"),
]


def subject(*, penalties: bool = True, kinds: Any = layers) -> Any:
    """Return the model of the matrix.

    Args:
        penalties: Whether each weight has a regularizer or a constraint, each of another kind.
        kinds: Has the layer classes `Embedding`, `Conv1D` and `Dense`.
    """

    def having(**options: Any) -> dict[str, Any]:
        return options if penalties else {}

    x = words = keras.Input((6,), dtype="int32", name="words")
    more = having(embeddings_regularizer="l2", embeddings_constraint="max_norm")
    x = kinds.Embedding(9, 6, name="embedding", **more)(x)
    more = having(kernel_constraint=constraints.MaxNorm(0.5, axis=[0, 1]), kernel_regularizer="l1")
    x = kinds.Conv1D(4, 3, name="conv", **more)(x)
    x = layers.BatchNormalization(name="batch_norm")(x)
    x = layers.Flatten(name="flatten")(x)
    more = having(kernel_constraint="non_neg", kernel_regularizer=regularizers.L1L2(0.01, 0.01))
    x = kinds.Dense(6, activation="tanh", name="rows", **more)(x)
    more = having(kernel_constraint="min_max_norm", kernel_regularizer="orthogonal_regularizer")
    x = kinds.Dense(6, name="few", **more)(x)
    more = having(kernel_constraint="unit_norm", bias_constraint="max_norm", bias_regularizer="l2")
    x = kinds.Dense(6, name="most", **more)(x)
    more = having(kernel_regularizer="l2", kernel_constraint="unit_norm")
    x = kinds.Dense(6, name="whole", **more)(x)
    return jitter(keras.Model(words, layers.Dense(2, name="head")(x), name="subject"))


def samples(steps: int = STEPS) -> tuple[Any, Any]:
    """Return inputs and targets for so many steps."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 9, (steps * BATCH, 6)), rng.normal(size=(steps * BATCH, 2)).astype("float32")


def rewritten(**options: Any) -> Any:
    """Return the subject with `RULES`, after the toggle that undoes freezing elsewhere."""
    model = sg.rewrite(subject(**options), RULES, validate="none")
    model.trainable = False
    model.trainable = True
    return model


def masks(model: Any) -> Masks:
    """Return for each weight that is partial where it trains, by path."""
    return {
        f"{path}/{name}": variable.part.to_mask()
        for path, name, _, variable in paths.weights(model)
        if isinstance(variable, PartialVariable)
    }


def values(model: Any) -> dict[str, NDArray[Any]]:
    """Return the whole value of each weight by path."""
    return {f"{path}/{name}": to_numpy(variable) for path, name, _, variable in paths.weights(model)}


def changed(
    before: dict[str, Any], after: dict[str, Any], where: dict[str, Any]
) -> dict[str, tuple[int, int]]:
    """Return for each masked weight how many frozen and how many trainable elements are other ones now."""
    found = {}
    for path, mask in where.items():
        moved = before[path] != after[path]
        found[path] = (int((moved & ~mask).sum()), int((moved & mask).sum()))
    return found


def naive(where: dict[str, NDArray[np.bool_]], **options: Any) -> Any:
    """Return the subject with masks by hand."""

    masked = {base.__name__: _masked(base, weight, where) for base, weight in _MASKED}
    return subject(kinds=SimpleNamespace(**masked), **options)


_MASKED = ((layers.Embedding, "embeddings"), (layers.Conv1D, "kernel"), (layers.Dense, "kernel"))


def _masked(base: Any, weight: str, where: dict[str, NDArray[np.bool_]]) -> Any:
    def whole(self: Any) -> Any:
        stored = getattr(base, weight).fget(self)
        mask = where.get(f"{self.name}/{weight}")
        if mask is None:
            return stored
        mask = ops.cast(mask, stored.dtype)
        return stored * mask + ops.stop_gradient(stored * (1.0 - mask))

    return type(base.__name__, (base,), {weight: property(whole)})
