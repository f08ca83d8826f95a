"""Commands that operate: `plan`, `rewrite`, `restore`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from surgeon.checkpoint.publish import atomic_output
from surgeon.cli import options
from surgeon.cli.console import note, show, show_json
from surgeon.cli.looking import PAGES, PICTURES

MODELS = (".keras", ".weights.h5")


class Validation(StrEnum):
    """What is compared before and after."""

    OUTPUTS = "outputs"
    STRUCTURE = "structure"
    NONE = "none"


def plan(
    model: options.Model,
    rules: options.Rules,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    diagram: options.Diagram = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what rules would do to a model, without doing it."""
    options.check_model(model, architecture)
    if diagram is not None:
        options.check_output(diagram, PICTURES, force=force)
    steps = options.read_rules(rules)
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    made = surgeon.plan(loaded, steps)
    if diagram is not None:
        _draw(made, diagram, force=force)
    if as_json:
        show_json(made)
    else:
        show(made)


def rewrite(
    model: options.Model,
    rules: options.Rules,
    output: options.Output,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    diagram: options.Diagram = None,
    page: options.Page = None,
    validate: Annotated[
        Validation, typer.Option(help="What to compare before and after.")
    ] = Validation.OUTPUTS,
    force: options.Force = False,
) -> None:
    """Apply rules to a model and save the result."""
    options.check_model(model, architecture)
    options.check_output(output, MODELS, force=force, sources=_given(model, rules, architecture))
    if diagram is not None:
        options.check_output(diagram, PICTURES, force=force)
    if page is not None:
        options.check_output(page, PAGES, force=force)
    steps = options.read_rules(rules)
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    made = surgeon.plan(loaded, steps)
    rewritten = made.apply(loaded, validate=validate.value)
    _save(rewritten, output, force=force)
    if diagram is not None:
        _draw(made, diagram, force=force)
    if page is not None:
        with atomic_output(page, force=force) as temp:
            surgeon.report(loaded, rewritten, temp, plan=made)
        note(f"wrote {page}")


def restore(
    model: options.Model,
    output: options.Output,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Turn a rewritten model back into plain Keras layers, with the trained values."""
    options.check_model(model, architecture)
    options.check_output(output, MODELS, force=force, sources=_given(model, architecture))
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    restored = surgeon.restore(loaded)
    from surgeon.partial import read_spec

    if not read_spec(loaded) and len(loaded.trainable_variables) == len(restored.trainable_variables):
        note(f"nothing in {model} is frozen or partly trainable: it is written as it was")
    _save(restored, output, force=force)


def _given(*paths: Path | None) -> list[Path]:
    return [path for path in paths if path is not None]


def _save(model: Any, output: Path, *, force: bool) -> None:
    with atomic_output(output, force=force) as temp:
        if output.name.lower().endswith(".keras"):
            model.save(temp)
        else:
            model.save_weights(temp)
    note(f"wrote {output}")


def _draw(plan: Any, output: Path, *, force: bool) -> None:
    with atomic_output(output, force=force) as temp:
        plan.diagram(temp)
    note(f"wrote {output}")
