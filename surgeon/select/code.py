"""How a function is named in a message."""

from __future__ import annotations

import functools
from pathlib import Path
from types import CodeType
from typing import Any


def place(filename: str, line: int) -> str:
    """Return `file:line`, the file relative to the working directory where it lies inside.

    Example:
        >>> place("<stdin>", 3)
        '<stdin>:3'
    """
    file = Path(filename)
    if file.is_absolute() and file.is_relative_to(Path.cwd()):
        filename = str(file.relative_to(Path.cwd()))
    return f"{filename}:{line}"


def code_place(function: Any) -> str:
    """Return a function's name and where it was written: `is_wide at train.py:12`.

    Of one of Surgeon's own (a ready-made rule has some) the name is enough: nobody has to look for it.

    Example:
        >>> code_place(len)
        'len'
    """
    while isinstance(function, functools.partial):
        function = function.func
    called = function if hasattr(function, "__code__") else getattr(type(function), "__call__", None)  # noqa: B004
    code = getattr(called, "__code__", None)
    label = getattr(function, "__name__", type(function).__name__).replace("<lambda>", "lambda")
    if not isinstance(code, CodeType) or is_ours(getattr(function, "__module__", None)):
        return label
    return f"{label} at {place(code.co_filename, code.co_firstlineno)}"


def is_ours(module: object) -> bool:
    """Whether a module, by its name, is one of Surgeon's own."""
    return isinstance(module, str) and module.partition(".")[0] == __name__.partition(".")[0]
