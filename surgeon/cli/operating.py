"""Commands that operate: `plan`, `rewrite`, `restore`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from surgeon.cli import options
from surgeon.cli.console import note, show, show_json
from surgeon.cli.files import MODELS, PAGES, PICTURES, check_output, draw, save_model, writing


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
    check_output(diagram, PICTURES, force=force)
    steps = options.read_rules(rules)
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    made = surgeon.plan(loaded, steps)
    draw(made, diagram, force=force)
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
    check_output(output, MODELS, force=force, sources=(model, rules, architecture))
    check_output(diagram, PICTURES, force=force)
    check_output(page, PAGES, force=force)
    steps = options.read_rules(rules)
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    made = surgeon.plan(loaded, steps)
    rewritten = made.apply(loaded, validate=validate.value)
    save_model(rewritten, output, force=force)
    draw(made, diagram, force=force)
    if page is not None:
        with writing(page, force=force) as temp:
            surgeon.report(loaded, rewritten, temp, plan=made)


def restore(
    model: options.Model,
    output: options.Output,
    architecture: options.Architecture = None,
    imports: options.Imports = None,
    force: options.Force = False,
) -> None:
    """Turn a rewritten model into stock layers.

    They have the trained values, and the file nothing of Surgeon.
    """
    options.check_model(model, architecture)
    check_output(output, MODELS, force=force, sources=(model, architecture))
    loaded = options.open_model(model, architecture, imports)
    import surgeon

    restored = surgeon.restore(loaded)
    from surgeon.partial import read_spec

    if not read_spec(loaded) and len(loaded.trainable_variables) == len(restored.trainable_variables):
        note(f"nothing in {model} is frozen or partly trainable: it is written as it was")
    save_model(restored, output, force=force)
