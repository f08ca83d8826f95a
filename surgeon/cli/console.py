"""How the command line talks: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """Return a console on standard output. Made when it is needed: tests and pipes exchange the stream."""
    return _console(sys.stdout, _width())


def _width() -> int | None:
    """Return how wide a table may be where nobody looks at it, but a file or another program; else `None`."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else 1_000


def err() -> Console:
    """Return a console on standard error."""
    return _console(sys.stderr)


def _console(stream: TextIO, width: int | None = None) -> Console:
    from rich.console import Console

    # Names of layers and files are data: what looks like Rich's markup in them is none.
    return Console(
        file=stream, highlight=False, markup=False, emoji=False, soft_wrap=not stream.isatty(), width=width
    )


def complain(text: str) -> None:
    """Say what went wrong, in one message without a traceback."""
    console = err()
    console.print("error: ", style="bold red", end="")
    console.print(text)


def note(text: str) -> None:
    """Say something that is not the result."""
    err().print(text, style="dim")


def show(value: Any) -> None:
    """Print a result as text."""
    out().print(str(value))


def show_json(value: Any) -> None:
    """Print a result as JSON, from its `to_json` if it has one."""
    data = value.to_json() if hasattr(value, "to_json") else value
    # Never through rich, which would break long lines.
    sys.stdout.write((data if isinstance(data, str) else json.dumps(data, indent=2)) + "\n")


def count(number: int) -> str:
    """Return a number with separators, or a dash for none."""
    return f"{number:,}" if number else "-"
