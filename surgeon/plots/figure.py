"""What all plots share: a figure in Surgeon's colours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.diagrams.text import shorten
from surgeon.diagrams.theme import Theme, theme_named
from surgeon.errors import RenderError, near_misses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SUFFIXES = (".svg", ".png", ".pdf")
_MOST_NAMES = 40
_LONGEST_NAME = 25


def axes_of(theme: str, wide: float, high: float) -> tuple[Figure, Axes, Theme]:
    """Return a figure of `wide` × `high` inches, its axes, and its colours.

    Raises:
        RenderError: If matplotlib is missing, or there is no such theme.
    """
    colors = theme_named(theme)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RenderError("plots need matplotlib: `pip install 'surgeon-keras[plots]'`") from error
    # Not by pyplot: it would keep the figure, and choose a backend for the whole process.
    figure = Figure(figsize=(wide, high), layout="constrained", facecolor=colors.background)
    axes = figure.subplots()
    axes.set_facecolor(colors.background)
    axes.tick_params(which="both", colors=colors.muted, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(colors.border)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(colors.muted)
        label.set_fontsize(9)
    return figure, axes, colors


def named(axes: Axes, names: Sequence[str]) -> None:
    """Write under places 0, 1, 2 and so on what they are; of many, under every second, third or fourth."""
    step = -(-len(names) // _MOST_NAMES) or 1
    shown = [_plain(shorten(name, _LONGEST_NAME)) for name in names[::step]]
    axes.set_xticks(range(0, len(names), step), labels=shown, rotation=90, fontsize=7)


def _plain(text: str) -> str:
    """Return text in which nothing is read as a formula."""
    return text.replace("$", r"\$")


def titled(axes: Axes, title: str, colors: Theme) -> None:
    """Set the title, at the left; a name in it is never read as a formula."""
    axes.set_title(_plain(title), loc="left", color=colors.text, fontsize=11, fontweight="bold")


def saved(figure: Figure, path: str | os.PathLike[str] | None) -> Any:
    """Write the figure if a path is given, and return it.

    Raises:
        RenderError: If the suffix is none that can be written, or the folder does not exist.
    """
    if path is None:
        return figure
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        close = near_misses(path.suffix, _SUFFIXES)
        raise RenderError(f"cannot save {path.name!r}: no format {path.suffix!r}{close}")
    if not path.parent.is_dir():
        raise RenderError(
            f"cannot save {path.name!r}: there is no folder {str(path.parent)!r}; create it first"
        )
    import matplotlib as mpl

    # A fixed salt and no date: the same plot gives the same bytes.
    date = {"CreationDate": None} if path.suffix.lower() == ".pdf" else {"Date": None}
    metadata = {} if path.suffix.lower() == ".png" else date
    with mpl.rc_context({"svg.hashsalt": "surgeon"}):
        figure.savefig(path, dpi=200, facecolor=figure.get_facecolor(), metadata=metadata)
    return figure
