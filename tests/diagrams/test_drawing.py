"""The finished picture: formats, colours, safety, sameness."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from surgeon.diagrams import draw, draw_change, layout
from surgeon.errors import RenderError
from surgeon.graph import Ref
from tests.diagrams.graphs import (
    MODELS,
    Builder,
    chain,
    nested,
    partly,
    resnet,
    shared,
    tangle,
    totals,
    weight,
)

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
NASTY = [
    'quote " and \' and \\ and \\n \\"',
    "<script>alert(1)</script>",
    "</title></svg><b>&amp;&#60;",
    ">]]><table>",
    "a/b\\N\\G\\E",
    "emoji 🙂 中文 é عربى \u202etxt",
    "tab\tnew\nline\x00\x07\x1b[31m",
    "x" * 500,
    "W" * 500,
    "]; evil [label=gotcha",
    "{|} -> n0",
    "<!-- x --><!DOCTYPE x>",
    "_",
]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_drawn(name, theme):
    drawing = draw(MODELS[name], theme=theme)
    root = ET.fromstring(drawing.svg)
    assert root.tag == f"{SVG}svg"
    assert "frozen" in texts(drawing.svg)
    assert str(drawing).splitlines()[0].startswith(MODELS[name].name)


def test_the_same_bytes_in_another_process():
    program = (
        "from surgeon.diagrams import draw, draw_change; from tests.diagrams.graphs import MODELS;"
        "d = [draw(g) for g in MODELS.values()] + [draw_change(MODELS['nested'], MODELS['resnet'])];"
        "import hashlib; h = hashlib.sha256();"
        "[h.update(x) for p in d for x in (p.dot.encode(), p.svg.encode(), str(p).encode())];"
        "h.update(draw(MODELS['shared']).png()); print(h.hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_layout_does_not_depend_on_the_fonts_of_the_machine(monkeypatch, tmp_path):
    usual = draw(MODELS["nested"])
    other = draw(MODELS["nested"])
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    expected = usual.svg
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    assert other.svg == expected


def test_names_are_data(tmp_path):
    build = Builder('model "<b>"')
    key = build.input('<input name="x">')
    for name in NASTY:
        key = build.add(name, f"Layer<{name}>", key, weights=(weight(f"{name}/kernel<i>", (2, 2)),))
    graph = build.graph(key)
    for drawing in (draw(graph, detail="weights"), draw(graph, detail="blocks"), draw_change(graph, graph)):
        check_is_inert(drawing.svg)
        assert drawing.png().startswith(b"\x89PNG")
        for suffix in ("dot", "svg"):
            assert drawing.save(tmp_path / f"x.{suffix}").read_text()


@settings(max_examples=12)
@given(name=st.text(st.characters(exclude_categories=()), min_size=1, max_size=40))
@example(name="\ud800")
def test_any_name_at_all(name):
    build = Builder(name)
    graph = build.graph(build.dense(name, build.input("i", (None, 4))))
    check_is_inert(draw(graph, title=name).svg)


def check_is_inert(svg: str) -> None:
    allowed = {
        "svg",
        "g",
        "title",
        "defs",
        "pattern",
        "rect",
        "polygon",
        "path",
        "text",
        "circle",
        "polyline",
    }
    attributes = {name for element in ET.fromstring(svg).iter() for name in element.keys()}  # noqa: SIM118
    assert {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()} <= allowed
    assert not any(name.startswith("on") or "href" in name for name in attributes)


def test_rows_tell_every_weight():
    drawing = draw(partly())
    words = texts(drawing.svg)
    assert {"kernel", "10×10", "25% trains (25)", "bias", "10", "frozen"} <= set(words)
    assert "partly frozen" in words
    assert "77% frozen" in [word.strip() for word in words]


def test_shapes_stand_at_the_arrows_without_the_batch():
    build = Builder()
    key = build.dense("b", build.dense("a", build.input(shape=(None, 4))), shape=(None, 5))
    words = texts(draw(build.graph(key)).svg)
    assert "8×8×4" in words
    assert "Input 4" in words
    assert not any("None" in word for word in words)


def test_a_mask_is_a_dotted_arrow():
    build = Builder()
    words = build.input(shape=(None, 9))
    mask = build.add("not_equal", "NotEqual", words, shape=(None, 9))
    lstm = build.add("lstm", "LSTM", words, weights=(weight("kernel", (2, 2)),), shape=(None, 5))
    build.nodes[lstm] = replace(build.nodes[lstm], kwargs={"mask": Ref(mask)})
    second = build.add("again", "LSTM", lstm, weights=(weight("kernel", (2, 2)),), shape=(None, 5))
    build.nodes[second] = replace(build.nodes[second], kwargs={"mask": Ref(mask)})
    drawing = draw(build.graph(build.dense("head", second)))
    assert drawing.dot.count("style=dotted") == 2
    assert texts(drawing.svg).count("mask") == 1, "the first arrow speaks for all from there"


def test_a_shared_layer_is_drawn_as_shared():
    drawing = draw(shared())
    assert "Dense, shared with embed" in texts(drawing.svg)
    assert "style=dashed" in drawing.dot
    assert texts(drawing.svg).count("25 params") == 1


def test_a_nested_model_is_a_box_with_a_heading():
    drawing = draw(nested())
    assert drawing.dot.count("subgraph cluster_") == 2
    assert "encoder_1" in texts(drawing.svg)


def test_pointing_at_a_card_tells_its_name():
    titles = [element.text for element in ET.fromstring(draw(chain(2)).svg).iter(f"{SVG}title")]
    assert "dense_0: Dense, trainable, 25 params" in titles
    assert not any(re.fullmatch(r"n\d+.*|surgeon|cluster_.*", title or "") for title in titles)


def test_bars_add_up_to_the_parameters():
    graph = resnet(20, frozen=5)
    frozen, trainable, _ = totals(graph)
    heading = re.search(r"([\d.]+\w?) of ([\d.]+\w?) params trainable", " ".join(texts(draw(graph).svg)))
    assert heading is not None
    units = {"K": 1000.0}
    said = [float(text.rstrip("K")) * units.get(text[-1], 1.0) for text in heading.groups()]
    assert said == [pytest.approx(trainable, rel=0.006), pytest.approx(frozen + trainable, rel=0.006)]


def test_png_has_letters_on_a_machine_without_fonts(monkeypatch, tmp_path):
    graph = chain(1)
    usual = draw(graph).png()
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    assert draw(graph).png() == usual
    ink = sum(Image.open(io.BytesIO(usual)).convert("L").histogram()[:80])
    assert ink > 1000


def test_a_missing_font_is_an_error_not_a_picture_without_text(monkeypatch):
    monkeypatch.setattr("surgeon.diagrams.fonts.importlib.util.find_spec", lambda name: None)
    drawing = draw(chain(1))
    monkeypatch.setattr(layout, "_renderers", lambda: iter(()))
    drawing.__dict__["svg"] = "<svg/>"
    with pytest.raises(RenderError, match="pip install fontpkg-arimo"):
        drawing.png()


def test_scale_is_pixels():
    drawing = draw(chain(2))
    one, three = (Image.open(io.BytesIO(drawing.png(scale))).size for scale in (1, 3))
    assert three[0] == pytest.approx(3 * one[0], abs=3)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), 1e9])
def test_a_scale_that_makes_no_sense(scale):
    with pytest.raises(RenderError, match="scale"):
        draw(chain(1)).png(scale)


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        (".svg", b"<svg"),
        (".png", b"\x89PNG"),
        (".pdf", b"%PDF"),
        (".dot", b"digraph"),
        (".gv", b"digraph"),
        (".SVG", b"<svg"),
    ],
)
def test_saving(tmp_path, suffix, start):
    path = draw(chain(2)).save(tmp_path / f"picture{suffix}")
    assert path.read_bytes().startswith(start)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_saving_replaces_and_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "picture.svg"
    path.write_text("before")
    monkeypatch.setattr(layout, "_renderers", lambda: iter(()))
    with pytest.raises(RenderError):
        draw(chain(2)).save(path)
    assert path.read_text() == "before"
    monkeypatch.undo()
    assert draw(chain(2)).save(str(path)).read_text().startswith("<svg")
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_suffix_or_folder(tmp_path):
    with pytest.raises(RenderError, match=r"no format '\.pgn'; close: '\.png'.*there are \.svg"):
        draw(chain(1)).save(tmp_path / "picture.pgn")
    with pytest.raises(RenderError, match="no folder"):
        draw(chain(1)).save(tmp_path / "missing" / "picture.dot")


def test_unknown_themes_and_details():
    with pytest.raises(RenderError, match="no theme 'drak'; close: 'dark'; there are 'light', 'dark'"):
        draw(chain(1), theme="drak")
    with pytest.raises(RenderError, match="no detail 'layer'; close: 'layers'"):
        draw(chain(1), detail="layer")  # type: ignore[arg-type]
    with pytest.raises(RenderError, match="no detail"):
        draw_change(chain(1), chain(1), detail="all")  # type: ignore[arg-type]


def test_without_graphviz_there_is_still_dot_and_text(monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "_renderers", lambda: iter(()))
    drawing = draw(chain(2))
    with pytest.raises(RenderError, match=r"no Graphviz found.*pip install pygraphviz.*drawing\.dot"):
        drawing.svg  # noqa: B018
    assert drawing.save(tmp_path / "picture.dot").read_text() == drawing.dot
    shown = drawing._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    assert "pip install pygraphviz" in shown["text/plain"]


def test_the_next_renderer_takes_over(monkeypatch):
    good = next(layout._renderers())
    bad = ("broken", [sys.executable, "-c", "import sys; sys.exit('no good')"])
    gone = ("gone", ["/nonexistent/dot"])
    monkeypatch.setattr(layout, "_renderers", lambda: iter([bad, gone, good]))
    assert draw(chain(1)).svg.startswith("<svg")
    monkeypatch.setattr(layout, "_renderers", lambda: iter([bad, gone]))
    with pytest.raises(RenderError, match="broken: no good; gone: "):
        draw(chain(1)).svg  # noqa: B018


def test_the_short_way_to_pygraphviz_gives_what_the_documented_one_gives():
    dot = draw(MODELS["nested"]).dot
    done = [
        layout._run_in_time(command, dot) for name, command in layout._renderers() if name == "pygraphviz"
    ]
    short, documented = [one.stdout for one in done if one]
    assert short == documented
    assert short.startswith(b"<?xml")


def test_a_layout_that_takes_too_long_is_given_up(monkeypatch):
    slow = ("slow", [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(layout, "_renderers", lambda: iter([slow]))
    monkeypatch.setattr(layout, "_TIME_LIMITS", (0.2, 0.2, 0.2))
    with pytest.raises(RenderError, match="detail='overview'"):
        draw(chain(1)).svg  # noqa: B018


def test_a_layout_that_takes_too_long_is_tried_with_cheaper_options(monkeypatch):
    program = "import sys, time; dot = sys.stdin.read(); 'splines=line' in dot or time.sleep(60); print(dot)"
    monkeypatch.setattr(layout, "_renderers", lambda: iter([("slow", [sys.executable, "-c", program])]))
    monkeypatch.setattr(layout, "_TIME_LIMITS", (0.3, 20.0, 20.0))
    laid_out = layout.lay_out("digraph { a -> b }").decode()
    assert laid_out.startswith("digraph { a -> b nslimit=1;")
    assert laid_out.strip().endswith("}")


def test_all_of_it_with_nothing_on_the_path():
    program = (
        "from surgeon.diagrams import draw; from tests.diagrams.graphs import MODELS;"
        "d = draw(MODELS['nested']); print(len(d.svg) > 1000, d.png()[:4], d.pdf()[:4])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True b'\\x89PNG' b'%PDF'"


def test_a_notebook_gets_picture_and_text():
    drawing = draw(chain(1))
    assert set(drawing._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
    assert set(drawing._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(drawing._repr_mimebundle_(exclude={"text/plain"})) == {"image/svg+xml"}


def test_large_graphs_get_the_cheap_layout():
    assert "nslimit" in draw(tangle(200), detail="layers").dot
    assert "nslimit" not in draw(chain(30), detail="layers").dot


def test_a_huge_graph_is_drawn_in_reasonable_time_and_size():
    drawing = draw(tangle(250), detail="layers")
    assert "8×8×4" not in drawing.dot.replace("Input 8×8×4", "")
    wide, high = Image.open(io.BytesIO(drawing.png(4))).size
    assert max(wide, high) <= 16_000
    assert wide * high <= 41_000_000


def test_a_heading_can_be_changed_or_left_out():
    assert "my model" in texts(draw(chain(1), title="my model").svg)
    assert "chain" not in texts(draw(chain(1), title="").svg)


def test_importing_is_light():
    program = (
        "import sys, surgeon.diagrams;"
        "print([m for m in ('keras', 'tensorflow', 'pygraphviz', 'resvg_py', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
