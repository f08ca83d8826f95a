"""How much trains at which depth of a model."""

from __future__ import annotations

import os
from typing import Any

from surgeon.diagrams.figures import Figures
from surgeon.graph import ModelGraph
from surgeon.graph.model_graph import unique_nodes
from surgeon.plots.figure import axes_of, named, saved, titled
from surgeon.roundtrip import to_graph


def depth_figures(graph: ModelGraph) -> list[tuple[str, Figures]]:
    """Return name and counts of each layer with weights, in the order of running."""
    return [(node.name, Figures.of(node.weights)) for node in unique_nodes(graph) if node.weights]


def plot_depth(model: Any, path: str | os.PathLike[str] | None = None, *, theme: str = "light") -> Any:
    """Plot frozen, trainable and state elements of each layer with weights, from input to output.

    Args:
        model: A built functional or Sequential model, or a `ModelGraph`.
        path: Where to write it: `.svg`, `.png` or `.pdf`.
        theme: `"light"` or `"dark"`.

    Returns:
        The `matplotlib.figure.Figure`; notebooks show it.

    Raises:
        NoGraphError: If the model has no graph.
        RenderError: If matplotlib is missing or the file cannot be written.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> figure = surgeon.plot_depth(model)
        >>> figure.axes[0].get_ylabel()
        'share of elements'
    """
    graph = model if isinstance(model, ModelGraph) else to_graph(model)
    found = [(name, figures) for name, figures in depth_figures(graph) if figures.total]
    layers = [figures for _, figures in found]
    figure, axes, colors = axes_of(theme, 9, 3.8)
    places = range(len(layers))
    bottoms = [0.0] * len(layers)
    looks: dict[str, dict[str, Any]] = {
        "frozen": {"color": colors.frozen},
        "trainable": {"color": colors.trainable, "hatch": "////", "edgecolor": colors.hatch, "linewidth": 0},
        "state": {"color": colors.state},
        "state, still": {"color": colors.still},
    }
    counts = {
        "frozen": [one.frozen for one in layers],
        "trainable": [one.trainable for one in layers],
        "state": [one.state - one.still for one in layers],
        "state, still": [one.still for one in layers],
    }
    for name, look in looks.items():
        if name == "state, still" and not any(counts[name]):
            continue
        shares = [count / one.total for count, one in zip(counts[name], layers, strict=True)]
        axes.bar(places, shares, bottom=bottoms, width=1.0, label=name, **look)
        bottoms = [bottom + share for bottom, share in zip(bottoms, shares, strict=True)]
    axes.set_xlabel("layers with weights, from input to output")
    axes.set_ylabel("share of elements")
    named(axes, [name for name, _ in found])
    axes.set_xlim(-0.5, max(len(layers), 1) - 0.5)
    axes.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, labelcolor=colors.text, fontsize=9)
    whole = Figures.of(graph.weights)
    titled(axes, f"{graph.name}: {whole.summary}", colors)
    return saved(figure, path)
