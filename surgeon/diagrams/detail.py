"""How much of a model to show, and the way there."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Literal, get_args

from surgeon.diagrams.blocks import block, by_order, by_prefix, by_suffix, by_waist
from surgeon.diagrams.fold import fold, folded
from surgeon.diagrams.quotient import Make, contract, union
from surgeon.diagrams.repeats import repeated, repeats
from surgeon.diagrams.shorten import by_budget, described, piece
from surgeon.diagrams.view import Card, View
from surgeon.errors import RenderError, near_misses

Detail = Literal["auto", "overview", "blocks", "layers", "weights"]
Views = list[View]

_WITH_WEIGHTS = 12  # cards up to which "auto" shows every weight
_WITH_LAYERS = 22  # cards up to which "auto" shows every layer
_BLOCKS = 14  # cards of one model that a picture of its blocks should not exceed
# Cards for each call in an overview, so that it shows three in a hundred layers at most: in the models of
# keras.applications up to one call in eight is an operation between layers.
_SHARE = 0.026
# Which nested models a picture of blocks leaves open: those with more cards than the first number and
# fewer than the second, if all that gives no more cards than the third.
_NESTED = ((0, 36, 28), (3, 36, 48), (0, 0, 0))

_Step = tuple[Callable[[View], dict[str, str]], Make]
_EQUAL: tuple[_Step, ...] = ((repeats("same"), repeated),)
_SHAPE: tuple[_Step, ...] = ((repeats("same shape"), repeated),)
_STATE: tuple[_Step, ...] = ((repeats("same state"), repeated),)
_PREFIX: _Step = (by_prefix, block)
# From the most telling to the shortest. The first one within the limit is taken.
_WAYS: tuple[tuple[int, tuple[_Step, ...]], ...] = (
    (_BLOCKS, _EQUAL),
    (_BLOCKS, (_PREFIX, *_EQUAL)),
    (_BLOCKS, (_PREFIX, *_SHAPE)),
    (2 * _BLOCKS, (_PREFIX, *_STATE)),
    (2 * _BLOCKS, (_PREFIX, (by_waist, block), *_SHAPE)),
    (3 * _BLOCKS, ((by_suffix, block), *_SHAPE)),
    (4 * _BLOCKS, (_PREFIX, (by_waist, block), *_STATE)),
    (0, (_PREFIX, (by_waist, block), (by_order, block))),
)


def arrange(views: Sequence[View], detail: Detail) -> tuple[Views, bool]:
    """Return the views with as many cards as the detail wants, and whether weights are listed.

    Several views (before, after) are put together in the same way, so that their cards can be
    compared: what to join is decided on the union of their graphs.

    Raises:
        RenderError: If there is no such detail.
    """
    if detail not in get_args(Detail):
        known = ", ".join(map(repr, get_args(Detail)))
        raise RenderError(
            f"no detail {detail!r}{near_misses(str(detail), get_args(Detail))}; there are {known}"
        )
    layers = _inside_out(list(views), lambda inner: _step(inner, (fold, folded)))
    largest = max(view.size for view in layers)
    if detail == "overview":
        most = max(1, int(_SHARE * min(view.layers for view in views)))
        return _inside_out(layers, lambda inner: _overview(inner, most), range(0)), False
    if detail == "blocks" or (detail == "auto" and largest > _WITH_LAYERS):
        shorter = layers
        for too_small, too_large, limit in _NESTED:
            open_sizes = range(too_small + 1, too_large)
            shorter = _inside_out(layers, _blocks, open_sizes)
            if max(view.size for view in shorter) <= limit:
                break
        return shorter, False
    return layers, detail == "weights" or (detail == "auto" and largest <= _WITH_WEIGHTS // len(layers))


def _step(views: Views, step: _Step) -> Views:
    assign, make = step
    whole = union(views)
    if all(set(view.cards) <= set(whole.cards) for view in views) and _is_ordered(whole):
        owner = assign(whole)
        return [contract(view, owner, make) for view in views]
    return [contract(view, assign(view), make) for view in views]


def _is_ordered(view: View) -> bool:
    position = {key: number for number, key in enumerate(view.cards)}
    return all(position[link.source] < position[link.target] for link in view.links)


def _overview(views: Views, most: int) -> Views:
    shorter = _blocks(views)
    if max(len(view.cards) for view in shorter) > most:
        shorter = _step(shorter, (by_budget(most), piece))
    return [described(view, whole) for view, whole in zip(shorter, views, strict=True)]


def _blocks(views: Views) -> Views:
    # Ways that begin alike share what they have made so far.
    made: dict[tuple[_Step, ...], Views] = {(): views}
    shorter = views
    for limit, steps in _WAYS:
        for length in range(1, len(steps) + 1):
            if steps[:length] not in made:
                made[steps[:length]] = _step(made[steps[: length - 1]], steps[length - 1])
        shorter = made[steps]
        if max(len(view.cards) for view in shorter) <= limit:
            break
    return shorter


def _inside_out(
    views: Views, change: Callable[[Views], Views], open_sizes: Container[int] | None = None
) -> Views:
    """Apply a change to the nested models first, those of the same card together.

    Nested models whose number of cards is not among `open_sizes` are drawn as one card.
    """
    cards: list[dict[str, Card]] = [dict(view.cards) for view in views]
    for key in {key: None for view in views for key, card in view.cards.items() if card.inner}:
        holders = [number for number, view in enumerate(views) if key in view.cards and view.cards[key].inner]
        inners = [inner for number in holders if (inner := views[number].cards[key].inner)]
        changed = _inside_out(inners, change, open_sizes)
        closed = open_sizes is not None and any(inner.size not in open_sizes for inner in changed)
        for number, inner in zip(holders, changed, strict=True):
            card = cards[number][key]
            cards[number][key] = _closed(card, inner) if closed else replace(card, inner=inner)
    return change([replace(view, cards=own) for view, own in zip(views, cards, strict=True)])


def _closed(card: Card, inner: View) -> Card:
    return replace(card, inner=None, kind="block", parts=tuple(inner.cards.values()))
