"""The files that commands write: checked before the work begins, and complete or absent after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from surgeon.checkpoint.publish import atomic_output
from surgeon.cli.console import note

MODELS = (".keras", ".weights.h5")
DELTAS = (".safetensors",)
PICTURES = (".svg", ".png", ".pdf", ".dot", ".gv")
PLOTS = (".svg", ".png", ".pdf")
PAGES = (".html", ".htm")
GRAPHS = (".graphml", ".json")


def check_output(
    path: Path | None, suffixes: tuple[str, ...], *, force: bool, sources: Iterable[Path | None] = ()
) -> None:
    """Find out before the work is done whether its result could be written.

    Args:
        path: Where it goes; `None` if it is not wanted.
        suffixes: Of which its name has to end in one.
        force: Whether a file that is there may be replaced.
        sources: What the command reads. That is never written to, not even with `force`.

    Raises:
        typer.BadParameter: If it could not be written.
    """
    if path is None:
        return
    for source in sources:
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise typer.BadParameter(f"{path} is what is read here: write to another file")
    if not path.name.lower().endswith(suffixes):
        raise typer.BadParameter(f"cannot write {path}: its name must end in {' or '.join(suffixes)}")
    if path.exists() and not force:
        raise typer.BadParameter(f"{path} exists; --force replaces it")


@contextmanager
def writing(path: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary name for a file; give it its own and say so, if all went well."""
    with atomic_output(path, force=force) as temp:
        yield temp
    note(f"wrote {path}")


def save_model(model: Any, path: Path, *, force: bool) -> None:
    """Save a model, or its weights alone, as the name of the file says."""
    with writing(path, force=force) as temp:
        if path.name.lower().endswith(".keras"):
            model.save(temp)
        else:
            model.save_weights(temp)


def draw(made: Any, path: Path | None, *, force: bool) -> None:
    """Draw a plan or a difference before and after, if a picture is wanted."""
    if path is not None:
        with writing(path, force=force) as temp:
            made.diagram(temp)
