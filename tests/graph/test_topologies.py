"""Graphs as data: the reference topologies, JSON both ways, and networkx."""

from __future__ import annotations

import json

import networkx as nx
import pytest

import surgeon as sg
from surgeon.diagrams import draw
from surgeon.errors import GraphError
from surgeon.graph import graph_from_json, graph_to_json
from tests.zoo import ROOT, TOPOLOGIES

FOLDER = ROOT / "graphs" / "topologies"


@pytest.fixture(params=sorted(TOPOLOGIES))
def named(request):
    return request.param, sg.to_graph(TOPOLOGIES[request.param]())


def test_a_model_is_read_as_it_was(named):
    name, graph = named
    assert graph_to_json(graph) + "\n" == (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def test_json_goes_both_ways(named):
    text = graph_to_json(named[1])
    again = graph_from_json(text)
    assert graph_to_json(again) == text
    assert again.weights == named[1].weights
    assert [edge.source for edge in again.edges] == [edge.source for edge in named[1].edges]
    assert draw(again, detail="layers").dot == draw(named[1], detail="layers").dot


def test_networkx_sees_every_call_and_every_tensor(named):
    graph = named[1]
    assert nx.is_directed_acyclic_graph(graph.nx)
    assert list(graph.nx) == list(graph.nodes)
    assert graph.nx.number_of_edges() == len(graph.edges)
    with pytest.raises(nx.NetworkXError):
        graph.nx.remove_node(next(iter(graph.nodes)))


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"surgeon_graph": 1}', '{"surgeon_graph": 2}'])
def test_what_is_no_graph_is_refused(text):
    with pytest.raises(GraphError):
        graph_from_json(text)


def test_a_graph_that_reads_a_tensor_that_is_not_there_is_refused():
    data = json.loads((FOLDER / "mlp.json").read_text(encoding="utf-8"))
    data["outputs"] = [{"ref": ["nowhere", 0]}]
    with pytest.raises(GraphError, match="nowhere"):
        graph_from_json(json.dumps(data))


def test_a_graph_from_json_has_no_layers_to_build_from():
    with pytest.raises(GraphError, match="read from JSON"):
        sg.to_model(graph_from_json((FOLDER / "mlp.json").read_text(encoding="utf-8")))
