"""The report as a value: made from two models, written as one file."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from surgeon.diagrams import draw_pair
from surgeon.diagrams.detail import Detail
from surgeon.diagrams.drawing import write_whole
from surgeon.diagrams.text import escape
from surgeon.errors import RenderError
from surgeon.graph import ModelGraph
from surgeon.planning import Plan, edited_paths
from surgeon.reporting.figures import plots_section
from surgeon.reporting.page import page
from surgeon.reporting.rows import layer_rows
from surgeon.reporting.sections import reproduce_section, rules_section, validation_section
from surgeon.roundtrip import to_graph
from surgeon.validation import ValidationReport, validate


@dataclass(frozen=True)
class Report:
    """One HTML page about surgery; made by `report`. In a notebook it shows itself.

    Attributes:
        title: What it is about.
        html: The page.
        validation: What was compared, and what differs; `None` if there were only graphs.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("head", "kernel"))
        >>> page = surgeon.report(model, tuned)
        >>> page.title, page.validation.ok
        ('small', True)
    """

    title: str
    html: str = field(repr=False)
    validation: ValidationReport | None = None

    def _repr_html_(self) -> str:
        """Return the page in a frame of its own, where it cannot touch the notebook around it."""
        return (
            f'<iframe title="{escape(self.title)}" sandbox="allow-scripts" width="100%" height="720" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page and return its path; the file is complete or absent.

        Raises:
            RenderError: If the name does not end in `.html`, or the folder does not exist.
        """
        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            raise RenderError(f"cannot save {path.name!r}: a report is HTML; give a name that ends in .html")
        if not path.parent.is_dir():
            raise RenderError(
                f"cannot save {path.name!r}: there is no folder {str(path.parent)!r}; create it first"
            )
        write_whole(path, self.html.encode())
        return path


def report(
    before: Any,
    after: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    plan: Plan | None = None,
    title: str | None = None,
    detail: Detail = "auto",
    plots: Mapping[str, Any] | None = None,
) -> Report:
    """Return a page that shows what surgery did: both models, every layer, rules, validation.

    The page is one file without anything from the network. The same models give the same bytes.

    Args:
        before: The model as it was, or its `ModelGraph`.
        after: The model as it is, or its `ModelGraph`.
        path: Where to write it, ending in `.html`. Nothing is written without it.
        plan: The plan that led from one to the other, for what each rule did and how to repeat it.
        title: The heading; by default the name of the first model.
        detail: How much the pictures show; as for `surgeon.diagram`.
        plots: Figures of matplotlib for a tab of their own, by name: what `surgeon.plot_training`,
            `plot_mask`, `plot_depth` and `plot_drift` return. Made with the light theme, they follow
            the page into the dark.

    Raises:
        NoGraphError: If a model has no graph.
        RenderError: If the pictures cannot be made or the file cannot be written.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")], name="tiny")
        >>> plan = surgeon.plan(model, surgeon.freeze("d", "kernel"))
        >>> surgeon.report(model, plan.apply(model), plan=plan).title
        'tiny'
    """
    olds, news = (model if isinstance(model, ModelGraph) else to_graph(model) for model in (before, after))
    old, new = draw_pair(olds, news, detail=detail)
    checked = _validated(before, after, plan)
    name = title if title is not None else olds.name
    text = page(
        title=name,
        summaries=(old.title, new.title),
        pictures=(old.svg, new.svg),
        rows=layer_rows(olds, news, old.members, new.members),
        sections={
            "Rules": rules_section(plan),
            "Validation": validation_section(checked),
            **({"Plots": plots_section(plots)} if plots else {}),
            "Reproduce": reproduce_section(plan, keras.__version__, keras.backend.backend()),
        },
    )
    made = Report(name, text, checked)
    if path is not None:
        made.save(path)
    return made


def _validated(before: Any, after: Any, plan: Plan | None) -> ValidationReport | None:
    if isinstance(before, ModelGraph) or isinstance(after, ModelGraph):
        return None
    if plan is None or not plan.journal:
        return validate(before, after)
    return validate(before, after, replaced=edited_paths(plan, to_graph(before)), edited=True)
