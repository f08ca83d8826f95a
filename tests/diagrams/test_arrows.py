"""Arrows too long to follow become words."""

from __future__ import annotations

from surgeon.diagrams import draw
from surgeon.diagrams.arrows import told_in_words
from surgeon.diagrams.outline import sentence
from surgeon.diagrams.view import view_of
from tests.diagrams.graphs import Builder, resnet, tangle


def ends(view):
    return {(link.source, link.target) for link in view.links}


def test_a_picture_of_usual_arrows_keeps_them_all():
    for graph in (resnet(), tangle(80)):
        view = view_of(graph)
        assert told_in_words(view) == view


def test_the_longest_go_first_and_none_is_lost():
    view = view_of(tangle(300))
    shorter = told_in_words(view, most=2000)
    position = {key: number for number, key in enumerate(view.cards)}
    spans = {link: position[link[1]] - position[link[0]] for link in ends(view)}
    told = {(source, key) for key, card in shorter.cards.items() for source in card.also}
    assert told
    assert told | ends(shorter) == ends(view)
    assert not told & ends(shorter)
    assert min(spans[link] for link in told) >= max(spans[link] for link in ends(shorter))
    assert sum(spans[link] for link in ends(shorter)) <= 2000


def test_they_are_told_on_the_card_that_they_end_at():
    build = Builder()
    first = key = build.dense("first", build.input())
    for number in range(160):
        key = build.dense(f"d_{number}", key)
    graph = build.graph(build.add("join", "Concatenate", key, first))
    view = told_in_words(view_of(graph), most=200)
    assert view.cards["join"].also == ("first",)
    assert sentence(view.cards["join"]) == "join: Concatenate, also reads first"


def test_a_thousand_layers_with_random_skips_are_drawn():
    drawing = draw(tangle(1000), detail="layers")
    assert "also reads" in drawing.svg
    assert drawing.svg.count('class="node') == 1001
