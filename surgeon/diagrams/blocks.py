"""Put the layers of a block into one card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from surgeon.diagrams.names import block_of, cell_of, is_automatic
from surgeon.diagrams.quotient import is_acyclic, levelled
from surgeon.diagrams.view import Card, View

_PIECES = 36  # cards that a graph without any structure is cut into
_LONGEST = 40  # cards between two waists that still are one block


def by_prefix(view: View) -> dict[str, str]:
    """Assign each card to the block that its name begins with."""
    return _grouped(view, lambda card: block_of(card.name))


def by_suffix(view: View) -> dict[str, str]:
    """Assign each card to the cell that its name ends with."""
    return _grouped(view, lambda card: cell_of(card.name, card.classes[0]))


def _grouped(view: View, name_of: Callable[[Card], str]) -> dict[str, str]:
    names = {key: name_of(card) if may_join(card) else "" for key, card in view.cards.items()}
    sizes = Counter(names.values())
    owner = {key: f"block:{name}" if name and sizes[name] > 1 else key for key, name in names.items()}
    if is_acyclic(view, owner):
        return owner
    unnamed = {
        key
        for key, card in view.cards.items()
        if not names[key] and not card.rows and may_join(card) and is_automatic(card.name, card.classes[0])
    }
    return _alone(view, levelled(view, owner, unnamed))


def _alone(view: View, owner: dict[str, str]) -> dict[str, str]:
    """Part inputs and nested models from what drifted onto their level: it all comes after them."""
    drifted: dict[str, list[str]] = {}
    for key, name in owner.items():
        if name != key and name in view.cards and not may_join(view.cards[name]):
            drifted.setdefault(name, []).append(key)
    for keys in drifted.values():
        owner |= dict.fromkeys(keys, f"block:{keys[0]}" if len(keys) > 1 else keys[0])
    return owner


def by_waist(view: View) -> dict[str, str]:
    """Assign branches that part and meet again to the card in which they meet.

    A waist is a card that all paths from earlier to later cards go through. What lies between
    one waist and the next is one block, if it holds branches at all. In order of running, all
    arrows lead from a block to a later one: there is no cycle.
    """
    keys = list(view.cards)
    position = {key: number for number, key in enumerate(keys)}
    successors = view.successors()
    # The furthest reader of any card before this one; a waist is passed by no such arrow.
    reach = 0
    segment: list[str] = []
    owner: dict[str, str] = {}
    for number, key in enumerate(keys):
        is_waist = reach <= number
        reach = max([reach, *(position[target] for target in successors[key])])
        if not may_join(view.cards[key]):
            owner.update((member, member) for member in (*segment, key))
            segment = []
            continue
        segment.append(key)
        if is_waist:
            joins = 1 < len(segment) <= _LONGEST
            owner.update((member, f"block:{key}" if joins else member) for member in segment)
            segment = []
    owner.update((member, member) for member in segment)
    return owner


def by_order(view: View) -> dict[str, str]:
    """Assign cards in order of running to a few dozen pieces of equal length."""
    keys = [key for key, card in view.cards.items() if may_join(card)]
    length = max(2, -(-len(keys) // _PIECES))
    owner = {key: key for key in view.cards}
    for start in range(0, len(keys), length):
        piece = keys[start : start + length]
        owner.update((key, f"block:{piece[0]}") for key in piece)
    return owner if is_acyclic(view, owner) else levelled(view, owner)


def may_join(card: Card) -> bool:
    """Whether a card may become a part of a block."""
    return card.kind != "input" and card.inner is None


def block(key: str, cards: Sequence[Card]) -> Card:
    """Return one card for all layers of a block."""
    name = key.removeprefix("block:")
    names = [card.name for card in cards]
    if cards[-1].key == name:  # the card in which branches meet
        known = [card.name for card in cards if card.kind == "block"]
        name = known[0] if len(known) == 1 else cards[-1].name
    is_piece = cards[0].key == name
    is_prefix = not is_piece and (any(other.startswith(name) for other in names) or name.startswith("cell_"))
    return Card(
        key=key,
        name=name if is_prefix else names[0],
        last="" if is_prefix or len(cards) == 1 else cards[-1].last or names[-1],
        classes=("Block",),
        members=tuple(member for card in cards for member in card.members),
        kind="block",
        rows=tuple(row.led(f"{card.name}/") for card in cards for row in card.rows),
        shape=cards[-1].shape,
        parts=tuple(cards),
        path=cards[0].path,
        fresh=tuple(member for card in cards for member in card.fresh),
        was=" → ".join(card.was for card in cards if card.was),
    )
