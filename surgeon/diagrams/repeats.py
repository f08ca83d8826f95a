"""Put equal cards that follow one another into one card with `×N`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

from surgeon.diagrams.figures import Figures
from surgeon.diagrams.names import pattern_of
from surgeon.diagrams.view import Card, Row, View

Likeness = Literal["same", "same shape", "same state"]


def repeats(likeness: Likeness) -> Callable[[View], dict[str, str]]:
    """Return a function that assigns each card to the first of the run that it belongs to.

    Args:
        likeness: `"same"`: equal in structure, weights and state. `"same shape"`: the same kinds
            of weighted layers, the same output shape, the same state. `"same state"`: as before,
            whatever the shape.
    """

    def assign(view: View) -> dict[str, str]:
        predecessors, successors = view.predecessors(), view.successors()
        outputs = {key for key, _ in view.outputs}
        owner = {key: key for key in view.cards}

        @cache  # few cards of a graph with branches are ever compared, some of them twice
        def sign(key: str) -> Hashable | None:
            return _sign(view.cards[key], likeness)

        for key in view.cards:
            source = next(
                (
                    source
                    for source in predecessors[key]
                    if successors[source] == [key]
                    and source not in outputs
                    and pattern_of(view.cards[source].name) == pattern_of(view.cards[key].name)
                    and sign(key) is not None
                    and sign(key) == sign(source)
                ),
                None,
            )
            if source is None:
                continue
            # Nothing leaves a run but at its end, so that no path comes back into it: no cycle. What
            # else its cards read (a mask) must be the same for all, or the arrows would tell a lie.
            if set(predecessors[key]) - {source} <= set(predecessors[owner[source]]):
                owner[key] = owner[source]
        return owner

    return assign


def _sign(card: Card, likeness: Likeness) -> Hashable | None:
    """Return what two cards must have in common to be repeats, or `None` if this is never one."""
    if card.kind in ("input", "shared") or card.inner or not card.rows:
        return None
    common = (pattern_of(card.name), card.kind, len(card.fresh) / len(card.members), bool(card.was))
    if likeness == "same":
        return (*common, card.shape, card.classes, _parts(card), tuple(map(_row_sign, card.rows)))
    weighted = tuple(part.classes[0] for part in card.parts if part.rows) or card.classes
    shape = card.shape if likeness == "same shape" else None
    other = Figures.of(row.other for row in card.rows if row.other)
    return (*common, shape, weighted, card.figures.freeze, other.freeze)


def _parts(card: Card) -> Hashable:
    return tuple((part.classes, part.shape) for part in card.parts)


def _row_sign(row: Row) -> Hashable:
    other = Figures.of_one(row.other).freeze if row.other else None
    return (pattern_of(row.weight.path), row.weight.role, Figures.of_one(row.weight).freeze, other)


def repeated(key: str, cards: Sequence[Card]) -> Card:
    """Return the first card with the weights of all, its title from the first name to the last."""
    return replace(
        cards[0],
        key=key,
        last=cards[-1].last or cards[-1].name if len(cards) > 1 else cards[0].last,
        repeats=sum(card.repeats for card in cards),
        members=tuple(member for card in cards for member in card.members),
        rows=tuple(row for card in cards for row in card.rows),
        shape=cards[-1].shape,
        parts=tuple(part for card in cards for part in (card.parts or (card,))),
        fresh=tuple(member for card in cards for member in card.fresh),
        was=cards[0].was,
    )
