"""SVG to PNG, the same on a machine without fonts."""

from __future__ import annotations

import math
import re

from surgeon.diagrams.fonts import FAMILY, font_file, is_covered
from surgeon.errors import RenderError

_LONGEST = 16_000  # pixels of the longer side: beyond it, viewers and browsers give up
_MOST = 40_000_000  # pixels in all: more take many seconds and a gigabyte


def rasterize(svg: str, scale: float) -> bytes:
    """Return the SVG as PNG.

    Letters come from the font that was measured when the cards were laid out. Only for scripts
    that it does not have are the fonts of this machine looked through.

    Args:
        svg: The picture.
        scale: Pixels for each CSS pixel (1/96 inch). Lowered where the picture would get more
            than 16,000 pixels on a side, or 40 million in all.

    Raises:
        RenderError: If a package is missing, or the scale is not a positive number.
    """
    if not 0 < scale <= 100:
        raise RenderError(f"scale={scale!r}: give a number above 0, up to 100; 2 is sharp on most screens")
    try:
        import resvg_py
    except ImportError as error:
        raise RenderError("PNG needs resvg-py: `pip install resvg-py`, or save as .svg") from error
    box = re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', svg)
    wide, high = (float(size) * 96 / 72 for size in box.groups()) if box else (1.0, 1.0)
    zoom = min(scale, _LONGEST / max(wide, high), math.sqrt(_MOST / (wide * high)))
    try:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=svg,
                dpi=96,
                zoom=zoom,
                font_files=[str(font_file("PNG"))],
                sans_serif_family=FAMILY,
                skip_system_fonts=is_covered(svg),
            )
        )
    except ValueError as error:
        raise RenderError(f"the picture cannot be drawn as PNG ({error}); save it as .svg") from error
