"""JSON from a file that nobody vouches for."""

from __future__ import annotations

import json
import re
from typing import Any

from surgeon.checkpoint.budgets import Budgets

# Outside strings, brackets are structure; a string is skipped as one token, an unclosed one runs to the end.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def bounded_json(data: bytes, budgets: Budgets) -> Any:
    """Parse JSON that is neither too large nor too deep.

    Args:
        data: The text, UTF-8.
        budgets: `json_size` and `json_depth` are looked at.

    Raises:
        ValueError: If it is over budget, or not JSON; the text says which.
    """
    if len(data) > budgets.json_size:
        raise ValueError(f"JSON of {len(data):,} bytes, more than the {budgets.json_size:,} allowed")
    depth = 0
    for token in _TOKENS.finditer(data):
        mark = token.group()
        if mark in _OPENING:
            depth += 1
            if depth > budgets.json_depth:
                raise ValueError(f"JSON nested deeper than the {budgets.json_depth} levels allowed")
        elif mark in _CLOSING:
            depth -= 1
    try:
        return json.loads(data)
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from error
