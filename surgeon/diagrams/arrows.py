"""Which arrows to draw: in a graph full of long ones, the longest are told in words."""

from __future__ import annotations

from dataclasses import replace

from surgeon.diagrams.view import View

# Graphviz puts a point on each row that an arrow passes, and its time grows with these points: about 10 s for
# 28,000 of them (1,000 cards with random skips), 3 s for 9,000. An eye follows far fewer.
_MOST_POINTS = 12_000


def told_in_words(view: View, most: int = _MOST_POINTS) -> View:
    """Return the view with its longest arrows turned into text on the cards that they end at.

    Args:
        view: The cards and arrows.
        most: How many rows all arrows may pass together before the longest ones go.
    """
    rank: dict[str, int] = {}
    sources = view.predecessors()
    for key in view.cards:
        rank[key] = 1 + max((rank.get(source, 0) for source in sources[key]), default=0)
    spans = {number: rank[link.target] - rank[link.source] for number, link in enumerate(view.links)}
    excess = sum(spans.values()) - most
    dropped: set[int] = set()
    for number in sorted(spans, key=lambda number: (-spans[number], number)):
        if excess <= 0 or spans[number] <= 1:
            break
        excess -= spans[number]
        dropped.add(number)
    if not dropped:
        return view
    also: dict[str, list[str]] = {}
    for number in sorted(dropped):
        link = view.links[number]
        also.setdefault(link.target, []).append(view.cards[link.source].name)
    cards = {
        key: replace(card, also=tuple(dict.fromkeys(also[key]))) if key in also else card
        for key, card in view.cards.items()
    }
    return replace(
        view,
        cards=cards,
        links=tuple(link for number, link in enumerate(view.links) if number not in dropped),
    )
