"""The font of pictures whose letters are drawn here, not by whoever shows them."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path

from surgeon.diagrams.text import is_measured
from surgeon.errors import RenderError

FAMILY = "Arimo"


def font_file(kind: str) -> Path:
    """Return the file of Arimo, a free font with the measures of Arial.

    A renderer that finds no font leaves the text out without a word.

    Args:
        kind: What needs it, for the error: `"PNG"`.

    Raises:
        RenderError: If the font is not installed.
    """
    spec = importlib.util.find_spec("fontpkg_arimo")
    if spec is None or spec.origin is None:
        raise RenderError(f"{kind} needs a font: `pip install fontpkg-arimo`, or save as .svg")
    path = Path(spec.origin).parent / "files" / "Arimo[wght].ttf"
    if not path.is_file():
        raise RenderError(
            f"{path} is missing: `pip install --force-reinstall fontpkg-arimo`, or save as .svg"
        )
    return path


def is_covered(svg: str) -> bool:
    """Whether the font has every letter of a picture; if not, the fonts of this machine are needed, too."""
    return all(is_measured(html.unescape(text)) for text in re.findall(r"<text [^>]*>([^<]*)</text>", svg))
