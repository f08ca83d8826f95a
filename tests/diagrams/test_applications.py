"""Every model of keras.applications as a picture: few cards, nothing misplaced, nothing lost."""

from __future__ import annotations

import keras
import networkx as nx
import pytest

import surgeon as sg
from surgeon.diagrams import draw
from surgeon.diagrams.detail import arrange
from surgeon.diagrams.quotient import digraph
from surgeon.diagrams.view import View, view_of
from surgeon.graph import ModelGraph
from tests.applications import FAMILIES, NAMES
from tests.helpers import tiers


def check_picture(model: keras.Model, graph: ModelGraph, view: View) -> None:
    members = [member for card in view.cards.values() for member in card.members]
    assert sorted(members) == sorted(graph.nodes), "each layer is on one card"
    home = {member: key for key, card in view.cards.items() for member in card.members}
    ends = {(home[edge.source.node], home[edge.target]) for edge in graph.edges}
    shown = {(link.source, link.target) for link in view.links}
    assert shown == {(one, other) for one, other in ends if one != other}, "arrows are those of the graph"
    assert nx.is_directed_acyclic_graph(digraph(view))
    assert view.figures.total == model.count_params()
    assert view.figures.trainable == sum(v.value.shape.num_elements() for v in model.trainable_variables)
    assert view.layers >= len(graph)


@pytest.mark.parametrize("name", tiers(NAMES, slow=FAMILIES))
def test_an_overview_of_every_application(name):
    model = getattr(keras.applications, name)(weights=None)
    graph = sg.to_graph(model)
    for detail in ("overview", "blocks"):
        (view,), _ = arrange([view_of(graph)], detail)
        check_picture(model, graph, view)
    (view,), _ = arrange([view_of(graph)], "overview")
    # Of VGG16's 23 layers and VGG19's 26, three in a hundred are less than a card: they get that one.
    assert view.size <= max(1, int(0.03 * len(model.layers)))
    assert draw(graph).svg.count("<svg") == 1


def test_an_overview_of_one_application():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=5)
    for layer in model.layers[:77]:
        layer.trainable = False
    graph = sg.to_graph(model)
    for detail in ("overview", "blocks", "layers"):
        (view,), _ = arrange([view_of(graph)], detail)
        check_picture(model, graph, view)
