"""Graphs to drawings."""

from __future__ import annotations

from surgeon.diagrams.compare import compared, notes_of
from surgeon.diagrams.detail import Detail, arrange
from surgeon.diagrams.dot import Panel, write
from surgeon.diagrams.drawing import Drawing
from surgeon.diagrams.outline import outline
from surgeon.diagrams.theme import theme_named
from surgeon.diagrams.view import view_of
from surgeon.graph import ModelGraph


def draw(
    graph: ModelGraph, *, theme: str = "light", detail: Detail = "auto", title: str | None = None
) -> Drawing:
    """Return the picture of what is frozen, partly frozen, trainable and state in a model.

    Args:
        graph: The model.
        theme: `"light"` or `"dark"`.
        detail: `"weights"`: a row for each weight. `"layers"`: a card for each layer with
            weights. `"blocks"`: blocks in one card each, repeats as `×N`. `"overview"`: as
            few cards as three in a hundred layers, but one at least. `"auto"`: the first of
            the first three that fits on a page.
        title: The heading. `None` for the model's name, `""` for no heading.

    Raises:
        RenderError: If there is no such theme or detail; names near misses.

    Example:
        >>> draw(ModelGraph("tiny", "Functional", {}, (), ())).dot.startswith("digraph")
        True
    """
    colors = theme_named(theme)
    (view,), rows = arrange([view_of(graph)], detail)
    heading = graph.name if title is None else title
    source = write([Panel(view, heading)], colors, rows)
    name = heading or graph.name
    return Drawing(
        f"{name}: {view.figures.summary}",
        source.text,
        outline(view, name, {}, rows),
        colors,
        source.tips,
        source.members,
    )


def draw_change(
    before: ModelGraph,
    after: ModelGraph,
    *,
    theme: str = "light",
    detail: Detail = "auto",
    titles: tuple[str, str] = ("before", "after"),
) -> Drawing:
    """Return the picture of two models side by side, with what differs marked.

    Both are put into cards in the same way. Layers that only one of them has are framed; on
    each card of the second stands how many elements are newly frozen and newly trainable.

    Args:
        before: The model as it was.
        after: The model as it is.
        theme: `"light"` or `"dark"`.
        detail: As in `draw`.
        titles: The two headings.

    Raises:
        RenderError: If there is no such theme or detail; names near misses.
    """
    colors = theme_named(theme)
    panels, rows = _panels(before, after, detail, titles)
    source = write(panels, colors, rows)
    text = "\n\n".join(outline(panel.view, panel.title, panel.notes, rows) for panel in panels)
    title = "; ".join(f"{panel.title}: {panel.view.figures.summary}" for panel in panels)
    return Drawing(title, source.text, text, colors, source.tips, source.members)


def draw_pair(
    before: ModelGraph, after: ModelGraph, *, theme: str = "light", detail: Detail = "auto"
) -> tuple[Drawing, Drawing]:
    """Return what `draw_change` shows as two pictures without headings and legend.

    Raises:
        RenderError: If there is no such theme or detail; names near misses.
    """
    colors = theme_named(theme)
    panels, rows = _panels(before, after, detail, ("before", "after"))
    drawings = []
    for panel in panels:
        source = write([Panel(panel.view, "", panel.notes)], colors, rows, explained=False)
        text = outline(panel.view, panel.title, panel.notes, rows)
        title = f"{panel.title}: {panel.view.figures.summary}"
        drawings.append(Drawing(title, source.text, text, colors, source.tips, source.members))
    return drawings[0], drawings[1]


def _panels(
    before: ModelGraph, after: ModelGraph, detail: Detail, titles: tuple[str, str]
) -> tuple[list[Panel], bool]:
    old, new = view_of(before), view_of(after)
    (old, new), rows = arrange([compared(old, new), compared(new, old)], detail)
    return [
        Panel(old, titles[0], notes_of(old, "before"), boxed=True),
        Panel(new, titles[1], notes_of(new, "after"), boxed=True),
    ], rows
