"""How the command line talks: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from surgeon.errors import SurgeonError

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """Return a console on standard output. Made when it is needed: tests and pipes exchange the stream."""
    return _console(sys.stdout)


def err() -> Console:
    """Return a console on standard error."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, soft_wrap=not stream.isatty())


def complain(error: SurgeonError) -> None:
    """Say what went wrong, in one message without a traceback."""
    console = err()
    console.print("error: ", style="bold red", end="")
    console.print(str(error), markup=False)


def note(text: str) -> None:
    """Say something that is not the result."""
    err().print(text, markup=False, style="dim")


def show(value: Any) -> None:
    """Print a result as text."""
    out().print(str(value), markup=False)


def show_json(value: Any) -> None:
    """Print a result as JSON, from its `to_json` if it has one."""
    data = value.to_json() if hasattr(value, "to_json") else value
    # Never through rich, which would break long lines.
    sys.stdout.write((data if isinstance(data, str) else json.dumps(data, indent=2)) + "\n")


def count(number: int) -> str:
    """Return a number with separators, or a dash for none."""
    return f"{number:,}" if number else "-"
