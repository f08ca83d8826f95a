"""What no one would draw on purpose: a picture or a clear error, in every format, never a broken file."""

from __future__ import annotations

import io
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import keras
import networkx as nx
import pytest
from keras import layers
from PIL import Image

import surgeon as sg
from surgeon.errors import NoGraphError, SurgeonError
from surgeon.graph import ModelGraph
from tests.diagrams.graphs import Builder, chain, empty, weight
from tests.diagrams.test_drawing import NASTY, check_is_inert
from tests.reporting.test_report import check_is_sealed


def nasty() -> ModelGraph:
    build = Builder(NASTY[1])
    key = build.input(NASTY[2])
    for name in NASTY:
        key = build.add(name, f"Layer{name}", key, weights=(weight(name, (2, 2)),))
    return build.graph(key)


def weightless() -> ModelGraph:
    build = Builder("weightless")
    return build.graph(build.add("flat", "Flatten", build.add("relu", "ReLU", build.input())))


def lonely() -> ModelGraph:
    """An input that is the output."""
    build = Builder("lonely")
    return build.graph(build.input())


def surrogate() -> ModelGraph:
    build = Builder("\ud800")
    return build.graph(build.dense("\ud800\udfff", build.input(shape=(None, 4))))


GRAPHS: dict[str, Callable[[], ModelGraph]] = {
    "names": nasty,
    "no weights": weightless,
    "no layers": empty,
    "only an input": lonely,
    "half a character": surrogate,
}


@pytest.mark.parametrize("detail", ["weights", "layers", "blocks", "overview"])
@pytest.mark.parametrize("name", GRAPHS)
def test_pictures(name, detail):
    drawing = sg.diagram(GRAPHS[name](), detail=detail)
    check_is_inert(drawing.svg)
    assert Image.open(io.BytesIO(drawing.png())).size[0] > 50
    assert str(drawing)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_format_can_be_read_back(name, tmp_path):
    graph = GRAPHS[name]()
    drawing = sg.diagram(graph)
    ET.fromstring(drawing.save(tmp_path / "a.svg").read_text(encoding="utf-8"))
    with Image.open(drawing.save(tmp_path / "a.png")) as image:
        image.load()
    pdf = drawing.save(tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert pdf.rstrip().endswith(b"%%EOF")
    check_is_sealed(sg.report(graph, graph, tmp_path / "a.html").html)
    assert len(nx.parse_graphml(sg.to_graphml(graph), force_multigraph=True)) == len(graph)
    sg.to_model_explorer(graph, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["graphs"]
    sg.to_tensorboard(graph, tmp_path / "logs")


def test_a_keras_model_with_such_names(tmp_path):
    # A slash is the one thing that Keras itself does not let into a name.
    names = [name.replace("/", "-") for name in NASTY if name.isprintable()]
    x = image = keras.Input((4,), name="in")
    for name in names:
        x = layers.Dense(2, name=name)(x)
    model = keras.Model(image, x, name="<b>")
    check_is_inert(sg.diagram(model, tmp_path / "a.svg").svg)
    plan = sg.plan(model, sg.freeze("*"))
    check_is_sealed(sg.report(model, plan.apply(model), plan=plan).html)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: keras.Sequential([layers.Dense(2)], name="raw"), "'raw' was not built yet"),
        (lambda: keras.Sequential(name="bare"), "'bare' was not built yet"),
        (lambda: type("Own", (keras.Model,), {})(name="own"), "'own' is subclassed and has no graph"),
        (lambda: layers.Dense(2), "expected a keras.Model, not Dense"),
        (lambda: None, "expected a keras.Model, not NoneType"),
    ],
    ids=["unbuilt", "without layers", "subclassed", "a layer", "nothing"],
)
@pytest.mark.parametrize(
    "act", [sg.diagram, sg.plot_depth, lambda model, path: sg.report(model, model, path)]
)
def test_what_has_no_graph_is_a_clear_error(make, words, act, tmp_path):
    with pytest.raises(NoGraphError, match=words) as caught:
        act(make(), tmp_path / "a.svg")
    assert isinstance(caught.value, SurgeonError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["auto", "overview"])
def test_ten_thousand_layers(detail, tmp_path: Path):
    graph = chain(10_000, trains_from=9_000)
    start = time.process_time()
    drawing = sg.diagram(graph, detail=detail)
    check_is_inert(drawing.svg)
    assert drawing.save(tmp_path / "a.pdf").stat().st_size > 1_000
    assert "10,001 layers" in drawing.text or "10,001 layers" in drawing.svg
    assert time.process_time() - start < 60
