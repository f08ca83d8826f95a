"""The page of the documentation that shows how fast a rewrite is, from the figures that a benchmark wrote."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _measuring import table

from surgeon.plots.figure import axes_of, saved, titled

Row = Mapping[str, Any]

HEAD = """# Speed

Written by `scripts/benchmark rewrite --page docs`. Times are processor time on a shared machine of two
cores, taken in turns in one process for each model, so only the ratios mean something: *copy ×* and
*share ×* say how many times longer `clone_model` and `set_weights` take than
`rewrite(model, [], validate="structure")`, as an
independent copy and with `share=True`. Those check that every layer, edge and weight is the same; cloning
checks nothing.

![How many times faster than cloning, for each model](speed.svg)
"""

TAIL = """## What is behind it

A copy has its layers made as objects, not through their configs, and its variables share memory with
the source until one of them is assigned (TensorFlow); the peak memory of a copy of 1 GB of weights was
1.00 of the source's weights. With `share=True` the two models have all calls in common up to the first
layer that a rule touches. Keras walks a new graph by recursion and looks for each
name among all others, so that `keras.Model(inputs, outputs)` takes a time that grows with the square of the
number of layers; where no rule changes the graph, its depths and order are carried over instead.
"""


def write_page(folder: Path, groups: Mapping[str, Sequence[Row]]) -> None:
    """Write `speed.md` and `speed.svg` into a folder.

    Args:
        folder: Where the documentation lies.
        groups: The rows of each group of models.
    """
    parts = [HEAD]
    for group, rows in groups.items():
        parts.append(f"## {group}\n\n{table(rows)}\n\n{summary(rows)}\n")
    parts.append(TAIL)
    (folder / "speed.md").write_text("\n".join(parts), encoding="utf-8")
    _draw(folder / "speed.svg", [row for rows in groups.values() for row in rows])


def summary(rows: Sequence[Row]) -> str:
    """Return median and extremes of both ratios, a line each."""
    lines = []
    for key in ("copy ×", "share ×"):
        values = [row[key] for row in rows]
        lines.append(
            f"{key}: median {statistics.median(values):.1f}, from {min(values):.1f} to {max(values):.1f}"
        )
    return "  \n".join(lines)


def _draw(path: Path, rows: Sequence[Row]) -> None:
    rows = sorted(rows, key=lambda row: row["share ×"])
    figure, axes, colors = axes_of("light", 8, 0.18 * len(rows) + 1)
    places = range(len(rows))
    copies, shares = ([row[key] for row in rows] for key in ("copy ×", "share ×"))
    axes.hlines(places, copies, shares, color=colors.border, linewidth=1)
    axes.scatter(copies, places, s=18, color=colors.frozen, label="independent copy", zorder=2)
    axes.scatter(shares, places, s=18, color=colors.trainable, marker="^", label="share=True", zorder=2)
    axes.set_xscale("log")
    axes.set_yticks(places, [row["model"] for row in rows], fontsize=6)
    axes.set_ylim(-1, len(rows))
    axes.set_xlabel("times faster than clone_model and set_weights")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=colors.text, fontsize=9)
    titled(axes, "rewrite against cloning", colors)
    saved(figure, path)
