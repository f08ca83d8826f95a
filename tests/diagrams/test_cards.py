"""What stands on a card: long names, many weights, what it reads besides."""

from __future__ import annotations

import importlib.util
import io
import shutil
import sys
import types

import pytest

from surgeon.diagrams import cards, graphviz_child, layout
from surgeon.diagrams.fonts import font_file
from surgeon.diagrams.text import width
from surgeon.diagrams.theme import LIGHT
from surgeon.diagrams.view import Card, Row, text_of_shape
from surgeon.errors import RenderError
from tests.diagrams.graphs import weight


def card(name="a", last="", **options):
    return Card(key=name, name=name, classes=("Dense",), members=(name,), last=last, **options)


def test_two_long_names_keep_the_end_in_which_they_differ():
    stem = "a_very_long_name_of_a_layer_in_a_model_that_is_deep_block_"
    (span,) = cards.title(card(f"{stem}1_out", f"{stem}27_out", repeats=27), LIGHT)
    assert span.text.startswith("a_very_long")
    assert span.text.endswith("… 27_out ×27")
    (short,) = cards.title(card("block_1", "block_2", repeats=2), LIGHT)
    assert short.text == "block_1 … block_2 ×2"


def test_more_weights_than_fit_are_counted():
    rows = tuple(Row(f"w{number}", f"w{number}", weight(f"w{number}", (2,))) for number in range(20))
    label = cards.layer_card(card(rows=rows), LIGHT, True, cards.Note())
    assert "w10" in label
    assert "w11" not in label
    assert "+ 9 more" in label


def test_a_chip_says_what_it_reads_besides():
    label = cards.chip(card(also=("p", "q", "r", "s")), LIGHT, cards.Note("+ added"), False)
    assert "also reads p, q, r +1" in label
    assert "+ added" in label


@pytest.mark.parametrize(
    ("shape", "text"), [(None, ""), ((None,), "scalar"), ((None, 2, None), "2×?")], ids=str
)
def test_shapes_in_words(shape, text):
    assert text_of_shape(shape) == text


@pytest.mark.parametrize(
    ("layout_error", "svg_error", "said"),
    [(0, 0, None), (3, 0, "no layout: error 3"), (0, 4, "no SVG: error 4")],
    ids=["drawn", "no layout", "no picture"],
)
def test_the_child_writes_a_picture_or_says_why(monkeypatch, capfdbinary, layout_error, svg_error, said):
    inside = types.SimpleNamespace(
        agread=lambda file, context: "graph",
        gvContextWithBuiltins=lambda: "context",
        gvLayout=lambda context, graph, way: layout_error,
        gvRenderData=lambda context, graph, kind: (svg_error, b"<svg/>"),
    )
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setitem(sys.modules, "pygraphviz.graphviz", inside)

    class Package(types.ModuleType):
        graphviz = inside

    monkeypatch.setattr(graphviz_child, "type", lambda value: Package, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("digraph {}"))
    if said is None:
        graphviz_child.main("folder")
        assert capfdbinary.readouterr().out.endswith(b"<svg/>")
    else:
        with pytest.raises(SystemExit, match=said):
            graphviz_child.main("folder")


def test_a_graphviz_on_the_path_is_a_renderer(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/{name}" if name == "dot" else None)
    assert list(layout._renderers()) == [("dot", ["/dot", "-Tsvg"])]
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(RenderError, match=r"cannot draw the graph \(no Graphviz found\); install"):
        layout.lay_out("digraph {}")


def test_marks_on_letters_take_no_room():
    assert width("e\u0301", 10) == width("e", 10)
    assert width("\u8a9e", 10) > width("e", 10)


def test_a_font_that_is_not_there_is_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RenderError, match="PNG needs a font: `pip install fontpkg-arimo`"):
        font_file("PNG")


def test_names_of_which_one_begins_as_the_other_are_told_apart():
    stem = "a_very_long_name_of_a_layer_in_a_model_that_is_deep_block"
    (span,) = cards.title(card(stem, f"{stem}_1", repeats=2), LIGHT)
    assert span.text.endswith("×2")
