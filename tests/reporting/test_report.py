"""The page without a browser: what is in it, what cannot get into it, its size, its bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import keras
import pytest
from keras import layers

import surgeon as sg
from surgeon.diagrams import draw_pair
from surgeon.errors import NoGraphError, RenderError
from surgeon.reporting.rows import layer_rows
from tests import zoo
from tests.diagrams.graphs import MODELS, Builder, chain, empty, nested, resnet, weight
from tests.diagrams.test_drawing import NASTY

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """Elements, their attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in self.raw:
            self.raw[self.inside].append(data)


def data_of(html):
    return json.loads(Page(html).raw["script"][0])


def check_is_sealed(html: str) -> None:
    """Check that only its own script and style are let in, and that nothing points outside."""
    page = Page(html)
    policies = [a["content"] or "" for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
    (policy,) = policies
    assert policy.startswith("default-src 'none'; ")
    data, script = page.raw["script"]
    json.loads(data)
    for text in (script, *page.raw["style"]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert len(page.raw["script"]) == 2
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "link", "img", "base", "form")
        names = [
            name for name in attributes if name.startswith("on") or name in ("src", "style", "xlink:href")
        ]
        assert not names, (tag, names)
        assert attributes.get("href", "#")[:1] == "#"  # type: ignore[index]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_report(name):
    html = sg.report(MODELS[name], MODELS[name]).html
    check_is_sealed(html)
    pictures = [
        html.partition(f'id="world-{side}"')[2].partition("</div>")[0] for side in ("before", "after")
    ]
    assert [picture.count("<svg") for picture in pictures] == [1, 1]


def test_names_are_data():
    build = Builder("</title><script>alert(1)</script>")
    key = build.input("{{script}}")
    for name in [*NASTY, "</script><script>alert(1)</script>", "<!--<script>"]:
        key = build.add(name, f"Layer<{name}>", key, weights=(weight(f"{name}/kernel<i>", (2, 2)),))
    graph = build.graph(key)
    html = sg.report(graph, graph, title="<b>{{data}}</b>").html
    check_is_sealed(html)
    assert "<b>" not in html.split("<h1>")[1].split("</h1>")[0]
    assert "</script><script>alert(1)</script>" in [row[0] for row in data_of(html)]


def test_a_weight_of_another_shape_is_one_that_went_and_one_that_came():
    def one(units):
        build = Builder()
        return build.graph(build.add("d", "Dense", build.input(), weights=(weight("kernel", (3, units)),)))

    graphs = one(8), one(5)
    old, new = draw_pair(*graphs)
    (row,) = [row for row in layer_rows(*graphs, old.members, new.members) if row[0] == "d"]
    assert row[3] == [["kernel", "3×8", 24, 1, 24, -1], ["kernel", "3×5", 15, 1, -1, 15]]


def test_rows_tell_both_sides():
    before, after = Builder(), Builder()
    before.dense("head", before.dense("old", before.input()))
    after.dense("head", after.dense("new", after.input()), trains=False)
    graphs = before.graph("head"), after.graph("head")
    old, new = draw_pair(*graphs)
    rows = {row[0]: row for row in layer_rows(*graphs, old.members, new.members)}
    assert list(rows) == ["image", "old", "new", "head"] or list(rows) == ["image", "new", "old", "head"]
    assert rows["head"][3] == [["kernel", "4×5", 20, 1, 20, 0], ["bias", "5", 5, 1, 5, 0]]
    assert (rows["old"][5], rows["new"][4]) == ("", "")
    assert rows["old"][3][0][4:] == [20, -1]


@pytest.mark.parametrize(
    "graph",
    [resnet(20), nested(depth=3), nested(calls=2), MODELS["shared"]],
    ids=["resnet", "deep", "twice", "shared"],
)
def test_every_layer_leads_to_the_card_that_shows_it(graph):
    old, new = draw_pair(graph, graph)
    rows = layer_rows(graph, graph, old.members, new.members)
    ids = dict(new.members)
    for path, *_, one, other in rows:
        assert one == other
        assert one in ids, path
        assert f'id="{one}"' in new.svg


def test_a_report_of_a_rewritten_model(tmp_path):
    model = zoo.cnn()
    plan = sg.plan(model, [sg.freeze("conv_1"), sg.train("hidden", kernel=sg.channels([0, 1]))])
    tuned = plan.apply(model)
    report = sg.report(model, tuned, tmp_path / "report.html", plan=plan)
    assert report.validation is not None
    assert report.validation.ok
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.html
    for text in (
        "freeze(&#x27;conv_1&#x27;)",
        "equal, bit for bit",
        plan.architecture.digest,
        keras.__version__,
    ):
        assert text in report.html
    assert str(ROOT) not in report.html, "a report is passed on: it tells no folders"
    rows = {row[0]: row for row in data_of(report.html)}
    assert rows["conv_1"][3][0][4:] == [162, 0]
    shown = sum(w[5] for row in rows.values() for w in row[3])
    assert shown == sum(v.value.shape.num_elements() for v in tuned.trainable_variables)
    check_is_sealed(report.html)


def test_edits_of_the_structure_are_called_what_they_are():
    model = zoo.mlp()
    steps = [
        sg.insert_after("dense_1", layers.Dropout(0.1, name="drop")),
        sg.remove("dense_2"),
        sg.freeze("*"),
    ]
    plan = sg.plan(model, steps)
    html = sg.report(plan.before, plan.after, plan=plan).html
    assert "<li>inserts drop: Dropout" in html
    assert "<li>removes dense_2: Dense" in html
    assert "replaces" not in html.partition('id="panel-rules"')[2].partition("</section>")[0]
    assert "0 → 0 elements" not in html
    assert "→ 0 elements train" in html


def test_a_difference_is_told():
    one, other = zoo.mlp(), zoo.mlp()
    other.layers[0].kernel.assign(other.layers[0].kernel + 1)
    html = sg.report(one, other).html
    assert "weight dense_1/kernel has other values" in html
    assert "No plan was given" in html


def test_the_same_bytes_in_another_process():
    program = (
        "import hashlib, surgeon as sg; from tests.diagrams.graphs import MODELS;"
        "html = sg.report(MODELS['nested'], MODELS['partly']).html;"
        "print(hashlib.sha256(html.encode()).hexdigest())"
    )
    told = {
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
    assert len(told) == 1


def test_bad_input(tmp_path):
    with pytest.raises(NoGraphError):
        sg.report(keras.Sequential([layers.Dense(2)]), zoo.mlp())
    with pytest.raises(RenderError, match=r"ends in \.html"):
        sg.report(chain(1), chain(1), tmp_path / "report.pdf")
    with pytest.raises(RenderError, match="no folder"):
        sg.report(chain(1), chain(1), tmp_path / "missing" / "report.html")
    assert list(tmp_path.iterdir()) == []
    check_is_sealed(sg.report(empty(), empty()).html)


@pytest.mark.slow
def test_ten_thousand_layers_fit_into_a_page():
    graph = chain(10_000)
    html = sg.report(graph, graph).html
    assert len(data_of(html)) == 10_001
    assert len(html.encode()) < 1_600_000


@pytest.mark.slow
def test_the_report_of_the_largest_application_is_small():
    model = keras.applications.NASNetLarge(weights=None)
    plan = sg.plan(model, [sg.freeze("*_[1-9]"), sg.freeze("predictions", "bias")])
    report = sg.report(sg.to_graph(model), plan.after, plan=plan)
    assert len(report.html.encode()) <= 500_000
    assert len(data_of(report.html)) == 1041
