"""Commands that hand a model on: `plot`, and `export` to other viewers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from surgeon.cli import options
from surgeon.cli.console import note
from surgeon.cli.files import GRAPHS, PLOTS, check_output, writing


class Subject(StrEnum):
    """What a plot shows."""

    DEPTH = "depth"
    MASK = "mask"
    DRIFT = "drift"


def plot(
    subject: Annotated[
        Subject,
        typer.Argument(
            help="depth: what trains from input to output. mask: which elements of --weight train. "
            "drift: how far each weight moved to --other."
        ),
    ],
    model: options.Model,
    output: Annotated[
        Path, typer.Option("--out", "-o", help=f"Where to plot: {', '.join(PLOTS)}.", dir_okay=False)
    ],
    weight: Annotated[str | None, typer.Option(help="Path of a weight, for mask: conv_1/kernel.")] = None,
    other: Annotated[
        Path | None, typer.Option(help="The later checkpoint, for drift.", exists=True, dir_okay=False)
    ] = None,
    theme: options.Theme = "light",
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Plot what trains, or how far weights moved."""
    options.check_model(model, architecture)
    check_output(output, PLOTS, force=force)
    options.check_theme(theme)
    if (weight is None) == (subject is Subject.MASK):
        raise typer.BadParameter("--weight goes with mask: say which weight, as inspect shows them")
    if (other is None) == (subject is Subject.DRIFT):
        raise typer.BadParameter("--other goes with drift: say which checkpoint to compare with")
    given = (model,) if other is None else (model, other)
    loaded, *later = options.open_models(given, architecture, imports)
    import surgeon

    with writing(output, force=force) as temp:
        if subject is Subject.DEPTH:
            surgeon.plot_depth(loaded, temp, theme=theme)
        elif weight is not None:
            surgeon.plot_mask(loaded, weight, temp, theme=theme)
        else:
            surgeon.plot_drift(loaded, later[0], temp, theme=theme)


def export(
    model: options.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="model.graphml (Gephi, yEd, networkx), model.json (Model Explorer; the frozen share goes "
            "beside it, into model.frozen.json), or with --tensorboard a folder of logs.",
        ),
    ],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the picture for TensorBoard's images.")
    ] = False,
    step: Annotated[int, typer.Option(min=0, help="Which step the picture for TensorBoard stands for.")] = 0,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Write the graph of a model for other viewers."""
    options.check_model(model, architecture)
    if not tensorboard:
        check_output(output, GRAPHS, force=force, sources=(model, architecture))
        shares = output.with_suffix(".frozen.json")
        if output.suffix.lower() == ".json":
            check_output(shares, GRAPHS, force=force, sources=(model, architecture))
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    graph = surgeon.to_graph(loaded)
    if tensorboard:
        surgeon.to_tensorboard(graph, output, step=step)
    elif output.suffix.lower() == ".json":
        output.parent.mkdir(parents=True, exist_ok=True)
        surgeon.to_model_explorer(graph, output)
        note(f"wrote {shares}")
    else:
        with writing(output, force=force) as temp:
            surgeon.to_graphml(graph, temp)
        return
    note(f"wrote {output}")
