"""Plots within the page: sealed like the rest of it, in the colours of its theme."""

from __future__ import annotations

import re

import pytest

import surgeon as sg
from surgeon.diagrams.theme import LIGHT
from surgeon.errors import RenderError
from surgeon.partial import Part
from surgeon.plots import plot_depth, plot_mask, plot_training
from tests.browser import run_in_browser
from tests.diagrams.graphs import chain
from tests.reporting.test_report import Page

NAME = 'curves <b>of</b> "a" run'


@pytest.fixture(scope="module")
def html() -> str:
    plots = {
        NAME: plot_training({"loss": [3.0, 1.0], "trainable": [1, 9]}),
        "mask": plot_mask(Part.slices((6, 8), 1, range(3))),
        "depth": plot_depth(chain(3)),
    }
    made: str = sg.report(chain(2), chain(2), plots=plots).html
    return made


def test_no_style_and_nothing_from_outside(html):
    page = Page(html)
    assert sum(tag == "figure" for tag, _ in page.elements) == 3
    for tag, attributes in page.elements:
        assert "style" not in attributes
        assert not tag.startswith("rdf:")
        assert (attributes.get("href") or "#").startswith(("#", "data:image/png;base64,"))
    assert html.count("<style") == 1
    assert NAME not in html


def test_ids_are_unique_and_every_use_has_one(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert used <= set(ids)


def test_the_same_figures_give_the_same_page(html):
    pages = {sg.report(chain(1), chain(1), plots={"depth": plot_depth(chain(3))}).html for _ in range(2)}
    assert len(pages) == 1


def test_what_is_no_figure():
    with pytest.raises(RenderError, match=r"'a': …\} is a int, not a figure"):
        sg.report(chain(1), chain(1), plots={"a": 3})


def test_without_plots_there_is_no_tab():
    assert "panel-plots" not in sg.report(chain(1), chain(1)).html


def test_in_a_browser(html):
    told, problems = run_in_browser(
        html,
        """
        document.getElementById("tab-plots").click();
        await wait(50);
        const size = e => { const b = e.getBoundingClientRect(); return [b.width > 200, b.height > 80]; };
        const line = document.querySelector('.plot path[stroke="FROZEN"]');
        const color = () => page.getComputedStyle(line).stroke;
        const light = color();
        document.getElementById("theme").click();
        return {sizes: [...document.querySelectorAll(".plot svg")].map(size), light, dark: color(),
                names: [...document.querySelectorAll("figcaption")].map(e => e.textContent)};""".replace(
            "FROZEN", LIGHT.frozen
        ),
    )
    assert problems == []
    assert told["sizes"] == [[True, True]] * 3
    assert (told["light"], told["dark"]) == ("rgb(0, 114, 178)", "rgb(86, 180, 233)")
    assert told["names"] == [NAME, "mask", "depth"]
