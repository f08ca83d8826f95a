"""Commands about deltas: `delta save`, `delta apply`, `delta remove`, `delta show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgeon.cli import options
from surgeon.cli.console import count, out, show_json
from surgeon.cli.files import DELTAS, MODELS, check_output, save_model, writing

if TYPE_CHECKING:
    from surgeon.deltas import Delta

delta = typer.Typer(name="delta", no_args_is_help=True, help="Only what trained, as a small file.")

DeltaFile = Annotated[Path, typer.Argument(help="A delta: .safetensors.", **options.FILE)]
DeltaFiles = Annotated[list[Path], typer.Argument(help="Deltas, in order: .safetensors.", **options.FILE)]


@delta.command()
def save(
    model: options.Model,
    output: options.Output,
    base: Annotated[
        Path | None,
        typer.Option(
            "--base",
            "-b",
            help="The model before training: hold exactly what differs. Without it, all that can train.",
            **options.FILE,
        ),
    ] = None,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Save only what of a model has trained."""
    check_output(output, DELTAS, force=force, sources=(model, base, architecture))
    given = (model,) if base is None else (model, base)
    loaded, *before = options.open_models(given, architecture, imports)
    import surgeon

    with writing(output, force=force) as temp:
        made = surgeon.save_delta(loaded, temp, base=before[0] if before else None, overwrite=True)
    _show(made, as_json=as_json)


@delta.command()
def apply(
    model: options.Model,
    deltas: DeltaFiles,
    output: options.Output,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Put deltas onto their base, and save the result."""
    options.check_model(model, architecture)
    check_output(output, MODELS, force=force, sources=(model, architecture))
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    for one in deltas:
        surgeon.load_delta(loaded, one)
    save_model(loaded, output, force=force)


@delta.command()
def remove(
    model: options.Model,
    deltas: DeltaFiles,
    base: Annotated[
        Path, typer.Option("--base", "-b", help="The model that the deltas were made for.", **options.FILE)
    ],
    output: options.Output,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Take deltas off a model, bit for bit, and save the result."""
    check_output(output, MODELS, force=force, sources=(model, base, architecture))
    loaded, before = options.open_models((model, base), architecture, imports)
    from surgeon.deltas import remove_delta

    for one in deltas:
        remove_delta(loaded, one, before)
    save_model(loaded, output, force=force)


@delta.command()
def show(file: DeltaFile, as_json: options.AsJson = False) -> None:
    """Show what a delta holds; that it is whole is checked."""
    from surgeon.deltas import read_delta

    _show(read_delta(file), as_json=as_json)


def _show(made: Delta, *, as_json: bool) -> None:
    rows = {path: _row(weight) for path, weight in made.weights.items()}
    held = {path: row for path, row in rows.items() if row["held"]}
    if as_json:
        show_json({"elements": made.size, "weights": rows})
        return
    from rich.table import Table

    table = Table("weight", "shape", "holds", box=None, pad_edge=False, header_style="bold")
    for path, row in held.items():
        table.add_row(path, "×".join(map(str, row["shape"])) or "scalar", row["part"])
    console = out()
    console.print(table)
    console.print(f"{count(made.size)} elements in {count(len(held))} of {count(len(rows))} weights")


def _row(weight: Any) -> dict[str, Any]:
    part = weight.part
    return {
        "shape": list(part.shape),
        "dtype": weight.dtype,
        "part": str(part),
        "held": part.size,
        "known_base": weight.base is not None,
    }
