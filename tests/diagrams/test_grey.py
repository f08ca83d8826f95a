"""Without colour: the states still differ, on the pixels of the picture."""

from __future__ import annotations

import io
import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from surgeon.diagrams import draw
from surgeon.diagrams.theme import DARK, LIGHT
from tests.diagrams.graphs import Builder, norm

SVG = "{http://www.w3.org/2000/svg}"
SCALE = 4


@pytest.fixture(scope="module", params=[LIGHT, DARK], ids=lambda theme: theme.name)
def grey(request):
    """A theme, and the middle of the widest area of each state in shades of grey, from 0 to 1."""
    theme = request.param
    build = Builder()
    key = build.dense("frozen", build.input(shape=(None, 4)), trains=False)
    key = build.dense("trainable", key)
    key = build.add("state", "Normalization", key, weights=norm()[2:])
    held = [replace(weight, still=True) for weight in norm()[2:]]
    key = build.add("still", "BatchNormalization", key, weights=held)
    key = build.add("none", "ReLU", key)
    drawing = draw(build.graph(build.dense("head", key)), theme=theme.name, title="")
    picture = np.asarray(Image.open(io.BytesIO(drawing.png(SCALE))).convert("L")) / 255
    scale = picture.shape[1] / float(ET.fromstring(drawing.svg).attrib["viewBox"].split()[2])
    shift = re.search(r"translate\(([\d.-]+) ([\d.-]+)\)", drawing.svg)
    assert shift is not None
    dx, dy = map(float, shift.groups())

    def widest(fill: str) -> np.ndarray:
        boxes = []
        for element in ET.fromstring(drawing.svg).iter():
            if element.tag in (f"{SVG}polygon", f"{SVG}path") and element.attrib.get("fill") == fill:
                numbers = [float(x) for x in re.findall(r"-?\d+\.?\d*", element.attrib.get("points", ""))]
                if numbers:
                    xs, ys = numbers[::2], numbers[1::2]
                    boxes.append((min(xs) + dx, min(ys) + dy, max(xs) + dx, max(ys) + dy))
        x0, y0, x1, y1 = max(boxes, key=lambda box: box[2] - box[0])
        inside = picture[
            int((y0 + 2) * scale) : int((y1 - 2) * scale), int((x0 + 2) * scale) : int((x1 - 2) * scale)
        ]
        assert inside.size > 100
        return inside

    fills = {"frozen": theme.frozen, "trainable": f"url(#surgeon-hatch-{theme.name})", "state": theme.state}
    fills["still"] = theme.still
    return theme, {state: widest(fill) for state, fill in fills.items()}


def test_only_what_trains_is_hatched(grey):
    _, areas = grey
    assert np.ptp(areas["frozen"]) < 0.01
    assert np.ptp(areas["state"]) < 0.01
    assert np.ptp(areas["trainable"]) > 0.15


def test_each_state_has_a_shade_of_its_own(grey):
    theme, areas = grey
    ground = np.asarray(Image.new("RGB", (1, 1), theme.card).convert("L")) / 255
    shades = {**{state: area.mean() for state, area in areas.items()}, "none": ground.mean()}
    for one, other in itertools.combinations(shades, 2):
        apart = abs(shades[one] - shades[other])
        hatched = "trainable" in (one, other)
        assert apart > (0.03 if hatched else 0.1), (one, other, shades)


def test_state_has_an_outline(grey):
    theme, _ = grey
    build = Builder()
    build.add("state", "Normalization", build.input(), weights=norm()[2:])
    assert f'fill="{theme.state}" stroke="{theme.border}"' in draw(build.graph("state"), theme=theme.name).svg
