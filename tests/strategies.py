"""Random small functional models, for properties that must hold for every model.

A model is drawn as a `Recipe`, plain data that Hypothesis prints and shrinks, and built from it inside
the test (Keras draws from `random` while it builds, which Hypothesis forbids inside a strategy).

    @given(recipes())
    def test_something(recipe):
        model = build(recipe)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers, ops

from tests.zoo import jitter

WIDTH = 4


@dataclass(frozen=True)
class Step:
    """One more tensor: what is done, to which of the tensors made so far (counted from the last)."""

    kind: str
    back: int = 0
    other: int = 0


@dataclass(frozen=True)
class Recipe:
    """Steps from one input (or two) to the last tensor (or the last two)."""

    steps: tuple[Step, ...]
    inputs: int = 1
    outputs: int = 1


class _Kitchen:
    """What one model has in reach while it is made: the layers that a later step may share."""

    def __init__(self) -> None:
        self.count = 0
        self.shared: Any = None
        self.tower: Any = None
        self.deep: Any = None

    def name(self, kind: str) -> str:
        # Not `add_2`: Keras names the operations behind `x + y` so by itself, counting on from test to test.
        self.count += 1
        return f"{kind}{self.count}"

    def shared_dense(self, x: Any) -> Any:
        self.shared = self.shared or layers.Dense(WIDTH, activation="tanh", name="shared")
        return self.shared(x)

    def two_levels(self, x: Any) -> Any:
        """Call a model whose inner model calls the layer that this level shares, too."""
        if self.deep is None:
            innermost, middle = keras.Input((WIDTH,), name="innermost"), keras.Input((WIDTH,), name="middle")
            inner = keras.Model(innermost, self.shared_dense(innermost), name="inner_tower")
            self.deep = keras.Model(middle, self.shared_dense(inner(middle) * 0.5), name="outer_tower")
        return self.deep(x)

    def masked(self, x: Any) -> Any:
        """Read the vector as a sequence of which the small elements are masked."""
        x = x * ops.cast(ops.abs(x) > 0.1, "float32")
        steps = layers.Reshape((WIDTH, 1), name=self.name("steps"))(x)
        steps = layers.Masking(0.0, name=self.name("masking"))(steps)
        steps = layers.Dropout(0.1, name=self.name("drop"))(steps)
        return layers.GRU(WIDTH, name=self.name("gru"))(steps)

    def nested(self, x: Any) -> Any:
        if self.tower is None:
            vector = keras.Input((WIDTH,), name="vector")
            y = layers.Dense(WIDTH, activation="relu", name="inner")(vector)
            y = layers.BatchNormalization(name="inner_norm")(y)
            self.tower = keras.Model(vector, vector + y, name="tower")
        return self.tower(x)


# Every tensor has shape (batch, WIDTH), so that any step fits anywhere.
KINDS: dict[str, Callable[[_Kitchen, Any, Any], Any]] = {
    "dense": lambda kitchen, x, _: layers.Dense(WIDTH, name=kitchen.name("dense"))(x),
    "wide": lambda kitchen, x, _: layers.Dense(WIDTH, use_bias=False, name=kitchen.name("down"))(
        layers.Dense(7, activation="relu", name=kitchen.name("up"))(x)
    ),
    "batch_norm": lambda kitchen, x, _: layers.BatchNormalization(name=kitchen.name("batch_norm"))(x),
    "layer_norm": lambda kitchen, x, _: layers.LayerNormalization(name=kitchen.name("layer_norm"))(x),
    "dropout": lambda kitchen, x, _: layers.Dropout(0.2, name=kitchen.name("dropout"))(x),
    "activation": lambda kitchen, x, _: layers.Activation("tanh", name=kitchen.name("activation"))(x),
    "shared": lambda kitchen, x, _: kitchen.shared_dense(x),
    "nested": lambda kitchen, x, _: kitchen.nested(x),
    "two_levels": lambda kitchen, x, _: kitchen.two_levels(x),
    "masked": lambda kitchen, x, _: kitchen.masked(x),
    "half": lambda kitchen, x, _: ops.cast(
        layers.Dense(WIDTH, dtype="float16", name=kitchen.name("half"))(x), "float32"
    ),
    "mixed": lambda kitchen, x, _: ops.cast(
        layers.Dense(WIDTH, dtype="mixed_bfloat16", activation="tanh", name=kitchen.name("mixed"))(x),
        "float32",
    ),
    "add": lambda kitchen, x, y: layers.Add(name=kitchen.name("add"))([x, y]),
    "concat": lambda kitchen, x, y: layers.Dense(WIDTH, name=kitchen.name("join"))(
        layers.Concatenate(name=kitchen.name("concat"))([x, y])
    ),
    "scale": lambda kitchen, x, _: x * 0.5 + 1.0,
    "constant": lambda kitchen, x, _: x + np.linspace(-0.5, 0.5, WIDTH).astype("float32"),
    "relu": lambda kitchen, x, _: ops.relu(x),
    "minus": lambda kitchen, x, y: ops.subtract(x, y * 0.1),
    "roll": lambda kitchen, x, _: ops.concatenate([x[:, 1:], x[:, :1]], axis=-1),
}


def recipes(max_steps: int = 8, kinds: tuple[str, ...] = tuple(KINDS)) -> st.SearchStrategy[Recipe]:
    """Strategy of recipes; fewer steps and single inputs and outputs come first when shrinking.

    Args:
        max_steps: Most steps in one model.
        kinds: Which kinds of step may occur, keys of `KINDS`.
    """
    steps = st.builds(Step, st.sampled_from(kinds), st.integers(0, 3), st.integers(0, 3))
    return st.builds(
        Recipe,
        st.lists(steps, min_size=1, max_size=max_steps).map(tuple),
        inputs=st.integers(1, 2),
        outputs=st.integers(1, 2),
    )


def build(recipe: Recipe) -> Any:
    """Build the model of a recipe, with a Dense `head` so that something can always train."""
    kitchen = _Kitchen()
    inputs = [keras.Input((WIDTH,), name=f"input_{number}") for number in range(recipe.inputs)]
    first = inputs[0] if len(inputs) == 1 else layers.Add(name="merge")(inputs)
    made = [layers.Dense(WIDTH, name="stem")(first)]
    for step in recipe.steps:
        x, y = (made[-1 - back % len(made)] for back in (step.back, step.other))
        made.append(KINDS[step.kind](kitchen, x, y))
    outputs = [layers.Dense(2, name="head")(made[-1]), *made[-recipe.outputs : -1]]
    return jitter(keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name="random_model"))
