"""How a run went, phase by phase."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from surgeon.errors import RenderError, near_misses
from surgeon.plots.figure import axes_of, saved, titled

TRAINABLE = "trainable"
"""What `Schedule.callback` calls the number of parameters that trained, in the history of a fit."""


def plot_training(
    history: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    metrics: Sequence[str] = ("loss",),
    schedule: Any = None,
    theme: str = "light",
) -> Any:
    """Plot metrics over the epochs, and how many parameters trained in each.

    Validation is dashed. The hatched area is what trained; a `fit` with `Schedule.callback()` records it.

    Args:
        history: What `fit` returned, or a mapping of lists with a value for each epoch.
        path: Where to write it: `.svg`, `.png` or `.pdf`.
        metrics: Which metrics; each with its `val_…`, where there is one.
        schedule: The `Schedule` of the run: where its phases begin is marked.
        theme: `"light"` or `"dark"`.

    Returns:
        The `matplotlib.figure.Figure`; notebooks show it.

    Raises:
        RenderError: If the history has no such metric, matplotlib is missing, or the file cannot be written.

    Example:
        >>> figure = plot_training({"loss": [3.0, 1.0, 0.5], "trainable": [10, 10, 90]})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['loss', 'parameters that train']
    """
    values: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    for metric in metrics:
        if metric not in values:
            raise RenderError(f"the history has no metric {metric!r}{near_misses(metric, values)}")
    figure, axes, colors = axes_of(theme, 9, 3.4)
    epochs = max((len(values[metric]) for metric in metrics), default=0)
    inks = (colors.frozen, colors.text, colors.changed, colors.muted)
    for number, metric in enumerate(metrics):
        for name, dashes in ((metric, "-"), (f"val_{metric}", "--")):
            if name in values:
                places = [epoch + 0.5 for epoch in range(len(values[name]))]
                axes.plot(
                    places, values[name], dashes, color=inks[number % len(inks)], marker=".", label=name
                )
    if TRAINABLE in values:
        _area(axes, values[TRAINABLE], colors)
    starts = accumulate((phase.epochs for phase in schedule.phases), initial=0) if schedule else ()
    for start in starts:
        if 0 < start < epochs:
            axes.axvline(start, color=colors.border, linewidth=1, linestyle=":")
    axes.set_xlim(0, max(epochs, 1))
    axes.set_xlabel("epochs" + (", a line where a phase begins" if schedule else ""))
    axes.set_ylabel(", ".join(metrics))
    figure.legend(loc="outside lower center", ncols=4, frameon=False, labelcolor=colors.text, fontsize=9)
    phases = f", {len(schedule.phases)} phases" if schedule else ""
    titled(axes, f"{epochs:,} {'epoch' if epochs == 1 else 'epochs'}{phases}", colors)
    return saved(figure, path)


def _area(axes: Any, counts: Sequence[float], colors: Any) -> None:
    """Draw what trained behind the curves, with a scale of its own at the right."""
    behind = axes.twinx()
    behind.bar(
        range(len(counts)), counts, width=1.0, align="edge", label=TRAINABLE, color=colors.trainable,
        hatch="////", edgecolor=colors.hatch, linewidth=0, alpha=0.4,
    )  # fmt: skip
    behind.set_ylim(0, max([*counts, 1]) * 1.05)
    behind.set_ylabel("parameters that train", color=colors.muted, fontsize=9)
    behind.tick_params(colors=colors.muted, labelsize=8)
    behind.spines[["top", "left", "bottom"]].set_visible(False)
    behind.spines["right"].set_color(colors.border)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
