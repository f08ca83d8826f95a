"""Views as text: for terminals, logs and people who do not see the picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from surgeon.diagrams.cards import Note, also, chain, chip_text, row_word
from surgeon.diagrams.figures import Figures, plural
from surgeon.diagrams.text import clean
from surgeon.diagrams.theme import GLYPHS
from surgeon.diagrams.view import Card, View, text_of_shape, text_of_weight


def sentence(card: Card) -> str:
    """Return a card as one line: name, classes, state, figures, what it reads besides."""
    return f"{_sentence(card)}, {clean(also(card))}" if card.also else _sentence(card)


def _sentence(card: Card) -> str:
    if not card.rows:
        name = f"{card.name}: " if card.kind not in ("shared", "block") else ""
        return clean(name + chip_text(card, name_inputs=False))
    name = f"{card.name} … {card.last}" if card.last and card.last != card.name else card.name
    name += f" ×{card.repeats}" if card.repeats > 1 else ""
    what = plural(card.layers, "layer") if card.kind == "block" else chain(card.classes)
    told = ", ".join(filter(None, (what, card.kinds, card.ends, card.figures.share, card.figures.amount)))
    return clean(f"{name}: {told}")


def outline(view: View, title: str, notes: Mapping[str, Note], rows: bool) -> str:
    """Return a tree of text with a line for each card.

    Args:
        view: The cards.
        title: What the first line says.
        notes: What surgery did, by card key.
        rows: Whether each weight has a line of its own.
    """
    lines = [f"{clean(title)} ({clean(view.class_name)}): {view.figures.summary}"]
    return "\n".join(lines + list(_branch(view, notes, rows, "", "")))


def _branch(view: View, notes: Mapping[str, Note], rows: bool, indent: str, prefix: str) -> Iterator[str]:
    last = len(view.cards) - 1
    for number, (key, card) in enumerate(view.cards.items()):
        twig, below = ("└─ ", "   ") if number == last else ("├─ ", "│  ")
        note = notes.get(prefix + key)
        remark = f"  [{note.text}]" if note and note.text else ""
        shape = text_of_shape(card.shape) if card.kind != "input" and not card.ends else ""
        arrow = f" → {shape}" if shape else ""
        yield f"{indent}{twig}{GLYPHS[card.figures.freeze]} {sentence(card)}{arrow}{remark}"
        if card.inner:
            yield from _branch(card.inner, notes, rows, indent + below, f"{prefix}{key}/")
        elif rows:
            for row in card.rows:
                figures = Figures.of_one(row.weight)
                yield (
                    f"{indent}{below}   {GLYPHS[figures.freeze]} {clean(row.label)}"
                    f" {text_of_weight(row.weight.shape)} {row_word(figures)}"
                )
