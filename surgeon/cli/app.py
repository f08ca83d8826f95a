"""The `surgeon` command and what all of its subcommands share."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from surgeon.cli import converting, exporting, looking, operating
from surgeon.cli.console import complain
from surgeon.errors import RuleFileError, SurgeonError

DEBUG = "debug"


class SurgeonGroup(TyperGroup):
    """Turns Surgeon's errors into one message and an exit code, for every subcommand."""

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except SurgeonError as error:
            if ctx.params.get(DEBUG):
                raise
            complain(error)
            raise typer.Exit(2 if isinstance(error, RuleFileError) else 1) from None


app = typer.Typer(
    name="surgeon",
    cls=SurgeonGroup,
    no_args_is_help=True,
    # A crash is a bug; its traceback should be the plain one that people can paste.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            version = importlib.metadata.version("surgeon-keras")
        except importlib.metadata.PackageNotFoundError:
            version = "(not installed)"
        typer.echo(f"surgeon {version}")
        raise typer.Exit


@app.callback()
def surgeon(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Model surgery for Keras: freeze and train whole layers, channels or single weights, exactly."""
    del version, debug
    # TensorFlow reports on its start at length; whoever sets the variable has the last word.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


for command in (
    looking.inspect,
    operating.plan,
    operating.rewrite,
    operating.restore,
    looking.diff,
    looking.diagram,
    looking.report,
    exporting.plot,
    exporting.export,
    converting.convert,
    converting.status,
):
    app.command()(command)
