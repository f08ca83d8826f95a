"""How far the weights of two checkpoints are apart."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from surgeon import paths
from surgeon.differences import relative_change
from surgeon.errors import ModelError
from surgeon.plots.figure import axes_of, named, saved, titled


def drift(before: Any, after: Any) -> list[tuple[str, float]]:
    """Return how far each weight moved, as `diff` has it.

    Weights that are not numbers or have other shapes are left out.

    Raises:
        ModelError: If the two have no weight in common.
    """
    olds, news = (
        {paths.join(where, name): variable for where, name, _, variable in paths.weights(model)}
        for model in (before, after)
    )
    moved = []
    for path, variable in olds.items():
        if path in news and tuple(variable.shape) == tuple(news[path].shape):
            old, new = (np.asarray(keras.ops.convert_to_numpy(v.value)) for v in (variable, news[path]))
            if np.issubdtype(old.dtype, np.number):
                moved.append((path, relative_change(old, new)))
    if not moved:
        raise ModelError(f"{before.name!r} and {after.name!r} have no weight of one path and shape in common")
    return moved


def plot_drift(
    before: Any, after: Any, path: str | os.PathLike[str] | None = None, *, theme: str = "light"
) -> Any:
    """Plot how far each weight moved between two checkpoints of one model, from input to output.

    Weights that did not move at all are drawn in the colour of what is frozen, at the bottom.

    Args:
        before: A model with weights.
        after: The same model later.
        path: Where to write it: `.svg`, `.png` or `.pdf`.
        theme: `"light"` or `"dark"`.

    Returns:
        The `matplotlib.figure.Figure`; notebooks show it.

    Raises:
        ModelError: If the two have no weight in common.
        RenderError: If matplotlib is missing or the file cannot be written.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> figure = surgeon.plot_drift(model, keras.models.clone_model(model))
        >>> len(figure.axes)
        1
    """
    found = drift(before, after)
    values = [value for _, value in found]
    moved = [value for value in values if value > 0]
    figure, axes, colors = axes_of(theme, 9, 3.8)
    floor = min(moved, default=1e-6) / 3
    still = [number for number, value in enumerate(values) if value == 0]
    axes.vlines(
        [n for n, value in enumerate(values) if value > 0], floor, moved, color=colors.trainable, linewidth=2
    )
    axes.plot(
        [n for n, value in enumerate(values) if value > 0], moved, "^", color=colors.trainable_text,
        markersize=5, label="moved",
    )  # fmt: skip
    axes.plot(still, [floor] * len(still), "s", color=colors.frozen, markersize=5, label="did not move")
    axes.set_yscale("log")
    named(axes, [path for path, _ in found])
    axes.set_xlabel("weights, from input to output")
    axes.set_ylabel("‖after − before‖ / larger of both norms")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=colors.text, fontsize=9)
    titled(axes, f"{before.name}: {len(moved):,} of {len(values):,} weights moved", colors)
    return saved(figure, path)
