"""The site builds without a warning, shows every public name, and asks nothing of a network."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import surgeon

ROOT = Path(__file__).resolve().parents[1]
LOADED = re.compile(
    r"<(?:script|img|source|iframe)[^>]+(?:src|srcset)=[\"']?(?:https?:)?//|@import|url\(https?:"
)
STYLES = re.compile(r"<link[^>]+rel=[\"']?stylesheet[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ".mkdocs.yml", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_public_name_has_an_entry(site):
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html")}
    listed = re.findall(r'<a href="(\w+)\.html#([\w.]+)"><code>(\w+)</code></a>', pages["index"])
    assert {name for _, _, name in listed} == set(surgeon.__all__) - {"__version__"}
    for page, anchor, name in listed:
        entry = pages[page].partition(f'id="{anchor}"')[2]
        assert entry, f"{name} is not on the page {page}"
        heading = re.sub(r"<.*?>", "", entry.partition(">")[2].partition("</h2>")[0])
        assert heading.split()[0] == name, f"{name} has no heading of its own"


def test_examples_are_code(site):
    page = (site / "reference" / "rules.html").read_text(encoding="utf-8")
    assert page.count('class="gp">&gt;&gt;&gt; </span>') > 30


def test_every_command_and_option_is_there(site):
    page = html.unescape((site / "reference" / "commands.html").read_text(encoding="utf-8"))
    for words in ("surgeon convert", "surgeon export", "--tensorboard", "--verify", "--install-completion"):
        assert words in page


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert LOADED.search(text) is None, path.name
        for link in STYLES.findall(text):
            assert "//" not in link, path.name
