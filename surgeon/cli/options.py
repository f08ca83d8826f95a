"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgeon import checkpoint
from surgeon.cli.quiet import noted_warnings, quiet_import
from surgeon.errors import CheckpointError

if TYPE_CHECKING:
    from surgeon.rules import Rule

FILE: dict[str, Any] = {"exists": True, "dir_okay": False}
"""What is said of an option that names a file to read."""

# A folder is let in, to be told what to do with it.
Model = Annotated[
    Path, typer.Argument(help="A .keras, .weights.h5 (with --model) or legacy .h5 file.", exists=True)
]
Rules = Annotated[Path, typer.Option("--rules", "-r", help="A rule file (YAML or JSON).", **FILE)]
Architecture = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", help="The model that .weights.h5 files belong to: .keras, or .json.", **FILE
    ),
]
Output = Annotated[Path, typer.Option("--out", "-o", help="Where to write.", dir_okay=False)]
Diagram = Annotated[
    Path | None,
    typer.Option("--diagram", "-d", help="Draw before and after: .svg, .png, .pdf or .dot.", dir_okay=False),
]
Page = Annotated[
    Path | None,
    typer.Option("--report", help="Write an HTML page about what was done.", dir_okay=False),
]
Theme = Annotated[str, typer.Option(help="light or dark.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", help="Import this module first, for the layers that it registers. Repeatable."),
]


def check_model(path: Path, architecture: Path | None) -> None:
    """Find what can be found wrong with a model argument before TensorFlow is imported.

    Raises:
        typer.BadParameter: If the name is not a checkpoint's, or bare weights come without a model.
    """
    try:
        checkpoint.kind_of(path, has_architecture=architecture is not None)
    except CheckpointError as error:
        raise typer.BadParameter(str(error)) from error


def check_theme(theme: str) -> None:
    """Check the name of a theme.

    Raises:
        typer.BadParameter: If there is no such theme.
    """
    if theme not in ("light", "dark"):
        raise typer.BadParameter(f"there is no theme {theme!r}: light or dark")


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a rule file, still without TensorFlow."""
    from surgeon.rules import load_rules

    return load_rules(path)


def open_model(path: Path, architecture: Path | None, imports: list[str] | None) -> Any:
    """Open a checkpoint behind the front door."""
    check_model(path, architecture)
    with noted_warnings():
        return checkpoint.open_model(path, architecture, imports or (), importing=quiet_import())


def open_models(paths: Sequence[Path], architecture: Path | None, imports: list[str] | None) -> list[Any]:
    """Open several checkpoints, once none of them is known to be wrong."""
    for path in paths:
        check_model(path, architecture)
    return [open_model(path, architecture, imports) for path in paths]
