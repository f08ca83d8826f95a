"""Join neighbours until there are few enough cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from surgeon.diagrams.blocks import block, may_join
from surgeon.diagrams.figures import Figures
from surgeon.diagrams.names import short
from surgeon.diagrams.view import Card, View, text_of_shape

_KINDS = 4  # classes that a card names


def by_budget(most: int) -> Callable[[View], dict[str, str]]:
    """Return a function that assigns cards to pieces, so that at most `most` cards are left.

    In order of running, the two neighbours that are lightest together become one, those first
    whose state is the same: the border between what is frozen and what trains is the last thing
    to go. Each piece is an interval of that order, so that no arrow leads back into it. Inputs
    keep cards of their own where there is room for them and for one more.

    Args:
        most: How many cards to leave, inputs included; one at least.
    """

    def assign(view: View) -> dict[str, str]:
        pieces = [[key] for key, card in view.cards.items() if may_join(card)]
        fixed = len(view.cards) - len(pieces)
        if fixed >= most:
            pieces, fixed = [[key] for key in view.cards], 0
        while len(pieces) > max(1, most - fixed):
            costs = [_cost(view, left + right) for left, right in pairwise(pieces)]
            lightest = costs.index(min(costs))
            pieces[lightest : lightest + 2] = [pieces[lightest] + pieces[lightest + 1]]
        owner = {key: key for key in view.cards}
        for piece in pieces:
            if len(piece) > 1:
                owner |= dict.fromkeys(piece, f"block:{piece[0]}")
        return owner

    return assign


def _cost(view: View, keys: list[str]) -> tuple[int, int, int]:
    cards = [view.cards[key] for key in keys]
    signs = {_sign(card) for card in cards if card.figures.parameters or card.fresh}
    return (len(signs), sum(card.figures.total for card in cards), sum(card.layers for card in cards))


def _sign(card: Card) -> Hashable:
    other = Figures.of(row.other for row in card.rows if row.other)
    return (card.figures.freeze, other.freeze, len(card.fresh) == len(card.members))


def piece(key: str, cards: Sequence[Card]) -> Card:
    """Return one card for a piece of the model, named after what it computes, not after its inputs."""
    body = [card for card in cards if card.kind != "input"] or cards
    return replace(
        block(f"block:{body[0].key}", body),
        key=key,
        members=tuple(member for card in cards for member in card.members),
        parts=tuple(cards),
        fresh=tuple(member for card in cards for member in card.fresh),
    )


def described(view: View, whole: View) -> View:
    """Return the view with each card told of which layers it is, and what the model reads and gives.

    Args:
        view: A few cards.
        whole: The view that these cards were made from.
    """
    reads: dict[str, list[str]] = {}
    gives: dict[str, list[str]] = {}
    for key, old in zip(view.inputs, whole.inputs, strict=True):
        if view.cards[key].kind != "input":
            reads.setdefault(key, []).append(text_of_shape(whole.cards[old].shape))
    for (key, _), shape in zip(view.outputs, whole.gives, strict=True):
        gives.setdefault(key, []).append(text_of_shape(shape))
    cards = {
        key: card
        if card.kind == "input"
        else replace(
            card,
            kinds=_kinds(card) if card.kind == "block" else "",
            ends=f"{', '.join(reads.get(key, ()))} → {', '.join(gives.get(key, ()))}".strip()
            if key in reads or key in gives
            else "",
        )
        for key, card in view.cards.items()
    }
    return replace(view, cards=cards)


def _kinds(card: Card) -> str:
    """Return the classes on a card, the most frequent first: `"Conv2D ×13, MaxPool ×5, Dense ×3"`."""
    counts = Counter(short(name) for name in _classes(card) if name != "InputLayer")
    shown = [f"{name} ×{count}" if count > 1 else name for name, count in counts.most_common(_KINDS)]
    return ", ".join(shown + [f"+{len(counts) - _KINDS}"] * (len(counts) > _KINDS))


def _classes(card: Card) -> Iterator[str]:
    if not card.parts:
        yield from card.classes
    for part in card.parts:
        yield from _classes(part)
