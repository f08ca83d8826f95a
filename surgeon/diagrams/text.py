"""Text on a card: how wide it is, how to shorten it, how to make it harmless.

Widths are measured here and not left to Graphviz, which would ask the fonts of the machine
that it runs on: a picture made on a server without fonts would have other cards than one made
on a desk. The table holds the advance widths of Arimo, which are those of Arial, Helvetica
and Liberation Sans too, in thousandths of the font size.
"""

from __future__ import annotations

import html
import unicodedata
from functools import lru_cache

_REGULAR = {
    191: "'", 222: "ijl", 260: "|", 278: " !,./:;I[\\]ft", 333: "()-`r·", 334: "{}", 355: '"', 389: "*",
    469: "^", 500: "Jcksvxyz", 549: "÷", 556: "#$0123456789?L_abdeghnopqu", 584: "+<=>~×−", 611: "FTZ",
    667: "&ABEKPSVXY", 722: "CDHNRUw", 778: "GOQ", 833: "Mm", 889: "%", 944: "W", 1000: "→…", 1015: "@",
}  # fmt: skip
_BOLD = {
    238: "'", 278: " ,./I\\ijl", 280: "|", 333: "!()-:;[]`ft·", 389: "*r{}", 474: '"', 500: "z", 549: "÷",
    556: "#$0123456789J_aceksvxy", 584: "+<=>^~×−", 611: "?FLTZbdghnopqu", 667: "EPSVXY", 722: "&ABCDHKNRU",
    778: "GOQw", 833: "M", 889: "%m", 944: "W", 975: "@", 1000: "→…",
}  # fmt: skip
_TABLES = tuple(
    {char: width / 1000 for width, chars in table.items() for char in chars} for table in (_REGULAR, _BOLD)
)
_LONGEST = 400  # characters of a name that are looked at; a longer one is shortened anyway


def is_measured(text: str) -> bool:
    """Whether the width of every character is known, not estimated."""
    return all(char in _TABLES[0] for char in text)


def width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a text in points.

    Args:
        text: The text.
        size: Font size in points.
        bold: Whether it is set in bold.
    """
    return size * sum(_advance(char, bold) for char in text)


@lru_cache(maxsize=4096)
def _advance(char: str, bold: bool) -> float:
    known = _TABLES[bold].get(char)
    if known is not None:
        return known
    if unicodedata.combining(char):
        return 0.0
    # Estimates on the generous side: text of another script may be drawn by any font.
    return 1.3 if ord(char) > 0xFFFF else 1.05 if unicodedata.east_asian_width(char) in "WF" else 0.7


def fit(text: str, limit: float, size: float, bold: bool = False) -> str:
    """Return the text, its middle left out where it would be wider than `limit` points."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"
    if width(text, size, bold) <= limit:
        return text
    keep = len(text) - 1
    while keep > 1:
        head = (keep + 1) // 2
        short = f"{text[:head]}…{text[len(text) - (keep - head) :]}"
        if width(short, size, bold) <= limit:
            return short
        keep -= 1
    return "…"


def fit_path(path: str, limit: float, size: float) -> str:
    """Return a path, without its first parts where it would be wider than `limit` points.

    Example:
        >>> fit_path("_self_attention_layer/_query_dense/kernel", 100, 9)
        '…/_query_dense/kernel'
    """
    rest = path
    while width(short := rest if rest == path else f"…/{rest}", size) > limit and "/" in rest:
        rest = rest.split("/", 1)[1]
    return fit(short, limit, size)


def clean(text: str) -> str:
    """Return the text with all that XML or a terminal cannot carry replaced."""
    return "".join(_clean_char(char) for char in text)


def _clean_char(char: str) -> str:
    if char in "\n\r\t":
        return " "
    # Control characters, lone surrogates, non-characters, and marks that reverse the direction of text.
    if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") or char in "\u202a\u202b\u202c\u202d\u202e":
        return "\ufffd"
    return " " if char in "\u2028\u2029" else char


def escape(text: str) -> str:
    """Return the text as it must stand in an HTML-like label or in SVG: no markup survives."""
    return html.escape(clean(text), quote=True).replace("\\", "&#92;")


def shorten(text: str, room: int) -> str:
    """Return a text in at most `room` characters, the middle left out: both ends tell names apart.

    Example:
        >>> shorten("separable_conv_1_normal_left", 16)
        'separab…mal_left'
    """
    if len(text) <= room:
        return text
    head = (room - 1) // 2
    return f"{text[:head]}…{text[len(text) - (room - 1 - head) :]}"
