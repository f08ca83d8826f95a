"""Which elements of a weight train, as a heat map."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from surgeon import paths
from surgeon.errors import WeightNameError, near_misses
from surgeon.partial import Part, PartialVariable
from surgeon.plots.figure import axes_of, saved, titled

_MOST = 512  # cells along a side; beyond it a cell is the share of several elements


def plot_mask(
    source: Any,
    weight: str | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    theme: str = "light",
) -> Any:
    """Plot which elements of one weight train: a row for each input, a column for each output.

    The last axis runs to the right, all others downwards. In a weight with more than 512 rows or
    columns a cell is the share of several neighbours.

    Args:
        source: A model, or a `Part`.
        weight: Path of the weight in the model: `conv_1/kernel`.
        path: Where to write it: `.svg`, `.png` or `.pdf`.
        theme: `"light"` or `"dark"`.

    Returns:
        The `matplotlib.figure.Figure`; notebooks show it.

    Raises:
        WeightNameError: If the model has no such weight; names near misses.
        RenderError: If matplotlib is missing or the file cannot be written.

    Example:
        >>> from surgeon.partial import Part
        >>> figure = plot_mask(Part.slices((4, 10), 1, [0, 7]))
        >>> figure.axes[0].get_title(loc="left")
        '8 of 40 elements train'
    """
    part, title = (source, weight or "") if isinstance(source, Part) else (_part(source, weight), str(weight))
    mask = part.to_mask()
    wide = mask.shape[-1] if mask.ndim else 1
    shares = _shrunk(mask.reshape(-1, wide).astype(float))
    figure, axes, colors = axes_of(theme, 7, 1.6 + 4 * min(1.0, shares.shape[0] / max(shares.shape[1], 1)))
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("surgeon", [colors.frozen, colors.trainable])
    axes.imshow(
        shares, cmap=scale, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
        extent=(0, wide, mask.size // max(wide, 1), 0),
    )  # fmt: skip
    axes.set_xlabel("last axis (outputs)")
    axes.set_ylabel("all other axes")
    trains = f"{part.size:,} of {mask.size:,} elements train"
    titled(axes, f"{title}: {trains}" if title else trains, colors)
    return saved(figure, path)


def _part(model: Any, weight: str | None) -> Part:
    found = {paths.join(where, name): variable for where, name, _, variable in paths.weights(model)}
    if weight not in found:
        close = near_misses(str(weight), found)
        raise WeightNameError(f"{model.name!r} has no weight {weight!r}{close}")
    variable = found[weight]
    if isinstance(variable, PartialVariable):
        return variable.part
    shape = tuple(variable.shape)
    return Part.all(shape) if variable.trainable else Part.none(shape)


def _shrunk(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return means of blocks, so that no side is longer than `_MOST`."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > _MOST:
            starts = np.linspace(0, size, _MOST, endpoint=False).astype(int)
            counts = np.diff([*starts, size])
            sums = np.add.reduceat(values, starts, axis=axis)
            values = sums / (counts[:, None] if axis == 0 else counts)
    return values
