"""The bricks of an HTML-like label: tables whose cells all have a size of their own.

Nothing is left for Graphviz to measure, see `text.py`. All sizes are points.
"""

from __future__ import annotations

from dataclasses import dataclass

from surgeon.diagrams.text import escape, width


def table(content: str, **attributes: object) -> str:
    """Return a table without borders or gaps, unless its attributes say otherwise."""
    plain = {"border": 0, "cellborder": 0, "cellspacing": 0, "cellpadding": 0, **attributes}
    return f"<table {_attributes(plain)}>{content}</table>"


def cell(content: str, wide: float, high: float, **attributes: object) -> str:
    """Return a cell of exactly this size, its content at the left."""
    fixed = {
        "fixedsize": "true",
        "width": round(wide),
        "height": round(high),
        "align": "left",
        "balign": "left",
    }
    return f"<td {_attributes({**fixed, **attributes})}>{content}</td>"


def text_cell(span: Span, high: float) -> str:
    """Return a cell as wide as its text.

    The transparent ground becomes an invisible area in the SVG, from which `svg.py` reads where
    the text goes: Graphviz itself would place it by the fonts of this machine.
    """
    return cell(span.html, span.wide, high, bgcolor="transparent") if span.text else cell("", span.wide, high)


def _attributes(values: dict[str, object]) -> str:
    return " ".join(f'{name}="{value}"' for name, value in values.items())


@dataclass(frozen=True)
class Span:
    """A piece of text in one font."""

    text: str
    color: str
    size: float = 9.5
    bold: bool = False

    @property
    def wide(self) -> float:
        """Width in points, with a little air."""
        return width(self.text, self.size, self.bold) + 2

    @property
    def html(self) -> str:
        """The text as an HTML-like label."""
        inner = escape(self.text)
        inner = f"<b>{inner}</b>" if self.bold else inner
        return f'<font color="{self.color}" point-size="{self.size:g}">{inner}</font>' if self.text else ""


def line(spans: list[Span], high: float, wide: float) -> str:
    """Return a row with pieces of text side by side, in all `wide` points wide."""
    cells = [text_cell(span, high) for span in spans]
    rest = round(wide) - sum(round(span.wide) for span in spans)
    if rest > 0:
        cells.append(cell("", rest, high))
    return "<tr><td>" + table("<tr>" + "".join(cells) + "</tr>") + "</td></tr>"


@dataclass(frozen=True)
class _Padded(Span):
    column: float = 0.0

    @property
    def wide(self) -> float:
        return self.column


def padded(span: Span, column: float) -> Span:
    """Return the span in a column of `column` points."""
    return _Padded(span.text, span.color, span.size, span.bold, column)
