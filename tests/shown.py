"""Compares what a page of the docs shows with what its code prints."""

from __future__ import annotations

import re

TOLERANCE = 0.1
DECIMAL = r"(-?\d[\d,]*\.\d+)"


def is_shown(shown: str, printed: str) -> bool:
    """Whether a block of output is what was printed.

    `...` stands for anything, and any space for any other. A number with a decimal point may be off by
    `TOLERANCE`, absolutely or as a part: what training reaches depends on the machine. All else is the same.
    """
    pieces = re.split(rf"{DECIMAL}|(\.\.\.)|(\s+)", shown.strip())
    given = [float(number.replace(",", "")) for number in pieces[1::4] if number]
    plain, decimal, anything, space = (pieces[start::4] for start in range(4))
    regex = re.escape(plain[0])
    for number, dots, _, text in zip(decimal, anything, space, plain[1:], strict=True):
        regex += (DECIMAL if number else ".*?" if dots else r"\s+") + re.escape(text)
    found = re.fullmatch(regex, printed.strip(), re.DOTALL)
    if found is None:
        return False
    got = [float(number.replace(",", "")) for number in found.groups()]
    return all(
        abs(one - other) <= TOLERANCE * max(1, abs(one)) for one, other in zip(given, got, strict=True)
    )
