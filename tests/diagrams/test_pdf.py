"""PDF: hatched, with its letters in it, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typst
from PIL import Image

from surgeon.diagrams import draw
from surgeon.diagrams.pdf import to_pdf
from surgeon.diagrams.theme import LIGHT
from surgeon.errors import RenderError
from tests.diagrams.graphs import chain, partly

ROOT = Path(__file__).resolve().parents[2]


def pixels(pdf: bytes, folder: Path) -> np.ndarray:
    (folder / "picture.pdf").write_bytes(pdf)
    (folder / "page.typ").write_text(
        '#set page(width: auto, height: auto, margin: 0pt)\n#image("picture.pdf")', encoding="utf-8"
    )
    png = typst.compile(str(folder / "page.typ"), root=str(folder), format="png", ppi=144.0)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def share(image: np.ndarray, color: str) -> float:
    wanted = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)])
    return float((np.abs(image.astype(int) - wanted).max(axis=2) < 12).mean())


def test_what_trains_is_hatched(tmp_path):
    image = pixels(draw(partly()).pdf(), tmp_path)
    for color in (LIGHT.frozen, LIGHT.trainable, LIGHT.hatch, LIGHT.text):
        assert share(image, color) > 0.001, color
    (tmp_path / "frozen").mkdir()
    frozen = pixels(draw(chain(1, trains_from=1), title="").pdf(), tmp_path / "frozen")
    # The legend alone is hatched there.
    assert share(frozen, LIGHT.hatch) < share(image, LIGHT.hatch)


def test_the_letters_are_in_the_file():
    assert b"Arimo" in draw(chain(1)).pdf()


def test_the_same_bytes_in_another_process():
    program = (
        "import hashlib; from surgeon.diagrams import draw; from tests.diagrams.graphs import partly;"
        "print(hashlib.sha256(draw(partly()).pdf()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {hashlib.sha256(draw(partly()).pdf()).hexdigest()}


def test_a_title_is_data():
    assert to_pdf(draw(chain(1)).svg, '#panic("no") ] } $ \\ "').startswith(b"%PDF")


def test_a_letter_that_the_font_lacks_does_not_fail():
    assert draw(chain(1), title="模型 🧠").pdf().startswith(b"%PDF")


def test_a_broken_picture_is_an_error():
    with pytest.raises(RenderError, match=r"cannot be drawn as PDF.*save it as \.svg"):
        to_pdf("<svg", "broken")


def test_without_typst_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(RenderError, match="pip install typst"):
        draw(chain(1)).pdf()
