"""Join neighbours until there are few enough cards."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import pairwise

from surgeon.diagrams.blocks import may_join
from surgeon.diagrams.figures import Figures
from surgeon.diagrams.view import Card, View


def by_budget(most: int) -> Callable[[View], dict[str, str]]:
    """Return a function that assigns cards to pieces, so that at most `most` cards are left.

    In order of running, the two neighbours that are lightest together become one, those first
    whose state is the same: the border between what is frozen and what trains is the last thing
    to go. Each piece is an interval of that order, so that no arrow leads back into it. Inputs
    stay, however many there are.

    Args:
        most: How many cards to leave, inputs included.
    """

    def assign(view: View) -> dict[str, str]:
        pieces = [[key] for key, card in view.cards.items() if may_join(card)]
        fixed = len(view.cards) - len(pieces)
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
