"""The gallery is what `scripts/gallery` would draw now, byte for byte."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "graphs" / "gallery"
QUICK = {"nested", "text", "siamese", "mobilenet_v2"}


def script() -> Any:
    loader = SourceFileLoader("gallery", str(ROOT / "scripts" / "gallery"))
    spec = spec_from_loader("gallery", loader)
    assert spec is not None
    module = module_from_spec(spec)
    import sys

    sys.modules["gallery"] = module  # its dataclasses look themselves up there
    loader.exec_module(module)
    return module


EXAMPLES = {example.name: example for example in script().examples()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in EXAMPLES]
)
def test_pictures_are_as_they_would_be_drawn(name):
    assert script().differing(EXAMPLES[name]) == []


def test_the_page_shows_every_picture_and_nothing_is_left_over():
    page = (GALLERY / "index.md").read_text(encoding="utf-8")
    shown = set(re.findall(r'(?:src|srcset)="([^"]+)"|\]\(([^)]+)\)', page))
    files = {one or other for one, other in shown}
    kept = {path.name for path in GALLERY.iterdir() if path.is_file() and path.name != "index.md"}
    assert files == kept
    assert len(EXAMPLES) >= 12


def test_the_gallery_is_small_and_well_formed():
    for path in GALLERY.glob("*.svg"):
        assert ET.parse(path).getroot().tag.endswith("svg")
    assert sum(path.stat().st_size for path in GALLERY.rglob("*") if path.is_file()) < 3_000_000
