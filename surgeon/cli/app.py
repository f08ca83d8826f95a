"""The `surgeon` command and what all of its subcommands share."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from surgeon import __version__
from surgeon.cli import converting, exporting, looking, operating
from surgeon.cli.console import complain
from surgeon.cli.deltas import delta
from surgeon.errors import RuleFileError, SurgeonError

DEBUG = "debug"


class SurgeonGroup(TyperGroup):
    """Turns every error into one message and an exit code, for every subcommand."""

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get(DEBUG) or _is_for_typer(error):
                raise
            if isinstance(error, SurgeonError):
                complain(str(error))
            else:
                what = " ".join(str(error).split())
                complain(
                    f"surgeon {ctx.invoked_subcommand} did not expect {type(error).__name__}"
                    f"{f': {what}' if what else ''}; surgeon --debug {ctx.invoked_subcommand} … shows where"
                )
            raise typer.Exit(2 if isinstance(error, RuleFileError) else 1) from None


def _is_for_typer(error: Exception) -> bool:
    """Whether it is a usage error, an exit, or a reader who has gone: Typer knows what to do."""
    return hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError)


app = typer.Typer(
    name="surgeon",
    cls=SurgeonGroup,
    no_args_is_help=True,
    # The traceback that --debug shows should be the plain one that people can paste.
    pretty_exceptions_enable=False,
    # Plain text: boxes would take as long to import as everything else that `--help` needs.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"surgeon {__version__}")
        raise typer.Exit


@app.callback()
def surgeon(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="SURGEON_DEBUG", help="Show tracebacks of errors.")
    ] = False,
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
app.add_typer(delta)
