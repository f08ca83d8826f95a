"""Where a rule was written."""

from __future__ import annotations

import inspect

from surgeon.select.code import is_ours, place


def caller() -> str:
    """Return `file:line` of the nearest line on the stack that is not Surgeon's own.

    Example:
        >>> caller().rpartition(":")[2].isdigit()
        True
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_back is not None and is_ours(frame.f_globals.get("__name__")):
        frame = frame.f_back
    return place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else "unknown:0"
