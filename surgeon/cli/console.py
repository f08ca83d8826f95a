"""How the command line talks: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# All but tabs and line feeds that commands a terminal, turns text around, or cannot be written as UTF-8.
_HARM = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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

    class Harmless(Console):
        def render_str(self, text: str, **options: Any) -> Any:
            return super().render_str(harmless(text), **options)

    # Names of layers and files are data: what looks like Rich's markup in them is none.
    return Harmless(
        file=stream, highlight=False, markup=False, emoji=False, soft_wrap=not stream.isatty(), width=width
    )


def harmless(text: str) -> str:
    r"""Return a text from a file in a form that a terminal can only show.

    Example:
        >>> harmless("layer\x1b[2J")
        'layer�[2J'
    """
    return _HARM.sub("\ufffd", text)


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
