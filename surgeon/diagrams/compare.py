"""What surgery changed, card by card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from surgeon.diagrams.cards import Note
from surgeon.diagrams.figures import human
from surgeon.diagrams.view import Card, View
from surgeon.graph import Weight

Side = Literal["before", "after"]


def compared(view: View, other: View) -> View:
    """Return the view with each card told what the other model has in its place."""
    classes = {card.path: card.classes[0] for card in other.walk() if card.kind != "shared"}
    weights = {row.path: row.weight for card in other.walk() for row in card.rows}
    keys = {(card.path, card.key) for card in other.walk()}
    return _annotated(view, classes, weights, keys)


def _annotated(
    view: View, classes: Mapping[str, str], weights: Mapping[str, Weight], keys: set[tuple[str, str]]
) -> View:
    cards = {}
    for key, card in view.cards.items():
        is_there = (card.path, card.key) in keys
        was = classes.get(card.path, card.classes[0])
        cards[key] = replace(
            card,
            rows=tuple(replace(row, other=weights.get(row.path)) for row in card.rows),
            fresh=() if is_there else card.members,
            was=was if is_there and was != card.classes[0] else "",
            inner=_annotated(card.inner, classes, weights, keys) if card.inner else None,
        )
    return replace(view, cards=cards)


def notes_of(view: View, side: Side, prefix: str = "") -> dict[str, Note]:
    """Return what to say on each card, by key led by those of the nested models around it."""
    notes: dict[str, Note] = {}
    for key, card in view.cards.items():
        note = _note(card, side)
        if note.text:
            notes[prefix + key] = note
        if card.inner:
            notes |= notes_of(card.inner, side, f"{prefix}{key}/")
    return notes


def _note(card: Card, side: Side) -> Note:
    sign, word = ("−", "removed") if side == "before" else ("+", "added")
    if card.fresh and len(card.fresh) == len(card.members):
        return Note(f"{sign} {word}", framed=True)
    parts = []
    if card.fresh:
        parts.append(f"{sign} {len(card.fresh)} {word}")
    if side == "after":
        if card.was:
            parts.append(f"was {card.was}")
        parts += _moved(card)
    return Note(", ".join(parts), framed=bool(card.fresh))


def _moved(card: Card) -> list[str]:
    """Count what came or went, what stopped and began to train, or, of moving statistics, to move."""
    rows = [(row.other, row.weight) for row in card.rows if row.other is not None]
    # What is gone is not frozen, and what of a weight of another shape was there before nobody can say.
    sizes = [now.size - old.size for old, now in rows]
    pairs = [(old, now) for old, now in rows if old.shape == now.shape]
    steps = [now.trainable - old.trainable for old, now in pairs]
    counts = {
        "weights removed": -sum(size for size in sizes if size < 0),
        "weights added": sum(size for size in sizes if size > 0),
        "newly frozen": -sum(step for step in steps if step < 0),
        "newly trainable": sum(step for step in steps if step > 0),
        "state held still": sum(now.size for old, now in pairs if now.still and not old.still),
        "state moves again": sum(now.size for old, now in pairs if old.still and not now.still),
    }
    return [f"{human(count)} {words}" for words, count in counts.items() if count]
