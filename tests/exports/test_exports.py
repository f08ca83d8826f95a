"""Graphs for other viewers: complete, joined as they are, counted once."""

from __future__ import annotations

import io
import json
from typing import Any

import networkx as nx
import pytest

from surgeon.exports import to_graphml, to_model_explorer
from surgeon.exports.flat import flatten
from surgeon.graph import ModelGraph
from tests.diagrams.graphs import MODELS, Builder, totals, weight
from tests.diagrams.test_drawing import NASTY


def calls(graph: ModelGraph) -> int:
    return sum(calls(node.inner) if node.inner else 1 for node in graph)


def read(text: str) -> Any:
    return nx.read_graphml(io.BytesIO(text.encode()), force_multigraph=True)


@pytest.mark.parametrize("name", MODELS)
def test_graphml_has_every_call_and_counts_each_weight_once(name):
    graph = MODELS[name]
    made = read(to_graphml(graph))
    assert len(made) == calls(graph)
    assert nx.is_directed_acyclic_graph(made)
    sums = tuple(
        sum(data[key] for _, data in made.nodes(data=True)) for key in ("frozen", "trainable", "state")
    )
    assert sums == totals(graph)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_in_a_nested_model_is_joined_to_what_is_around_it(name):
    flat = flatten(MODELS[name])
    made = nx.DiGraph((edge.source, edge.target) for edge in flat.edges)
    made.add_nodes_from(flat.nodes)
    assert set(made) == set(flat.nodes), "every edge is between calls that there are"
    starts = [key for key in made if made.in_degree(key) == 0]
    assert all(flat.nodes[key].is_input and "/" not in key for key in starts)
    assert nx.number_weakly_connected_components(made) == min(len(made), 1)


@pytest.mark.parametrize("name", MODELS)
def test_model_explorer_graphs_are_whole(name):
    collection, data = to_model_explorer(MODELS[name])
    (graph,) = collection["graphs"]
    ids = [node["id"] for node in graph["nodes"]]
    assert len(set(ids)) == len(ids) == calls(MODELS[name])
    for node in graph["nodes"]:
        assert {edge["sourceNodeId"] for edge in node["incomingEdges"]} <= set(ids)
        assert node["namespace"] == node["id"].rpartition("/")[0]
    (results,) = (one["results"] for one in data.values())
    assert set(results) <= set(ids)
    assert all(0 <= one["value"] <= 100 for one in results.values())


def test_the_frozen_share_is_the_node_data():
    _, data = to_model_explorer(MODELS["partly"])
    assert data["partly"]["results"] == {"d": {"value": pytest.approx(100 * 85 / 110, abs=0.001)}}


def test_names_are_data(tmp_path):
    build = Builder('model "<b>"')
    key = build.input("x")
    for name in NASTY:
        key = build.add(name, f"Layer<{name}>", key, weights=(weight("kernel", (2, 2)),))
    graph = build.graph(key)
    assert len(read(to_graphml(graph, tmp_path / "graph.graphml"))) == len(graph)
    collection, data = to_model_explorer(graph, tmp_path / "graph.json")
    assert json.loads((tmp_path / "graph.json").read_text(encoding="utf-8")) == collection
    assert json.loads((tmp_path / "graph.frozen.json").read_text(encoding="utf-8")) == data
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "graph.frozen.json",
        "graph.graphml",
        "graph.json",
    ]
