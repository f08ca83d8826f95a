"""Cards as HTML-like labels of Graphviz: every cell has a size of its own.

Nothing is left for Graphviz to measure, see `text.py`. All sizes are points.
"""

from __future__ import annotations

from dataclasses import dataclass

from surgeon.diagrams.figures import Figures, human, percent, plural
from surgeon.diagrams.labels import Span, cell, line, padded, table, text_cell
from surgeon.diagrams.names import short
from surgeon.diagrams.text import fit, fit_path, width
from surgeon.diagrams.theme import GLYPHS, WORDS, State, Theme
from surgeon.diagrams.view import Card, Row, text_of_shape, text_of_weight

_WIDTH = 158  # of the bar and of the narrowest card
_WIDEST = 250
_HEADING = 330
_STRIPE = 7
_PAD = 5
_MOST_ROWS = 12


@dataclass(frozen=True)
class Note:
    """What surgery did to a card: the line under its figures, and whether it gets a frame."""

    text: str = ""
    framed: bool = False


def bar_widths(figures: Figures, wide: int) -> dict[State, int]:
    """Return how many points of a bar are in which state; they add up to `wide`.

    A share that is not zero gets three points at least, taken from the largest.
    """
    counts: dict[State, int] = {
        "frozen": figures.frozen,
        "trainable": figures.trainable,
        "still": figures.still,
        "state": figures.state - figures.still,
    }
    shares = {key: max(3, round(wide * count / figures.total)) for key, count in counts.items() if count}
    if shares:
        largest = max(shares, key=lambda key: shares[key])
        shares[largest] += wide - sum(shares.values())
    return shares


def bar(figures: Figures, theme: Theme, wide: int = _WIDTH, high: int = 9) -> str:
    """Return the bar that shows the shares of a card's elements, or `""` if it has none."""
    cells = [
        cell("", share, high, bgcolor=theme.fill(key)) for key, share in bar_widths(figures, wide).items()
    ]
    return table(f"<tr>{''.join(cells)}</tr>") if cells else ""


def layer_card(card: Card, theme: Theme, rows: bool, note: Note) -> str:
    """Return the label of a card with weights.

    Args:
        card: The card.
        theme: Its colours.
        rows: Whether each weight has a row of its own.
        note: What surgery did to it.
    """
    figures, texts = card.figures, (_below(card), card.kinds, card.ends)
    lines: list[tuple[list[Span], int]] = [
        (title(card, theme), 20),
        *(([Span(fit(text, _WIDEST, 9), theme.muted, 9)], 15) for text in texts if text),
        (
            [Span(figures.share + " ", theme.text, 9.5, bold=True), Span(figures.amount, theme.muted)],
            16,
        ),
    ]
    listed = _weight_rows(card.rows, theme) if rows else []
    notes = [([Span(note.text, theme.changed, 9.5, bold=True)], 15)] if note.text else []
    notes += [([Span(fit(also(card), _WIDEST, 9), theme.muted, 9)], 15)] if card.also else []
    wide = max(_WIDTH, *(round(sum(span.wide for span in spans)) + 1 for spans, _ in lines + listed + notes))
    body = [line(spans, high, wide) for spans, high in lines[:-1]]
    body.append(f"<tr>{cell(bar(figures, theme, wide), wide, 12)}</tr>")
    body += [line(spans, high, wide) for spans, high in lines[-1:] + notes + listed]
    high = 12 + 2 * _PAD + sum(high for _, high in lines + listed + notes)
    return f"<{_framed(_stripe(figures, theme, high), ''.join(body), theme, note)}>"


def _framed(stripe: str, body: str, theme: Theme, note: Note) -> str:
    inner = f'<tr>{stripe}<td cellpadding="{_PAD}">{table(body)}</td></tr>'
    border = {"border": 3, "color": theme.changed} if note.framed else {"border": 1, "color": theme.border}
    return table(inner, bgcolor=theme.card, **border)


def title(card: Card, theme: Theme) -> list[Span]:
    """Return the name of a card, from the first to the last where it stands for several."""
    times = f" ×{card.repeats}" if card.repeats > 1 else ""
    name = f"{card.name} … {card.last}" if card.last and card.last != card.name else card.name
    limit = _WIDEST - width(times, 12, bold=True)
    if card.last and width(name, 12, bold=True) > limit:
        end = _differing(card.name, card.last)
        name = f"{fit(card.name, limit - width(f' … {end}', 12, bold=True), 12, bold=True)} … {end}"
    return [Span(fit(name, limit, 12, bold=True) + times, theme.text, 12, bold=True)]


def _differing(first: str, last: str) -> str:
    """Return the end of `last`, from the number or word on in which it differs from `first`."""
    pairs = enumerate(zip(first, last, strict=False))
    common = next((number for number, (one, other) in pairs if one != other), min(len(first), len(last)))
    while common and last[common - 1].isalnum():
        common -= 1
    return fit(last[common:], _WIDEST / 2, 12, bold=True)


def _below(card: Card) -> str:
    if card.kind == "block":
        each = card.layers / card.repeats
        kind = "" if card.classes[0] == "Block" else f"nested {card.classes[0]}, "
        text = f"{kind}{plural(card.layers, 'layer')}, {plural(len(card.rows), 'weight')}"
        return f"{text}, each {each:.0f}" if card.repeats > 1 and each == int(each) else text
    return chain(card.classes)


def chain(classes: tuple[str, ...]) -> str:
    """Return class names in the order of the data: `"Conv2D → BN → ReLU"`."""
    if len(classes) == 1:
        return classes[0]
    shown = [short(name) for name in classes[:4]]
    return " → ".join(shown + [f"+{len(classes) - 4}"] * (len(classes) > 4))


def _stripe(figures: Figures, theme: Theme, high: int) -> str:
    if figures.freeze == "partial":
        frozen = round(min(high - 5, max(5, high * figures.frozen / figures.parameters)))
        halves = ((frozen, theme.frozen), (high - frozen, theme.trainable))
        cells = "".join(f"<tr>{cell('', _STRIPE, part, bgcolor=color)}</tr>" for part, color in halves)
        return cell(table(cells), _STRIPE, high)
    return cell("", _STRIPE, high, bgcolor=theme.fill(figures.freeze))


def _weight_rows(rows: tuple[Row, ...], theme: Theme) -> list[tuple[list[Span], int]]:
    shown = rows if len(rows) <= _MOST_ROWS else rows[: _MOST_ROWS - 1]
    texts = [
        (
            fit_path(row.label, 120, 9),
            fit(text_of_weight(row.weight.shape), 90, 9),
            Figures.of_one(row.weight),
        )
        for row in shown
    ]
    columns = [max((width(text[column], 9) for text in texts), default=0.0) + 10 for column in (0, 1)]  # type: ignore[arg-type]
    lines = []
    for label, shape, figures in texts:
        state = figures.freeze
        mark = Span(GLYPHS[state], theme.ink(state), 8)
        spans = [padded(mark, 14), padded(Span(label, theme.text, 9), columns[0])]
        spans += [padded(Span(shape, theme.muted, 9), columns[1]), Span(row_word(figures), theme.muted, 9)]
        lines.append((spans, 14))
    if len(shown) < len(rows):
        lines.append(
            ([padded(Span("", theme.text), 14), Span(f"+ {len(rows) - len(shown)} more", theme.muted, 9)], 14)
        )
    return lines


def row_word(figures: Figures) -> str:
    """Return the state of one weight in words, the trainable share where only a part trains."""
    state = figures.freeze
    if state == "partial":
        return f"{percent(figures.trainable, figures.parameters)} trains ({human(figures.trainable)})"
    return {"state": "state", "still": "state, still", "none": "empty"}.get(state, WORDS[state])


def chip(card: Card, theme: Theme, note: Note, name_inputs: bool) -> str:
    """Return the label of a card without weights: an input, an operation, a shared call."""
    text = " · ".join(filter(None, (chip_text(card, name_inputs), card.kinds, card.ends)))
    spans = [Span(fit(text, _WIDEST, 10), theme.muted, 10)]
    if card.also:
        spans.append(Span(fit(f" · {also(card)}", _WIDEST, 9), theme.muted, 9))
    if note.text:
        spans.append(Span(" " + note.text, theme.changed, 9.5, bold=True))
    wide = sum(round(span.wide) for span in spans)
    style = "rounded,dashed" if card.kind == "shared" else "rounded"
    border = {"border": 2, "color": theme.changed} if note.framed else {"border": 1, "color": theme.border}
    content = f'<tr><td cellpadding="4">{table(line(spans, 14, wide))}</td></tr>'
    return f"<{table(content, style=style, bgcolor=theme.chip, **border)}>"


def also(card: Card) -> str:
    """Return what a card reads besides the arrows that end at it: `"also reads a, b +1"`."""
    shown = ", ".join(card.also[:3])
    return f"also reads {shown}" + (f" +{len(card.also) - 3}" if len(card.also) > 3 else "")


def chip_text(card: Card, name_inputs: bool) -> str:
    """Return what a card without weights says."""
    if card.kind == "input":
        name = f"{card.name} · " if name_inputs else "Input "
        return name + text_of_shape(card.shape)
    if card.kind == "shared":
        more = " → ".join(("", *(short(name) for name in card.classes[1:])))
        return f"{card.classes[0]}, shared with {card.name}{more}"
    if card.kind == "block":
        return f"{card.name}, {plural(card.layers, 'operation')}"
    return chain(card.classes)


def header(name: str, below: str, figures: Figures, theme: Theme, size: int, note: str = "") -> str:
    """Return the heading of a model: name, a line of figures, the bar, what surgery did."""
    spans = [Span(fit(name, _HEADING, size, bold=True), theme.text, size, bold=True)]
    under = [Span(fit(below, _HEADING, 10), theme.muted, 10)]
    noted = [Span(fit(note, _HEADING, 9.5, bold=True), theme.changed, 9.5, bold=True)]
    texts = (spans, under, noted)
    wide = max(_WIDTH + 20, *(round(sum(span.wide for span in row)) + 1 for row in texts))
    rows = [line(spans, size + 8, wide), line(under, 16, wide)]
    if figures.total:
        rows.append(f"<tr>{cell(bar(figures, theme, wide), wide, 13)}</tr>")
    rows += [line(noted, 15, wide)] if note else []
    return f"<{table(''.join(rows))}>"


def legend(theme: Theme, *, partly: bool = False, still: bool = False, changed: bool = False) -> str:
    """Return the line below the picture that explains its colours and marks."""
    states: list[tuple[State, str]] = [("frozen", "frozen"), ("trainable", "trainable"), ("state", "state")]
    states += [("still", "state, still")] if still else []
    cells = [_legend_text("bar = share of params", theme.muted)]
    for state, word in states:
        swatch = table(f"<tr>{cell('', 24, 10, bgcolor=theme.fill(state))}</tr>")
        mark = padded(Span(GLYPHS[state], theme.ink(state), 9), 12)
        cells += [cell(swatch, 24, 14), cell("", 6, 14), text_cell(mark, 14), _legend_text(word, theme.text)]
    if partly:
        mark = padded(Span(GLYPHS["partial"], theme.ink("partial"), 9), 12)
        cells += [text_cell(mark, 14), _legend_text("partly frozen", theme.text)]
    if changed:
        frame = table(f"<tr>{cell('', 18, 6)}</tr>", border=2, color=theme.changed)
        cells += [cell(frame, 22, 14), cell("", 6, 14), _legend_text("added / removed", theme.text)]
    return f"<{table('<tr>' + ''.join(cells) + '</tr>')}>"


def _legend_text(text: str, color: str) -> str:
    span = Span(text, color, 10)
    return text_cell(padded(span, span.wide + 14), 14)


def edge_label(text: str, theme: Theme) -> str:
    """Return the label of an arrow."""
    span = Span(text, theme.muted, 9)
    return f"<{table(line([padded(Span('', theme.muted), 4), span], 12, 4 + span.wide))}>"
