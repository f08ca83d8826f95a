"""Commands that only look: `inspect`, `diff`, `diagram`, `report`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from surgeon.cli import options
from surgeon.cli.console import out, show, show_json
from surgeon.cli.files import PAGES, PICTURES, check_output, draw, writing


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
        console = out()
        console.print(inventory.table(console))


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
    check_output(diagram, PICTURES, force=force)
    one, other = options.open_models((before, after), architecture, imports)
    import surgeon

    difference = surgeon.diff(one, other)
    draw(difference, diagram, force=force)
    if as_json:
        show_json(difference)
    else:
        show(difference)


def diagram(
    model: options.Model,
    output: Annotated[
        Path, typer.Option("--out", "-o", help=f"Where to draw: {', '.join(PICTURES)}.", dir_okay=False)
    ],
    theme: options.Theme = "light",
    detail: Annotated[
        Detail, typer.Option(help="How much to show; auto takes what fits on a page.")
    ] = Detail.AUTO,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Draw what is frozen, partly frozen, trainable or state."""
    options.check_model(model, architecture)
    check_output(output, PICTURES, force=force)
    options.check_theme(theme)
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    with writing(output, force=force) as temp:
        surgeon.diagram(loaded, temp, theme=theme, detail=detail.value)


def report(
    before: options.Model,
    after: options.Model,
    output: options.Output,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", "-r", help="The rules that led from one to the other: what each did.", **options.FILE
        ),
    ] = None,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Write one HTML page about two models.

    It has pictures, every layer, and what differs; with rules, also what each of them does to the first.
    """
    check_output(output, PAGES, force=force)
    steps = None if rules is None else options.read_rules(rules)
    one, other = options.open_models((before, after), architecture, imports)
    import surgeon

    made = None if steps is None else surgeon.plan(one, steps)
    with writing(output, force=force) as temp:
        surgeon.report(one, other, temp, plan=made)
