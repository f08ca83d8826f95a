"""Put several cards into one, and never make a cycle by it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import networkx as nx

from surgeon.diagrams.view import Card, Link, View

Owner = Mapping[str, str]
Make = Callable[[str, Sequence[Card]], Card]


def digraph(view: View) -> nx.DiGraph[str]:
    """Return the cards and links as a plain directed graph."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(view.cards)
    graph.add_edges_from((link.source, link.target) for link in view.links)
    return graph


def is_acyclic(view: View, owner: Owner) -> bool:
    """Whether the cards still have an order after each was put into its owner."""
    quotient: nx.DiGraph[str] = nx.DiGraph()
    quotient.add_nodes_from(owner[key] for key in view.cards)
    quotient.add_edges_from(
        (owner[link.source], owner[link.target])
        for link in view.links
        if owner[link.source] != owner[link.target]
    )
    return nx.is_directed_acyclic_graph(quotient)


def contract(view: View, owner: Owner, make: Make) -> View:
    """Return the view with all cards of one owner made into one card.

    Args:
        view: The cards.
        owner: For each card the key of the card that it goes into; its own key to stay. Cards
            that are not in this view are ignored, so that one assignment serves two models.
        make: Makes one card of the cards of an owner; called where there is more than one, or
            where the only one has another key than the owner.
    """
    if all(owner[key] == key for key in view.cards):
        return view
    groups: dict[str, list[Card]] = {}
    for key, card in view.cards.items():
        groups.setdefault(owner[key], []).append(card)
    made = {
        key: cards[0] if len(cards) == 1 and cards[0].key == key else replace(make(key, cards), key=key)
        for key, cards in groups.items()
    }
    links: dict[tuple[str, int, str, int], Link] = {}
    for link in view.links:
        source, target = owner[link.source], owner[link.target]
        if source == target:
            continue
        port = link.port if made[source].inner else 0
        slot = link.slot if made[target].inner else 0
        end = (source, port, target, slot)
        if end not in links or links[end].mask:
            links[end] = Link(source, target, link.shape, port, slot, link.mask)
    contracted = replace(
        view,
        cards=made,
        links=tuple(links.values()),
        inputs=tuple(owner[key] for key in view.inputs),
        outputs=tuple((owner[key], port) for key, port in view.outputs),
    )
    return replace(contracted, cards={key: made[key] for key in _ordered(contracted)})


def _ordered(view: View) -> list[str]:
    rank = {key: number for number, key in enumerate(view.cards)}
    return list(nx.lexicographical_topological_sort(digraph(view), key=rank.__getitem__))


def levelled(view: View, owner: Owner, drifting: Collection[str] = ()) -> dict[str, str]:
    """Return an assignment close to `owner` whose quotient has no cycle, whatever `owner` is.

    Each owner gets a rank, by the position of its last card; each card gets as level the rank of
    its owner, or the highest level among its predecessors if that is higher. Levels never fall
    along an arrow, so cards of one level can be one card.

    Args:
        view: The cards.
        owner: For each card the one that it should go into.
        drifting: Cards that may go wherever their predecessors are.
    """
    position = {key: number for number, key in enumerate(view.cards)}
    last: dict[str, int] = {}
    for key in view.cards:
        last[owner[key]] = max(position[key], last.get(owner[key], 0))
    names = {number: name for name, number in last.items()}
    level: dict[str, int] = {}
    predecessors = view.predecessors()
    for key in view.cards:
        levels = [level[source] for source in predecessors[key]]
        level[key] = max(levels if levels and key in drifting else [last[owner[key]], *levels])
    return {key: names[level[key]] for key in view.cards}


def union(views: Sequence[View]) -> View:
    """Return the cards and links of several views of one model; the last one's card wins."""
    if len(views) == 1:
        return views[0]
    first = views[-1]
    cards = {key: card for view in views for key, card in view.cards.items()}
    links = {(link.source, link.port, link.target, link.slot): link for view in views for link in view.links}
    merged = replace(
        first,
        cards=cards,
        links=tuple(links.values()),
        outputs=tuple(dict.fromkeys(output for view in views for output in view.outputs)),
    )
    if nx.is_directed_acyclic_graph(digraph(merged)):
        return replace(merged, cards={key: cards[key] for key in _ordered(merged)})
    return merged
