"""Fold what has no weights of its own, and BatchNormalization, into the layer that feeds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from surgeon.diagrams.names import block_of, is_automatic
from surgeon.diagrams.view import Card, View

_JOINTS = frozenset({"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"})
_ROW_PREFIX = {"BatchNormalization": "bn "}


def fold(view: View) -> dict[str, str]:
    """Return for each card the card that it is folded into, or itself.

    A card is folded where nothing is lost by it: it reads from one card alone, that card feeds
    nothing else and is no output of the model, and its name does not put it into another block.
    """
    predecessors, successors = view.predecessors(), view.successors()
    outputs = {key for key, _ in view.outputs}
    owner: dict[str, str] = {}
    for key, card in view.cards.items():
        owner[key] = key
        if len(predecessors[key]) != 1 or card.kind != "layer" or card.inner:
            continue
        source = predecessors[key][0]
        head = view.cards[owner[source]]
        if len(successors[source]) > 1 or source in outputs or head.kind == "input" or head.inner:
            continue
        same_block = block_of(card.name) == block_of(head.name) or is_automatic(card.name, card.classes[0])
        if same_block and _goes_with(card, head):
            owner[key] = head.key
    return owner


def _goes_with(card: Card, head: Card) -> bool:
    if not card.rows:
        return card.classes[0] not in _JOINTS
    return (
        card.classes[0] == "BatchNormalization"
        and bool(head.rows)
        and head.classes[0] != "BatchNormalization"
    )


def folded(key: str, cards: Sequence[Card]) -> Card:
    """Return the first card with the classes and weights of those that follow it."""
    head = cards[0]
    return replace(
        head,
        key=key,
        classes=tuple(name for card in cards for name in card.classes),
        members=tuple(member for card in cards for member in card.members),
        rows=head.rows + tuple(row.led(_prefix(card)) for card in cards[1:] for row in card.rows),
        shape=cards[-1].shape,
        fresh=tuple(member for card in cards for member in card.fresh),
        was=" → ".join(card.was for card in cards if card.was),
    )


def _prefix(card: Card) -> str:
    return _ROW_PREFIX.get(card.classes[0], f"{card.name}/")
