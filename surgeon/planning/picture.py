"""A plan as a picture: the model before and after."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from surgeon.diagrams import draw, draw_change
from surgeon.errors import PlanError
from surgeon.graph import ModelGraph
from surgeon.roundtrip import to_graph

if TYPE_CHECKING:
    from surgeon.planning.plan import Plan


def draw_plan(plan: Plan, path: str | os.PathLike[str] | None, **options: Any) -> Any:
    """Draw a plan, and write the picture if a path is given; see `Plan.diagram`."""
    if plan.before is None or plan.after is None:
        raise PlanError(
            "a plan that was read from JSON has no graphs to draw: make it with surgeon.plan(model, rules)"
        )
    drawing = draw_change(plan.before, plan.after, **options)
    if path is not None:
        drawing.save(path)
    return drawing


def diagram(model: Any, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
    """Draw what of a model is frozen, partly frozen, trainable, or state.

    Args:
        model: A built functional or Sequential model, or a `ModelGraph`.
        path: Where to write it: `.svg`, `.png`, `.pdf` or `.dot`. Nothing is written without it.
        **options: As for `surgeon.diagrams.draw`: `theme`, `detail`, `title`.

    Returns:
        The drawing, with `.svg`, `.png()` and `.dot`.

    Raises:
        NoGraphError: If the model has no graph.
        RenderError: If the picture cannot be made.

    Example:
        >>> import keras, surgeon
        >>> inputs, head = keras.Input((4,), name="x"), keras.layers.Dense(2, name="y")
        >>> model = keras.Sequential([inputs, head], name="small")
        >>> print(surgeon.diagram(model))
        small (Sequential): 10 of 10 params trainable
        ├─ · x: Input 4
        └─ ▲ y: Dense, trainable, 10 params → 2
              ▲ kernel 4×2 trainable
              ▲ bias 2 trainable
    """
    drawing = draw(model if isinstance(model, ModelGraph) else to_graph(model), **options)
    if path is not None:
        drawing.save(path)
    return drawing
