"""Commands that only look: `inspect`, `diff`, `diagram`, `report`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from surgeon import checkpoint
from surgeon.cli import options
from surgeon.cli.console import note, out, show, show_json

PICTURES = (".svg", ".png", ".pdf", ".dot", ".gv")
PAGES = (".html", ".htm")


class Detail(StrEnum):
    """How much of a model a picture shows."""

    AUTO = "auto"
    OVERVIEW = "overview"
    BLOCKS = "blocks"
    LAYERS = "layers"
    WEIGHTS = "weights"


def inspect(
    model: options.Model,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the layers of a model, their weights, and what trains."""
    loaded = options.open_model(model, architecture, imports)
    from surgeon.cli.inventory import Inventory

    inventory = Inventory.of(loaded)
    if as_json:
        show_json(inventory)
    else:
        out().print(inventory.table())


def diff(
    before: options.Model,
    after: options.Model,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    diagram: options.Diagram = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare two models: structure, trainability and weights."""
    options.check_model(before, architecture)
    options.check_model(after, architecture)
    if diagram is not None:
        options.check_output(diagram, PICTURES, force=force)
    one = options.open_model(before, architecture, imports)
    other = options.open_model(after, architecture, imports)
    import surgeon

    difference = surgeon.diff(one, other)
    if diagram is not None:
        with checkpoint.atomic_output(diagram, force=force) as temp:
            difference.diagram(temp)
        note(f"wrote {diagram}")
    if as_json:
        show_json(difference)
    else:
        show(difference)


def diagram(
    model: options.Model,
    output: Annotated[
        Path, typer.Option("--out", "-o", help=f"Where to draw: {', '.join(PICTURES)}.", dir_okay=False)
    ],
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    detail: Annotated[
        Detail, typer.Option(help="How much to show; auto takes what fits on a page.")
    ] = Detail.AUTO,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Draw what is frozen, partly frozen, trainable or state."""
    options.check_model(model, architecture)
    options.check_output(output, PICTURES, force=force)
    options.check_theme(theme)
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    with checkpoint.atomic_output(output, force=force) as temp:
        surgeon.diagram(loaded, temp, theme=theme, detail=detail.value)
    note(f"wrote {output}")


def report(
    before: options.Model,
    after: options.Model,
    output: options.Output,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Write one HTML page about two models.

    It has pictures, every layer, and what differs.
    """
    options.check_model(before, architecture)
    options.check_model(after, architecture)
    options.check_output(output, PAGES, force=force)
    one = options.open_model(before, architecture, imports)
    other = options.open_model(after, architecture, imports)
    import surgeon

    with checkpoint.atomic_output(output, force=force) as temp:
        surgeon.report(one, other, temp)
    note(f"wrote {output}")
